// SPDX-License-Identifier: GPL-2.0-only
// The rule files of several directories, put together as systemd does with its drop-ins.
#pragma once

#include "policy/rule_file.h"

#include <string>
#include <vector>

namespace fusewb::policy {

/// Where rules are, the most important first: a file takes the place of those of the same name in
/// the directories after its own; an empty one, or a link to /dev/null, leaves only the gap.
inline const std::vector<std::string> ruleDirectories{
    "/etc/fusewb/policy.d", "/run/fusewb/policy.d", "/usr/lib/fusewb/policy.d"};

struct RuleSet {
    std::vector<Rule> rules;       // in the order of their names
    std::vector<RuleError> errors; // of files that are not among the rules for that
};

/// Reads every file "*.conf" of the directories. A directory that is not there has none.
RuleSet readRules(const std::vector<std::string> &directories, const Accounts &accounts);

/// Reads one file, wherever it is.
RuleSet readRuleFile(const std::string &path, const Accounts &accounts);

} // namespace fusewb::policy
