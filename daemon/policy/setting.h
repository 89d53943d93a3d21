// SPDX-License-Identifier: GPL-2.0-only
// What can be decided about a connection, as one table: rule files, the bus, the kernel link and
// the command line all go by it.
#pragma once

#include "base/result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fusewb::policy {

enum class Setting : std::size_t {
    Writeback,
    WritebackDeadline,
    MetadataDeadline,
    ReadDeadline,
    LockDeadline,
    RequestDeadline,
    DeadlineAction,
    Retry,
    SyncWaits,
    MaxDirtyRatio,
    StrictLimit,
    MaxWriteSize,
    SpliceFolios,
    ForceWritebackCache,
};

inline constexpr std::size_t settingCount = 14;

/// What the number behind a setting means.
enum class Kind {
    Choice,   // the index in Description::choices
    Duration, // microseconds, whole milliseconds; 0: none
    Boolean,  // 0 or 1
    Percent,
    Size, // bytes
};

struct Description {
    Setting setting;
    std::string_view key;      // in rule files and on the command line
    std::string_view property; // on the bus
    Kind kind;
    std::uint64_t minimum; // the smallest number there may be; a size may be 0 as well: no limit
    std::uint64_t maximum; // the largest
    std::span<const std::string_view> choices;
};

/// All settings, in the order of the enumeration.
std::span<const Description> settings();

const Description &describe(Setting setting);

/// Null if there is no setting of that name.
const Description *findByKey(std::string_view key);
const Description *findByProperty(std::string_view property);

/// Whether a number is one that the setting can have; the failure says what would be right.
Outcome check(const Description &description, std::uint64_t value);

/// The number behind a value as people write it.
Result<std::uint64_t> parseValue(const Description &description, std::string_view text);

/// The value as people write it: "direct", "30s", "yes", "5%", "1M".
std::string formatValue(const Description &description, std::uint64_t value);

/// Some or all of the settings.
class Values {
public:
    std::optional<std::uint64_t> get(Setting setting) const {
        return values_[static_cast<std::size_t>(setting)];
    }
    void set(Setting setting, std::uint64_t value) {
        values_[static_cast<std::size_t>(setting)] = value;
    }
    void clear(Setting setting) { values_[static_cast<std::size_t>(setting)].reset(); }
    bool empty() const;

    /// Takes over what the other has.
    void add(const Values &other);

    bool operator==(const Values &) const = default;

private:
    std::array<std::optional<std::uint64_t>, settingCount> values_;
};

} // namespace fusewb::policy
