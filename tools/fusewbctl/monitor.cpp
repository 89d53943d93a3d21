// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"

#include <ctime>
#include <iostream>

namespace fusewb::ctl {

namespace {

std::string now() {
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[16];
    std::strftime(text, sizeof text, "%H:%M:%S", &parts);
    return text;
}

std::string whereOf(const std::string &path) {
    const std::string last = path.substr(path.rfind('/') + 1);
    return path.find("/connection/") == std::string::npos ? "manager" : "@" + last;
}

std::string argument(const Bus::Event &event, const char *name) {
    const Json all = toJson(event.arguments);
    const auto found = all.find(name);
    if (found == all.end())
        return "";
    return found->is_string() ? printable(found->get<std::string>()) : found->dump();
}

std::string sentence(const Bus::Event &event) {
    if (event.name == "ConnectionAdded")
        return "added";
    if (event.name == "ConnectionRemoved")
        return "removed";
    if (event.name == "Aborted")
        return coloured(Colour::Red, "aborted") + ": " + argument(event, "reason");
    if (event.name == "DeadlineExpired")
        return coloured(Colour::Yellow, "deadline expired") + ": " + argument(event, "operation") +
               " " + argument(event, "unique") + " of pid " + argument(event, "pid") +
               " has had no answer for " +
               shortDuration(event.arguments.at("age_usec").get<std::uint64_t>()) + ", " +
               argument(event, "action");
    std::string changes;
    const Json all = toJson(event.arguments);
    for (const auto &[name, value] : all.items())
        changes += (changes.empty() ? "" : ", ") + name + "=" +
                   (value.is_string() ? printable(value.get<std::string>()) : dump(value, -1));
    return changes;
}

} // namespace

Exit monitor(Style style) {
    Bus bus;
    bus.manager(); // a daemon that is not there is said, not waited for
    bus.listen([style](const Bus::Event &event) {
        if (style == Style::Json)
            std::cout << dump(toJson(event), -1) << std::endl;
        else
            std::cout << now() << "  " << whereOf(event.path) << "  " << sentence(event)
                      << std::endl;
    });
    return Exit::Success;
}

} // namespace fusewb::ctl
