// SPDX-License-Identifier: GPL-2.0-only
// What differs between sdbus-c++ 1 and 2, under one name. Nothing but this file tells them apart.
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <optional>
#include <string>
#include <systemd/sd-bus.h>
#include <utility>

namespace fusewb::bus::compat {

#if __has_include(<sdbus-c++/VTableItems.h>) // since version 2

using AsyncError = std::optional<sdbus::Error>;
using ErrorName = sdbus::Error::Name;
using InterfaceName = sdbus::InterfaceName;
using PropertyName = sdbus::PropertyName;
using ServiceName = sdbus::ServiceName;

inline bool processOne(sdbus::IConnection &connection) { return connection.processPendingEvent(); }

/// The message that a method or a property's setter is being called by.
inline sdbus::Message currentMessage(const sdbus::IObject &object) {
    return object.getCurrentlyProcessedMessage();
}

/// Calls back for messages that the rule matches, until the slot is gone.
inline sdbus::Slot addMatch(sdbus::IConnection &connection, const std::string &rule,
                            sdbus::message_handler callback) {
    return connection.addMatch(rule, std::move(callback), sdbus::return_slot);
}

/// Makes a proxy ready; version 2 does so by itself.
inline void finish(sdbus::IProxy &) {}

inline sdbus::MethodCall methodCall(sdbus::IProxy &proxy, const char *interface,
                                    const char *method) {
    return proxy.createMethodCall(sdbus::InterfaceName(interface), sdbus::MethodName(method));
}

#else

using AsyncError = const sdbus::Error *;
using ErrorName = std::string;
using InterfaceName = std::string;
using PropertyName = std::string;
using ServiceName = std::string;

inline bool processOne(sdbus::IConnection &connection) {
    return connection.processPendingRequest();
}

inline const sdbus::Message &currentMessage(const sdbus::IObject &object) {
    return *object.getCurrentlyProcessedMessage();
}

inline sdbus::Slot addMatch(sdbus::IConnection &connection, const std::string &rule,
                            sdbus::message_handler callback) {
    return connection.addMatch(rule, std::move(callback));
}

inline void finish(sdbus::IProxy &proxy) { proxy.finishRegistration(); }

inline sdbus::MethodCall methodCall(sdbus::IProxy &proxy, const char *interface,
                                    const char *method) {
    return proxy.createMethodCall(interface, method);
}

#endif

/// The message as sd-bus has it, for what neither version has a call for.
inline sd_bus_message *underneath(const sdbus::Message &message) {
    struct Open : sdbus::Message {
        static sd_bus_message *of(const sdbus::Message &any) {
            return static_cast<sd_bus_message *>(any.*(&Open::msg_));
        }
    };
    return Open::of(message);
}

/// Whether the sender may be asked for a password.
inline bool allowsInteraction(const sdbus::Message &message) {
    return sd_bus_message_get_allow_interactive_authorization(underneath(message)) > 0;
}

/// Lets a person be asked for a password before the call is answered.
inline void allowInteraction(sdbus::MethodCall &call) {
    sd_bus_message_set_allow_interactive_authorization(underneath(call), 1);
}

} // namespace fusewb::bus::compat
