// SPDX-License-Identifier: GPL-2.0-only
// KEY=VALUE on the command line, as in the [Policy] of a rule.
#pragma once

#include "fusewbctl/bus.h"

#include <string>
#include <vector>

namespace fusewb::ctl {

struct Assignments {
    Properties values;              // to set, by property
    std::vector<std::string> reset; // properties whose value was left empty
};

/// Throws a Problem that says which word is wrong, and what would be right.
Assignments parseAssignments(const std::vector<std::string> &words);

} // namespace fusewb::ctl
