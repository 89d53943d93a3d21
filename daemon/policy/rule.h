// SPDX-License-Identifier: GPL-2.0-only
// A rule: which connections it is for, and what it decides about them.
#pragma once

#include "policy/setting.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace fusewb::policy {

/// What a rule looks at. Each is a key of [Match].
enum class Criterion : std::size_t { Executable, User, Group, Unit, Subtype, MountPoint };

inline constexpr std::size_t criterionCount = 6;

std::string_view name(Criterion criterion);
std::optional<Criterion> findCriterion(std::string_view name);

/// A connection as rules see it. What cannot be told is empty, and matches nothing.
struct Subject {
    std::string executable;
    /// Not empty: why the executable's path says nothing about the program that runs.
    std::string executableDoubt;
    std::optional<uid_t> user;  // the effective one of who opened the device
    std::optional<gid_t> group; // the same
    std::string unit;
    std::string subtype;
    std::vector<std::string> mountPoints;

    bool operator==(const Subject &) const = default;
};

/// One line of [Match].
struct Pattern {
    std::string text;                // a glob; for User= and Group= a name or a number
    std::optional<std::uint32_t> id; // whom that names; absent if there is no such account
};

struct Rule {
    std::string name; // of its file, which gives its place
    std::string path; // the file
    /// Every criterion that has patterns must match, by any of them. No pattern at all: the rule
    /// is for every connection.
    std::array<std::vector<Pattern>, criterionCount> match;
    Values values;

    const std::vector<Pattern> &patterns(Criterion criterion) const {
        return match[static_cast<std::size_t>(criterion)];
    }
};

/// Nothing if the rule is for the subject, else why it is not.
std::optional<std::string> mismatch(const Rule &rule, const Subject &subject);

} // namespace fusewb::policy
