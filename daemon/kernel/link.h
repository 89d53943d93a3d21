// SPDX-License-Identifier: GPL-2.0-only
// What the daemon asks of the kernel, and what it hears from it.
#pragma once

#include "base/result.h"
#include "model/connection.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace fusewb::kernel {

/// Hears the kernel's news, in the order of the kernel.
class LinkObserver {
public:
    virtual ~LinkObserver() = default;
    /// The module is there with these connections and no others. Said when the module appears
    /// and again when news were lost.
    virtual void synchronised(const model::ModuleInfo &module, const model::Defaults &defaults,
                              const std::vector<model::KernelFacts> &all) = 0;
    /// The module is not there, with it no connection.
    virtual void moduleGone() = 0;
    /// A connection was added, became ready, was given another policy or was given up.
    virtual void connectionSeen(const model::KernelFacts &facts) = 0;
    virtual void connectionRemoved(model::ConnectionId id) = 0;
    /// A request ran past its deadline.
    virtual void deadlineExpired(const model::Expiry &expiry) = 0;
    /// Those of the default policies that are not empty were changed.
    virtual void defaultsChanged(const model::Defaults &changes) = 0;
};

class Link {
public:
    virtual ~Link() = default;

    /// Tells the observer how things are now and from then on, out of process(), what changes.
    /// A module that is not there is no failure. The observer must outlive the link.
    virtual Outcome start(LinkObserver &observer) = 0;

    /// Readable when there are news. Valid after start().
    virtual int descriptor() const = 0;

    /// Takes in all news there are; never blocks on an idle descriptor.
    virtual Outcome process() = 0;

    /// Asks for one connection as it is now. error is ENOENT if there is none.
    virtual Result<model::KernelFacts> fetch(model::ConnectionId id) = 0;

    /// The requests without an answer that are at least so old, of one connection or of all.
    virtual Result<std::vector<model::Request>> requests(std::optional<model::ConnectionId> id,
                                                         std::uint64_t minimumAgeUSec) = 0;

    /// Changes those values of a connection's policy that are given. They are in force on return.
    /// error is ENOENT if there is no such connection, EINVAL if the kernel refuses a value.
    virtual Outcome set(model::ConnectionId id, const policy::Values &values) = 0;

    /// Ends every request of a connection. error is ENOENT if there is none.
    virtual Outcome abort(model::ConnectionId id) = 0;

    /// Changes those values of the default policies that are given.
    virtual Outcome setDefaults(const model::Defaults &changes) = 0;
};

} // namespace fusewb::kernel
