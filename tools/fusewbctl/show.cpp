// SPDX-License-Identifier: GPL-2.0-only
// list, status
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"
#include "policy/setting.h"
#include "policy/units.h"

#include <iostream>

namespace fusewb::ctl {

namespace {

// Requests that are younger than this are business as usual.
constexpr std::uint64_t stuckUSec = 1'000'000;

std::string joined(const std::vector<std::string> &words) {
    std::string all;
    for (const std::string &word : words)
        all += (all.empty() ? "" : ", ") + printable(word);
    return all.empty() ? "-" : all;
}

std::string orDash(const std::string &text) { return text.empty() ? "-" : printable(text); }

std::string fileName(const std::string &path) { return path.substr(path.rfind('/') + 1); }

std::string stateOf(const Connection &connection) {
    const std::string state = connection.text("State");
    return coloured(state == "ready"     ? Colour::Green
                    : state == "aborted" ? Colour::Red
                                         : Colour::Yellow,
                    state);
}

std::string serverOf(const Connection &connection) {
    const std::string name = fileName(connection.text("ServerExecutable"));
    const auto pid = connection.get<std::uint32_t>("ServerPid");
    return orDash(name) + (pid != 0 ? " (" + std::to_string(pid) + ")" : "");
}

std::uint64_t policyNumber(const Connection &connection, const policy::Description &description) {
    const std::string property(description.property);
    switch (description.kind) {
    case policy::Kind::Choice:
        if (const auto value =
                policy::parseValue(description, connection.get<std::string>(property)))
            return *value;
        return 0;
    case policy::Kind::Duration:
        return connection.number(property);
    case policy::Kind::Boolean:
        return connection.get<bool>(property) ? 1 : 0;
    case policy::Kind::Percent:
    case policy::Kind::Size:
        break;
    }
    return connection.get<std::uint32_t>(property);
}

void line(const std::string &name, const std::string &value) {
    std::cout << std::string(name.size() < 14 ? 14 - name.size() : 0, ' ')
              << coloured(Colour::Bold, name) << ": " << value << "\n";
}

void printPolicy(const Connection &connection) {
    const auto sources = connection.get<std::map<std::string, std::string>>("PolicySources");
    Table table({"POLICY", "VALUE", "FROM"});
    for (const policy::Description &description : policy::settings()) {
        const auto source = sources.find(std::string(description.property));
        if (source != sources.end())
            table.add({std::string(description.key),
                       policy::formatValue(description, policyNumber(connection, description)),
                       printable(source->second)});
    }
    std::cout << "\n" << table.text();
}

void printRequests(const std::vector<Request> &requests) {
    if (requests.empty())
        return;
    Table table({"REQUEST", "OPERATION", "STATE", "AGE", "DEADLINE", "PID", "INODE", "BYTES"});
    for (const Request &request : requests)
        table.add({std::to_string(request.unique), request.operation, request.state,
                   shortDuration(request.ageUSec),
                   request.deadlineUSec == 0 ? "-" : policy::formatDuration(request.deadlineUSec),
                   request.pid == 0 ? "kernel" : std::to_string(request.pid),
                   std::to_string(request.nodeId), std::to_string(request.bytes)});
    std::cout << "\nWithout an answer for more than a second:\n" << table.text();
}

void statusOfOne(const Connection &connection, const std::vector<Request> &requests) {
    const std::string reason = connection.text("AbortReason");
    line("Connection", "@" + std::to_string(connection.id()));
    line("Mounted at", joined(connection.get<std::vector<std::string>>("MountPoints")));
    line("State", stateOf(connection) + (reason.empty() ? "" : " (" + reason + ")"));
    line("Server", orDash(connection.text("ServerExecutable")) + ", pid " +
                       std::to_string(connection.get<std::uint32_t>("ServerPid")) + ", uid " +
                       std::to_string(connection.get<std::uint32_t>("ServerUid")));
    line("Unit", orDash(connection.text("ServerUnit")));
    line("Subtype", orDash(connection.text("Subtype")));
    line("Protocol", "7." + std::to_string(connection.get<std::uint32_t>("ProtocolMinor")));
    line("Writeback", connection.text("Writeback"));
    line("Rule", orDash(connection.text("Rule")));
    line("Written back",
         shortNumber(static_cast<double>(connection.number("BytesDirect"))) + "B direct, " +
             shortNumber(static_cast<double>(connection.number("BytesCopied"))) + "B copied, " +
             shortNumber(static_cast<double>(connection.number("BytesInFlight"))) + "B in flight");
    line("Requests", std::to_string(connection.number("Requests")) + ", " +
                         std::to_string(connection.number("Waiting")) + " without an answer, " +
                         std::to_string(connection.number("Deadlines")) + " past a deadline, " +
                         std::to_string(connection.number("WriteErrors")) + " failed writes, " +
                         std::to_string(connection.number("Retries")) + " writes tried again");
    line("Answers", std::to_string(connection.number("Answers")) + ", " +
                        std::to_string(connection.number("Malformed")) + " malformed");
    line("Migration", std::to_string(connection.number("Retargets")) +
                          " folios moved under a write, " +
                          std::to_string(connection.number("MigrateAgain")) + " not moved");
    printPolicy(connection);
    printRequests(requests);
}

} // namespace

Exit list(Style style) {
    Bus bus;
    const auto connections = bus.connections();
    if (style == Style::Json) {
        Json all = Json::array();
        for (const Connection &connection : connections)
            all.push_back(toJson(connection));
        std::cout << dump(all) << "\n";
        return Exit::Success;
    }
    if (connections.empty()) {
        std::cout << "No fusewb file system is mounted.\n";
        return Exit::Success;
    }
    Table table({"ID", "MOUNTED AT", "SERVER", "STATE", "WRITEBACK", "WAITING", "RULE"});
    for (const Connection &connection : connections)
        table.add({"@" + std::to_string(connection.id()),
                   joined(connection.get<std::vector<std::string>>("MountPoints")),
                   serverOf(connection), stateOf(connection), connection.text("Writeback"),
                   std::to_string(connection.number("Waiting")), orDash(connection.text("Rule"))});
    std::cout << table.text();
    return Exit::Success;
}

Exit status(Style style, const std::string &which) {
    Bus bus;
    if (!which.empty()) {
        const Connection connection = bus.find(which);
        const auto requests = bus.requests(connection.path, stuckUSec);
        if (style == Style::Json) {
            Json object = toJson(connection);
            object["StuckRequests"] = Json::array();
            for (const Request &request : requests)
                object["StuckRequests"].push_back(toJson(request));
            std::cout << dump(object) << "\n";
        } else {
            statusOfOne(connection, requests);
        }
        return Exit::Success;
    }
    const Properties manager = bus.manager();
    const auto connections = bus.connections();
    if (style == Style::Json) {
        Json object = toJson(manager);
        object["Connections"] = connections.size();
        std::cout << dump(object) << "\n";
        return Exit::Success;
    }
    const Connection view{"", manager}; // for its accessors
    const std::string module = view.text("ModuleVersion");
    line("Daemon", view.text("Version"));
    line("Module", module.empty() ? coloured(Colour::Red, "not loaded") : module);
    line("Connections", std::to_string(connections.size()));
    std::size_t aborted = 0;
    std::uint64_t waiting = 0;
    for (const Connection &connection : connections) {
        aborted += connection.text("State") == "aborted" ? 1 : 0;
        waiting += connection.number("Waiting");
    }
    line("Aborted", std::to_string(aborted));
    line("Requests", std::to_string(waiting) + " without an answer");
    return Exit::Success;
}

} // namespace fusewb::ctl
