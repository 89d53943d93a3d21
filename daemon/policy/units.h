// SPDX-License-Identifier: GPL-2.0-only
// Time spans and sizes as systemd's configuration files write them (systemd.time(7)).
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace fusewb::policy {

/// What parseDuration() makes of "infinity".
inline constexpr std::uint64_t infiniteUSec = ~std::uint64_t{0};

/// A time span in microseconds: "30" (seconds), "1min 30s", "2.5h", "500ms", "infinity".
Result<std::uint64_t> parseDuration(std::string_view text);

/// The span in the same syntax, the largest units first: "1min 30s"; 0 is "0".
std::string formatDuration(std::uint64_t usec);

/// A size in bytes: "65536", "64K", "1.5M"; the suffixes B, K, M, G, T, P, E are powers of 1024.
Result<std::uint64_t> parseSize(std::string_view text);

/// The size with the largest suffix that divides it: "1M", "1536K".
std::string formatSize(std::uint64_t bytes);

/// "yes", "true", "on", "1", "no", "false", "off" or "0", in upper or lower case.
Result<bool> parseBoolean(std::string_view text);

/// A decimal number without sign, the whole of the text.
Result<std::uint64_t> parseNumber(std::string_view text);

} // namespace fusewb::policy
