// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/bus.h"

namespace fusewb::ctl {

namespace {

// The arguments of the daemon's signals, by the names in the interface XML. What is none of them
// is no event.
std::optional<Bus::Event> eventOf(sdbus::Message &message) {
    Bus::Event event{message.getPath(), message.getMemberName(), {}};
    const auto keep = [&event](const char *name, const auto &value) {
        event.arguments.emplace(name, sdbus::Variant(value));
    };
    if (event.name == "ConnectionAdded" || event.name == "ConnectionRemoved") {
        sdbus::ObjectPath connection;
        message >> connection;
        event.path = connection;
    } else if (event.name == "DeadlineExpired") {
        std::uint64_t unique = 0;
        std::uint64_t age = 0;
        std::uint32_t pid = 0;
        std::string operation;
        std::string operations;
        std::string action;
        message >> unique >> operation >> operations >> age >> pid >> action;
        keep("unique", unique);
        keep("operation", operation);
        keep("class", operations);
        keep("age_usec", age);
        keep("pid", pid);
        keep("action", action);
    } else if (event.name == "Aborted") {
        std::string reason;
        message >> reason;
        keep("reason", reason);
    } else if (event.name == "PropertiesChanged") {
        std::string interface;
        message >> interface >> event.arguments;
    } else {
        return std::nullopt;
    }
    return event;
}

} // namespace

void Bus::listen(const std::function<void(const Event &)> &heard) {
    try {
        const auto slot = bus::compat::addMatch(
            *bus_, "type='signal',sender='org.fusewb',path_namespace='/org/fusewb'",
            [&](auto &&message) {
                if (const auto event = eventOf(message))
                    heard(*event);
            });
        bus_->enterEventLoop();
    } catch (const sdbus::Error &error) {
        throw Problem{Exit::NoDaemon, "the system bus went away: " + error.getMessage()};
    }
}

} // namespace fusewb::ctl
