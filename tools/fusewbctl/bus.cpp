// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/bus.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace fusewb::ctl {

namespace {

constexpr const char *service = "org.fusewb";
constexpr const char *managerPath = "/org/fusewb";
constexpr const char *managerInterface = "org.fusewb1.Manager";
constexpr const char *connectionInterface = "org.fusewb1.Connection";
constexpr const char *propertiesInterface = "org.freedesktop.DBus.Properties";
constexpr std::string_view connectionPrefix = "/org/fusewb/connection/";

// A person may have to find a password.
constexpr std::uint64_t patienceUSec = 300'000'000;

Problem problemOf(const sdbus::Error &error) {
    const std::string name = error.getName();
    const auto is = [&name](std::string_view end) { return name.ends_with(end); };
    if (is(".ServiceUnknown") || is(".NameHasNoOwner") || is(".Disconnected") ||
        is(".FileNotFound") || is(".NoServer") || name.find(".Spawn.") != std::string::npos ||
        is("UnitMasked") || is("NoSuchUnit"))
        return {Exit::NoDaemon, "fusewbd is not running; see systemctl status fusewbd"};
    if (is(".NotFound") || is(".UnknownObject"))
        return {Exit::NotFound, error.getMessage()};
    if (is(".AccessDenied") || is(".InteractiveAuthorizationRequired"))
        return {Exit::Denied, error.getMessage()};
    if (is(".InvalidArgument") || is(".InvalidArgs"))
        return {Exit::Usage, error.getMessage()};
    return {Exit::Failure, error.getMessage().empty() ? name : error.getMessage()};
}

template <typename T> std::optional<T> wholeNumber(std::string_view text) {
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

template <typename... Parts> void read(sdbus::MethodReply reply, Parts &...parts) {
    try {
        (reply >> ... >> parts);
    } catch (const sdbus::Error &) {
        throw Problem{Exit::Failure, "fusewbd answers what this fusewbctl does not understand"};
    }
}

// Made absolute without a look at the file system: it may be the one that hangs.
std::string absolute(const std::string &path) {
    std::string whole = path;
    if (!path.starts_with('/')) {
        std::error_code error;
        const auto here = std::filesystem::current_path(error);
        if (error)
            throw Problem{Exit::Failure, "the working directory is gone; give an absolute path"};
        whole = (here / path).string();
    }
    whole = std::filesystem::path(whole).lexically_normal().string();
    while (whole.size() > 1 && whole.back() == '/')
        whole.pop_back();
    return whole;
}

} // namespace

std::uint64_t Connection::id() const {
    return wholeNumber<std::uint64_t>(std::string_view(path).substr(connectionPrefix.size()))
        .value_or(0);
}

Bus::Bus() {
    try {
        bus_ = sdbus::createSystemBusConnection();
    } catch (const sdbus::Error &error) {
        throw Problem{Exit::NoDaemon, "cannot reach the system bus: " + error.getMessage()};
    }
}

Bus::~Bus() = default;

sdbus::MethodReply Bus::call(const std::string &object, const char *interface, const char *method,
                             const std::function<void(sdbus::MethodCall &)> &arguments) {
    try {
        auto &proxy = proxies_[object];
        if (!proxy) {
            proxy = sdbus::createProxy(*bus_, bus::compat::ServiceName(service),
                                       sdbus::ObjectPath(object));
            bus::compat::finish(*proxy);
        }
        auto message = bus::compat::methodCall(*proxy, interface, method);
        bus::compat::allowInteraction(message);
        if (arguments)
            arguments(message);
        return proxy->callMethod(message, patienceUSec);
    } catch (const sdbus::Error &error) {
        throw problemOf(error);
    }
}

Properties Bus::manager() {
    Properties properties;
    read(call(managerPath, propertiesInterface, "GetAll",
              [](sdbus::MethodCall &message) { message << std::string(managerInterface); }),
         properties);
    return properties;
}

std::vector<Connection> Bus::connections() {
    std::map<sdbus::ObjectPath, std::map<std::string, Properties>> objects;
    read(call(managerPath, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"), objects);
    std::vector<Connection> all;
    for (auto &[object, interfaces] : objects)
        if (const auto found = interfaces.find(connectionInterface); found != interfaces.end())
            all.push_back({object, std::move(found->second)});
    std::sort(all.begin(), all.end(),
              [](const Connection &a, const Connection &b) { return a.id() < b.id(); });
    return all;
}

std::string Bus::path(const std::string &what) {
    if (what.starts_with('@')) {
        const auto number = wholeNumber<std::uint64_t>(std::string_view(what).substr(1));
        if (!number)
            throw Problem{Exit::Usage, "\"" + what + "\" is no connection; @1 would be one"};
        return std::string(connectionPrefix) + std::to_string(*number);
    }
    sdbus::ObjectPath found;
    if (const auto pid = wholeNumber<std::uint32_t>(what))
        read(call(managerPath, managerInterface, "FindConnectionByServerPid",
                  [&](sdbus::MethodCall &message) { message << *pid; }),
             found);
    else
        read(call(managerPath, managerInterface, "FindConnectionByMountPoint",
                  [&](sdbus::MethodCall &message) { message << absolute(what); }),
             found);
    return found;
}

Connection Bus::find(const std::string &what) {
    Connection connection{path(what), {}};
    try {
        read(call(connection.path, propertiesInterface, "GetAll",
                  [](sdbus::MethodCall &message) { message << std::string(connectionInterface); }),
             connection.properties);
    } catch (const Problem &problem) {
        if (problem.status != Exit::NotFound)
            throw;
        throw Problem{Exit::NotFound, "there is no connection " + what};
    }
    return connection;
}

std::vector<Request> Bus::requests(const std::string &connection, std::uint64_t minimumAgeUSec) {
    using Row =
        sdbus::Struct<std::uint64_t, std::string, std::string, std::string, std::uint64_t,
                      std::uint64_t, std::uint32_t, std::uint32_t, std::uint64_t, std::uint32_t>;
    std::vector<Row> rows;
    read(call(connection, connectionInterface, "ListRequests",
              [&](sdbus::MethodCall &message) { message << minimumAgeUSec; }),
         rows);
    std::vector<Request> requests;
    for (const Row &row : rows)
        requests.push_back({row.get<0>(), row.get<1>(), row.get<2>(), row.get<3>(), row.get<4>(),
                            row.get<5>(), row.get<6>(), row.get<7>(), row.get<8>(), row.get<9>()});
    return requests;
}

std::vector<RuleInfo> Bus::rules() {
    using Pairs = std::vector<sdbus::Struct<std::string, std::string>>;
    std::vector<sdbus::Struct<std::string, std::string, Pairs, Pairs>> rows;
    read(call(managerPath, managerInterface, "ListRules"), rows);
    std::vector<RuleInfo> rules;
    for (const auto &row : rows) {
        RuleInfo rule{row.get<0>(), row.get<1>(), {}, {}};
        for (const auto &pair : row.get<2>())
            rule.conditions.emplace_back(pair.get<0>(), pair.get<1>());
        for (const auto &pair : row.get<3>())
            rule.values.emplace_back(pair.get<0>(), pair.get<1>());
        rules.push_back(std::move(rule));
    }
    return rules;
}

Explanation Bus::explain(const std::string &connection) {
    std::vector<sdbus::Struct<std::string, std::string, bool, std::string>> rules;
    std::vector<sdbus::Struct<std::string, std::string, std::string, std::string>> values;
    read(call(managerPath, managerInterface, "Explain",
              [&](sdbus::MethodCall &message) { message << sdbus::ObjectPath(connection); }),
         rules, values);
    Explanation explanation;
    for (const auto &row : rules)
        explanation.rules.push_back({row.get<0>(), row.get<1>(), row.get<2>(), row.get<3>()});
    for (const auto &row : values)
        explanation.values.push_back({row.get<0>(), row.get<1>(), row.get<2>(), row.get<3>()});
    return explanation;
}

void Bus::set(const std::string &connection, const Properties &values) {
    call(connection, connectionInterface, "SetPolicy",
         [&](sdbus::MethodCall &message) { message << values; });
}

void Bus::reset(const std::string &connection, const std::vector<std::string> &properties) {
    call(connection, connectionInterface, "ResetPolicy",
         [&](sdbus::MethodCall &message) { message << properties; });
}

sdbus::UnixFd Bus::hold(const std::string &connection, const Properties &values,
                        const std::string &reason) {
    sdbus::UnixFd descriptor;
    read(call(connection, connectionInterface, "HoldPolicy",
              [&](sdbus::MethodCall &message) { message << values << reason; }),
         descriptor);
    return descriptor;
}

void Bus::abort(const std::string &connection) { call(connection, connectionInterface, "Abort"); }

void Bus::reload() { call(managerPath, managerInterface, "Reload"); }

} // namespace fusewb::ctl
