// SPDX-License-Identifier: GPL-2.0-only
// What the bus asks of the daemon's core. Failures carry an errno, from which the error's name on
// the bus follows (bus/errors.h).
#pragma once

#include "base/result.h"
#include "model/connection.h"
#include "mounter/message.h"
#include "policy/rule.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fusewb::bus {

class Control {
public:
    virtual ~Control() = default;

    /// Asked before properties of a connection are read, so that the registry shows what is true
    /// now. Adds and removes no connection.
    virtual void refresh(model::ConnectionId id) = 0;

    /// Sets values by hand: all of them, or on a failure none.
    virtual Outcome setPolicy(model::ConnectionId id, const policy::Values &values) = 0;

    /// Forgets what was set by hand; no settings stand for all.
    virtual Outcome resetPolicy(model::ConnectionId id,
                                const std::vector<policy::Setting> &settings) = 0;

    /// Sets values until the last copy of the descriptor that comes back, the caller's, is closed.
    virtual Result<int> holdPolicy(model::ConnectionId id, const policy::Values &values,
                                   const std::string &reason) = 0;

    virtual Outcome abort(model::ConnectionId id) = 0;

    /// Requests without an answer of at least this age.
    virtual Result<std::vector<model::Request>> requests(model::ConnectionId id,
                                                         std::uint64_t minimumAgeUSec) = 0;

    /// Reads the rules anew. The failure has a line for each error in a file.
    virtual Outcome reload() = 0;
    virtual std::span<const policy::Rule> rules() const = 0;

    struct Explanation {
        std::vector<policy::Verdict> verdicts;
        policy::Effective effective;
    };
    virtual Result<Explanation> explain(model::ConnectionId id) = 0;

    /// Whether the user may have one more mount, or one more of them worked on, if allowed to.
    virtual Outcome roomFor(mounter::Verb verb, uid_t user) const = 0;

    /// Mounts or unmounts for the user that the request names, who may. Calls back, perhaps later.
    virtual void mount(mounter::Request request, std::function<void(Outcome)> answer) = 0;

    /// The machine is about to be suspended, which waits for nobody here.
    virtual void beforeSleep() = 0;

    virtual const model::Defaults &defaults() const = 0;
    virtual Outcome setDefaults(const model::Defaults &changes) = 0;
};

} // namespace fusewb::bus
