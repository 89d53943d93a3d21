// SPDX-License-Identifier: GPL-2.0-only
// The daemon on the bus: the registry shown as objects. This header is free of sdbus-c++.
#pragma once

#include "base/result.h"
#include "model/registry.h"

#include <functional>
#include <memory>
#include <string>

struct sd_event;

namespace fusewb::bus {

inline constexpr const char *serviceName = "org.fusewb";

class Service {
public:
    /// Asked before properties of a connection are read, so that the registry shows what is true
    /// now. It must not add or remove connections.
    using Refresh = std::function<void(model::ConnectionId)>;

    /// Connects to the system bus (DBUS_SYSTEM_BUS_ADDRESS, where set, says which), exports an
    /// object for all that the registry holds and observes it from then on. Messages are handled
    /// by the event loop; it ends with a failure if the bus goes away. The registry and the loop
    /// must outlive the service.
    static Result<std::unique_ptr<Service>> open(sd_event *loop, model::Registry &registry,
                                                 std::string version, Refresh refresh);

    virtual ~Service() = default;

    /// Takes the name org.fusewb, after which clients may come. Fails if somebody else has it.
    virtual Outcome own() = 0;
};

} // namespace fusewb::bus
