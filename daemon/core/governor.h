// SPDX-License-Identifier: GPL-2.0-only
// Decides about every connection and tells the kernel. What holds is put together from the
// kernel's default, the first rule that matches, what was set by hand and what is held, each
// hiding those before it.
#pragma once

#include "core/store.h"
#include "kernel/link.h"
#include "model/registry.h"
#include "policy/rule_set.h"

#include <map>
#include <optional>
#include <vector>

namespace fusewb::core {

class Governor {
public:
    /// All must outlive the governor.
    Governor(kernel::Link &link, model::Registry &registry, const policy::Accounts &accounts,
             std::vector<std::string> directories, Store store);

    /// Reads the rules for the first time. An error in any file is logged, and the rules that were
    /// in force before the daemon was started again stay in force; if there were none, that file is
    /// left out.
    void load();

    /// Reads the rules anew and applies them to all connections. With an error in any file nothing
    /// changes; the failure has a line for each.
    Outcome reload();

    const std::vector<policy::Rule> &rules() const { return rules_; }
    const model::Defaults &defaults() const { return defaults_; }

    /// The module is there with these connections, which the registry knows already.
    void synchronised(const model::Defaults &defaults, const std::vector<model::KernelFacts> &all);
    void moduleGone();

    /// The defaults that are not empty are these from now on.
    void defaultsChanged(const model::Defaults &changes);

    /// The registry learned something about the connection.
    void seen(model::ConnectionId id);
    /// Something about connections changed that does not come from the kernel.
    void surroundingsChanged();
    /// The registry is about to lose the connection.
    void removed(model::ConnectionId id);

    /// error is ENOENT if there is no such connection. A refusal of the kernel changes nothing.
    Outcome set(model::ConnectionId id, const policy::Values &values);
    Outcome reset(model::ConnectionId id, const std::vector<policy::Setting> &settings);
    Outcome hold(model::ConnectionId id, std::uint64_t key, const policy::Values &values,
                 std::string reason);
    void release(model::ConnectionId id, std::uint64_t key);

    /// Sets them by hand; a refusal of the kernel changes nothing.
    Outcome setDefaults(const model::Defaults &changes);

    struct Explanation {
        policy::Decision decision;   // what the rules say
        policy::Effective effective; // what is in force, though the kernel may have refused them
    };
    Result<Explanation> explain(model::ConnectionId id) const;

private:
    struct Hold {
        std::uint64_t key;
        policy::Layer layer;
    };
    struct Governed {
        policy::Values byHand;
        std::vector<Hold> holds;
        std::optional<policy::Subject> subject; // as rules last saw it
        policy::Values wanted;                  // what the kernel was last told
    };

    Governed &governed(const model::KernelFacts &facts);
    Explanation work(const model::Connection &connection, const Governed &state) const;
    Outcome change(const model::KernelFacts &facts, const policy::Values &byHand);
    void take(std::vector<policy::Rule> rules);
    model::Defaults defaultsByHandWith(const model::Defaults &changes) const;
    void adoptDefaults(const model::Defaults &changes);
    void restoreDefaults();
    Outcome apply(model::ConnectionId id);
    void applyAll();
    void adopt(model::ConnectionId id);

    kernel::Link &link_;
    model::Registry &registry_;
    const policy::Accounts &accounts_;
    const std::vector<std::string> directories_;
    const Store store_;
    std::vector<policy::Rule> rules_;
    bool there_ = false; // the module
    model::Defaults defaults_;
    model::Defaults defaultsByHand_;
    std::map<model::ConnectionId, Governed> governed_;
};

} // namespace fusewb::core
