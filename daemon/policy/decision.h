// SPDX-License-Identifier: GPL-2.0-only
// What holds for a connection, and why.
#pragma once

#include "policy/rule.h"

#include <span>
#include <string>
#include <vector>

namespace fusewb::policy {

/// Where a value comes from, the least important first.
enum class Origin {
    Default, // of the kernel, for openers of that kind
    Rule,
    Set,  // by hand, until it is reset
    Hold, // by hand, until its holder lets go
};

std::string_view name(Origin origin);

struct Source {
    Origin origin = Origin::Default;
    std::string detail; // the rule's name, the holder's reason

    bool operator==(const Source &) const = default;
};

/// Some values with what they come from.
struct Layer {
    Source source;
    Values values;
};

/// What came of a rule.
struct Verdict {
    std::string rule;
    std::string path;
    bool matches = false;
    std::string reason; // why it does not
};

/// What came of all rules: the first that matches decides, those after it are not asked.
struct Decision {
    const Rule *rule = nullptr; // null: none matches
    std::vector<Verdict> verdicts;
};

/// The rules must outlive the decision.
Decision decide(std::span<const Rule> rules, const Subject &subject);

/// What holds for a setting, and the layer it is from.
struct Effective {
    Values values;
    std::array<Source, settingCount> sources;

    const Source &source(Setting setting) const {
        return sources[static_cast<std::size_t>(setting)];
    }
    bool operator==(const Effective &) const = default;
};

/// A value of a later layer hides those of the layers before it.
Effective merge(std::span<const Layer> layers);

} // namespace fusewb::policy
