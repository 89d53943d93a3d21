// SPDX-License-Identifier: GPL-2.0-only
#include "policy/setting.h"

#include "policy/units.h"

#include <algorithm>
#include <cerrno>

namespace fusewb::policy {

namespace {

using namespace std::string_view_literals;

constexpr std::array writebacks{"copy"sv, "direct"sv};
constexpr std::array actions{"report"sv, "fail"sv, "abort"sv};

// The kernel counts milliseconds in 32 bits: 49 days.
constexpr std::uint64_t maxDuration = 0xffffffffULL * 1000;

// A page, of which the kernel sends no less than a whole one.
constexpr std::uint64_t minSize = 4096;
constexpr std::uint64_t maxSize = 0xffffffffULL;

constexpr Description duration(Setting setting, std::string_view key, std::string_view property) {
    return {setting, key, property, Kind::Duration, 0, maxDuration, {}};
}

constexpr Description boolean(Setting setting, std::string_view name) {
    return {setting, name, name, Kind::Boolean, 0, 1, {}};
}

constexpr std::array table{
    Description{Setting::Writeback, "Writeback", "WritebackPolicy", Kind::Choice, 0,
                writebacks.size() - 1, writebacks},
    duration(Setting::WritebackDeadline, "WritebackDeadlineSec", "WritebackDeadlineUSec"),
    duration(Setting::MetadataDeadline, "MetadataDeadlineSec", "MetadataDeadlineUSec"),
    duration(Setting::ReadDeadline, "ReadDeadlineSec", "ReadDeadlineUSec"),
    duration(Setting::LockDeadline, "LockDeadlineSec", "LockDeadlineUSec"),
    duration(Setting::RequestDeadline, "RequestDeadlineSec", "RequestDeadlineUSec"),
    Description{Setting::DeadlineAction, "DeadlineAction", "DeadlineAction", Kind::Choice, 0,
                actions.size() - 1, actions},
    duration(Setting::Retry, "RetrySec", "RetryUSec"),
    boolean(Setting::SyncWaits, "SyncWaits"),
    Description{
        Setting::MaxDirtyRatio, "MaxDirtyRatio", "MaxDirtyRatio", Kind::Percent, 1, 100, {}},
    boolean(Setting::StrictLimit, "StrictLimit"),
    Description{
        Setting::MaxWriteSize, "MaxWriteSize", "MaxWriteSize", Kind::Size, minSize, maxSize, {}},
    boolean(Setting::SpliceFolios, "SpliceFolios"),
    boolean(Setting::ForceWritebackCache, "ForceWritebackCache"),
};

static_assert(table.size() == settingCount);
static_assert([] {
    for (std::size_t i = 0; i < table.size(); ++i)
        if (static_cast<std::size_t>(table[i].setting) != i)
            return false;
    return true;
}());

Failure invalid(std::string what) { return {std::move(what), EINVAL}; }

std::string listed(std::span<const std::string_view> choices) {
    std::string text;
    for (std::size_t i = 0; i < choices.size(); ++i) {
        if (i > 0)
            text += i + 1 == choices.size() ? " or " : ", ";
        text += choices[i];
    }
    return text;
}

Result<std::uint64_t> parseChoice(const Description &description, std::string_view text) {
    const auto found = std::find(description.choices.begin(), description.choices.end(), text);
    if (found == description.choices.end())
        return invalid("\"" + std::string(text) + "\" is not " + listed(description.choices));
    return static_cast<std::uint64_t>(found - description.choices.begin());
}

Result<std::uint64_t> parsePlain(const Description &description, std::string_view text) {
    switch (description.kind) {
    case Kind::Choice:
        return parseChoice(description, text);
    case Kind::Duration: {
        auto span = parseDuration(text);
        if (span && *span == infiniteUSec)
            return std::uint64_t{0};
        return span;
    }
    case Kind::Boolean: {
        const auto answer = parseBoolean(text);
        if (!answer)
            return answer.failure();
        return std::uint64_t{*answer ? 1U : 0U};
    }
    case Kind::Percent:
        if (!text.empty() && text.back() == '%')
            text.remove_suffix(1);
        return parseNumber(text);
    case Kind::Size:
        break;
    }
    return parseSize(text);
}

} // namespace

std::span<const Description> settings() { return table; }

const Description &describe(Setting setting) { return table[static_cast<std::size_t>(setting)]; }

const Description *findByKey(std::string_view key) {
    const auto found = std::find_if(table.begin(), table.end(),
                                    [key](const Description &entry) { return entry.key == key; });
    return found == table.end() ? nullptr : &*found;
}

const Description *findByProperty(std::string_view property) {
    const auto found =
        std::find_if(table.begin(), table.end(),
                     [property](const Description &entry) { return entry.property == property; });
    return found == table.end() ? nullptr : &*found;
}

Outcome check(const Description &description, std::uint64_t value) {
    if (description.kind == Kind::Duration && value % 1000 != 0)
        return invalid(formatDuration(value) + " is not a number of whole milliseconds");
    if (value > description.maximum) {
        if (description.kind == Kind::Choice)
            return invalid("there is no such choice");
        return invalid(formatValue(description, value) + " is more than " +
                       formatValue(description, description.maximum));
    }
    if (description.kind == Kind::Size && value != 0 && value < description.minimum)
        return invalid(formatValue(description, value) + " is neither 0 nor " +
                       formatValue(description, description.minimum) + " or more");
    if (description.kind != Kind::Size && value < description.minimum)
        return invalid(formatValue(description, value) + " is less than " +
                       formatValue(description, description.minimum));
    return done();
}

Result<std::uint64_t> parseValue(const Description &description, std::string_view text) {
    auto value = parsePlain(description, text);
    if (!value)
        return value;
    if (Outcome good = check(description, *value); !good)
        return good.failure();
    return value;
}

std::string formatValue(const Description &description, std::uint64_t value) {
    switch (description.kind) {
    case Kind::Choice:
        return value < description.choices.size() ? std::string(description.choices[value])
                                                  : "unknown";
    case Kind::Duration:
        return value == 0 ? "infinity" : formatDuration(value);
    case Kind::Boolean:
        return value != 0 ? "yes" : "no";
    case Kind::Percent:
        return std::to_string(value) + "%";
    case Kind::Size:
        break;
    }
    return formatSize(value);
}

bool Values::empty() const {
    return std::none_of(values_.begin(), values_.end(),
                        [](const auto &value) { return value.has_value(); });
}

void Values::add(const Values &other) {
    for (std::size_t i = 0; i < values_.size(); ++i)
        if (other.values_[i])
            values_[i] = other.values_[i];
}

} // namespace fusewb::policy
