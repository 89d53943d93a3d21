// SPDX-License-Identifier: GPL-2.0-only
// What the daemon asks of the kernel, and what it hears from it.
#pragma once

#include "base/result.h"
#include "model/connection.h"

#include <vector>

namespace fusewb::kernel {

/// Hears the kernel's news, in the order of the kernel.
class LinkObserver {
public:
    virtual ~LinkObserver() = default;
    /// The module is there with these connections and no others. Said when the module appears
    /// and again when news were lost.
    virtual void synchronised(const model::ModuleInfo &module,
                              const std::vector<model::KernelFacts> &all) = 0;
    /// The module is not there, with it no connection.
    virtual void moduleGone() = 0;
    /// A connection was added or became ready.
    virtual void connectionSeen(const model::KernelFacts &facts) = 0;
    virtual void connectionRemoved(model::ConnectionId id) = 0;
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
};

} // namespace fusewb::kernel
