// SPDX-License-Identifier: GPL-2.0-only
// What has to outlast a restart of the daemon: what an administrator set by hand, and the rules in
// force. It lies below /run, since no connection outlives the kernel.
#pragma once

#include "base/result.h"
#include "model/connection.h"
#include "policy/rule_file.h"

#include <optional>
#include <string>
#include <vector>

namespace fusewb::core {

class Store {
public:
    /// Subdirectories are made when there is something to keep. An empty name keeps nothing.
    explicit Store(std::string directory) : directory_(std::move(directory)) {}

    /// What is kept for the connection: nothing, if there is no file that can be read.
    policy::Values load(const model::KernelFacts &facts) const;

    /// Keeps the values, at once and whole; none at all take the file away.
    Outcome save(const model::KernelFacts &facts, const policy::Values &values) const;

    /// Takes away what is kept for connections that are not among these.
    void prune(const std::vector<model::KernelFacts> &alive) const;

    /// The same for the default policies, which belong to no connection.
    model::Defaults loadDefaults() const;
    Outcome saveDefaults(const model::Defaults &defaults) const;

    /// The rules that were saved last; nothing if there are none that can be read.
    std::optional<std::vector<policy::Rule>> loadRules(const policy::Accounts &accounts) const;

    /// Keeps the rules, all in the place of those that were kept before. None at all are some, too.
    Outcome saveRules(const std::vector<policy::Rule> &rules) const;

private:
    std::string pathOf(const std::string &name) const { return directory_ + "/set/" + name; }
    policy::Values loadValues(const std::string &name) const;
    Outcome saveValues(const std::string &name, const policy::Values &values) const;

    std::string directory_;
};

} // namespace fusewb::core
