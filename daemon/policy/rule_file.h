// SPDX-License-Identifier: GPL-2.0-only
// Rules as files, see fusewb.rules(5).
#pragma once

#include "policy/rule.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fusewb::policy {

/// Knows the accounts of the machine.
class Accounts {
public:
    virtual ~Accounts() = default;
    virtual std::optional<uid_t> user(const std::string &name) const = 0;
    virtual std::optional<gid_t> group(const std::string &name) const = 0;
};

/// What is wrong with a file, and where; line 0 is the file as a whole.
struct RuleError {
    std::string path;
    unsigned line = 0;
    std::string reason;

    /// "PATH:LINE: REASON"
    std::string text() const;

    bool operator==(const RuleError &) const = default;
};

/// The rule that a file of this name and path with this text states, or every error in it.
std::variant<Rule, std::vector<RuleError>> parseRule(const std::string &name,
                                                     const std::string &path, std::string_view text,
                                                     const Accounts &accounts);

/// The text of a file that states the rule.
std::string formatRule(const Rule &rule);

} // namespace fusewb::policy
