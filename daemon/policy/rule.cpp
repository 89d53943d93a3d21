// SPDX-License-Identifier: GPL-2.0-only
#include "policy/rule.h"

#include <algorithm>
#include <fnmatch.h>

namespace fusewb::policy {

namespace {

constexpr std::array<std::string_view, criterionCount> names{"Executable", "User",    "Group",
                                                             "Unit",       "Subtype", "MountPoint"};

std::string listed(const std::vector<Pattern> &patterns) {
    std::string text;
    for (const Pattern &pattern : patterns)
        text += (text.empty() ? "" : " or ") + pattern.text;
    return text;
}

bool matchesGlob(const std::vector<Pattern> &patterns, const std::string &value, int flags) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const Pattern &pattern) {
        return fnmatch(pattern.text.c_str(), value.c_str(), flags) == 0;
    });
}

std::string sayDiffers(Criterion criterion, const std::vector<Pattern> &patterns,
                       const std::string &value) {
    return std::string(name(criterion)) + " is " + value + ", not " + listed(patterns);
}

std::string sayUnknown(Criterion criterion, const std::vector<Pattern> &patterns) {
    return std::string(name(criterion)) + " is not known, " + listed(patterns) + " is asked for";
}

std::optional<std::string> compareText(Criterion criterion, const std::vector<Pattern> &patterns,
                                       const std::string &value, int flags) {
    if (value.empty())
        return sayUnknown(criterion, patterns);
    if (matchesGlob(patterns, value, flags))
        return std::nullopt;
    return sayDiffers(criterion, patterns, value);
}

std::optional<std::string> compareExecutable(const std::vector<Pattern> &patterns,
                                             const Subject &subject) {
    auto reason = compareText(Criterion::Executable, patterns, subject.executable, FNM_PATHNAME);
    if (!reason && !subject.executableDoubt.empty())
        reason =
            "Executable is said to be " + subject.executable + ", but " + subject.executableDoubt;
    return reason;
}

template <typename Id>
std::optional<std::string> compareAccount(Criterion criterion, const std::vector<Pattern> &patterns,
                                          const std::optional<Id> &id) {
    if (!id)
        return sayUnknown(criterion, patterns);
    if (std::any_of(patterns.begin(), patterns.end(),
                    [&](const Pattern &pattern) { return pattern.id == *id; }))
        return std::nullopt;
    std::string reason = sayDiffers(criterion, patterns, std::to_string(*id));
    for (const Pattern &pattern : patterns)
        if (!pattern.id)
            reason += "; there is no " + pattern.text + " on this machine";
    return reason;
}

std::optional<std::string> compareMountPoints(const std::vector<Pattern> &patterns,
                                              const std::vector<std::string> &points) {
    if (points.empty())
        return "it is not mounted where the daemon sees it, " + listed(patterns) + " is asked for";
    std::string all;
    for (const std::string &point : points) {
        if (matchesGlob(patterns, point, FNM_PATHNAME))
            return std::nullopt;
        all += (all.empty() ? "" : " and ") + point;
    }
    return sayDiffers(Criterion::MountPoint, patterns, all);
}

std::optional<std::string> compare(Criterion criterion, const std::vector<Pattern> &patterns,
                                   const Subject &subject) {
    switch (criterion) {
    case Criterion::Executable:
        return compareExecutable(patterns, subject);
    case Criterion::User:
        return compareAccount(criterion, patterns, subject.user);
    case Criterion::Group:
        return compareAccount(criterion, patterns, subject.group);
    case Criterion::Unit:
        return compareText(criterion, patterns, subject.unit, 0);
    case Criterion::Subtype:
        return compareText(criterion, patterns, subject.subtype, 0);
    case Criterion::MountPoint:
        break;
    }
    return compareMountPoints(patterns, subject.mountPoints);
}

} // namespace

std::string_view name(Criterion criterion) { return names[static_cast<std::size_t>(criterion)]; }

std::optional<Criterion> findCriterion(std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
        return std::nullopt;
    return static_cast<Criterion>(found - names.begin());
}

std::optional<std::string> mismatch(const Rule &rule, const Subject &subject) {
    for (std::size_t i = 0; i < criterionCount; ++i) {
        if (rule.match[i].empty())
            continue;
        if (auto reason = compare(static_cast<Criterion>(i), rule.match[i], subject))
            return reason;
    }
    return std::nullopt;
}

} // namespace fusewb::policy
