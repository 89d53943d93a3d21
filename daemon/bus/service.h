// SPDX-License-Identifier: GPL-2.0-only
// The daemon on the bus: the registry shown as objects. This header is free of sdbus-c++.
#pragma once

#include "base/result.h"
#include "bus/control.h"
#include "model/registry.h"

#include <functional>
#include <memory>
#include <string>

struct sd_event;

namespace fusewb::bus {

inline constexpr const char *serviceName = "org.fusewb";

class Service {
public:
    /// Connects to the system bus (DBUS_SYSTEM_BUS_ADDRESS, where set, says which), exports an
    /// object for all that the registry holds and observes it from then on. Messages are handled
    /// by the event loop. When the bus goes away lost is called, once; the service is of no use
    /// then, but must not be destroyed in the call. The others must outlive the service.
    static Result<std::unique_ptr<Service>> open(sd_event *loop, model::Registry &registry,
                                                 std::string version, Control &control,
                                                 std::function<void()> lost);

    virtual ~Service() = default;

    /// Takes the name org.fusewb, after which clients may come. Fails if somebody else has it.
    virtual Outcome own() = 0;

    /// Says that a request of a connection ran past its deadline.
    virtual void deadlineExpired(const model::Expiry &expiry) = 0;

    /// Says that the default policies are others now.
    virtual void defaultsChanged() = 0;
};

} // namespace fusewb::bus
