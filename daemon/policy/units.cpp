// SPDX-License-Identifier: GPL-2.0-only
#include "policy/units.h"

#include "policy/space.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

namespace fusewb::policy {

namespace {

constexpr std::uint64_t second = 1'000'000;
constexpr std::uint64_t minute = 60 * second;
constexpr std::uint64_t hour = 60 * minute;
constexpr std::uint64_t day = 24 * hour;

// Places after the point that are looked at: with these the arithmetic stays within 64 bits.
constexpr std::size_t maxPlaces = 9;

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

// The names of systemd.time(7); a month is 30.44 and a year 365.25 days there.
constexpr std::array timeUnits{
    Unit{"usec", 1},
    Unit{"us", 1},
    Unit{"\u00b5s", 1},
    Unit{"\u03bcs", 1},
    Unit{"msec", 1000},
    Unit{"ms", 1000},
    Unit{"seconds", second},
    Unit{"second", second},
    Unit{"sec", second},
    Unit{"s", second},
    Unit{"", second},
    Unit{"minutes", minute},
    Unit{"minute", minute},
    Unit{"min", minute},
    Unit{"m", minute},
    Unit{"hours", hour},
    Unit{"hour", hour},
    Unit{"hr", hour},
    Unit{"h", hour},
    Unit{"days", day},
    Unit{"day", day},
    Unit{"d", day},
    Unit{"weeks", 7 * day},
    Unit{"week", 7 * day},
    Unit{"w", 7 * day},
    Unit{"months", 2'630'016 * second},
    Unit{"month", 2'630'016 * second},
    Unit{"M", 2'630'016 * second},
    Unit{"years", 31'557'600 * second},
    Unit{"year", 31'557'600 * second},
    Unit{"y", 31'557'600 * second},
};

constexpr std::array sizeUnits{
    Unit{"", 1},           Unit{"B", 1},          Unit{"K", 1ULL << 10}, Unit{"M", 1ULL << 20},
    Unit{"G", 1ULL << 30}, Unit{"T", 1ULL << 40}, Unit{"P", 1ULL << 50}, Unit{"E", 1ULL << 60},
};

bool isDigit(char c) { return c >= '0' && c <= '9'; }

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

Failure invalid(std::string what) { return {std::move(what), EINVAL}; }

std::string takeDigits(std::string_view &text) {
    const auto end = std::find_if_not(text.begin(), text.end(), isDigit);
    std::string digits(text.begin(), end);
    text.remove_prefix(digits.size());
    return digits;
}

// "12.5" times the factor. Places after the point that the factor cannot show are cut off, as
// systemd does. Nothing if it does not fit.
std::optional<std::uint64_t> scaled(const std::string &whole, const std::string &fraction,
                                    std::uint64_t factor) {
    std::uint64_t value = 0;
    for (const char digit : whole) {
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, static_cast<std::uint64_t>(digit - '0'), &value))
            return std::nullopt;
    }
    if (__builtin_mul_overflow(value, factor, &value))
        return std::nullopt;
    // In whole numbers, since the binary fractions of a double are not those of the text.
    std::uint64_t numerator = 0;
    std::uint64_t denominator = 1;
    for (const char digit : fraction.substr(0, maxPlaces)) {
        numerator = numerator * 10 + static_cast<std::uint64_t>(digit - '0');
        denominator *= 10;
    }
    const std::uint64_t part =
        factor / denominator * numerator + factor % denominator * numerator / denominator;
    if (__builtin_add_overflow(value, part, &value))
        return std::nullopt;
    return value;
}

// Takes one "NUMBER UNIT" off the front of the text, with or without a space between the two.
template <std::size_t N>
Result<std::uint64_t> takeItem(std::string_view &text, const std::array<Unit, N> &units,
                               const char *what) {
    const std::string_view all = text;
    const std::string whole = takeDigits(text);
    std::string fraction;
    if (!text.empty() && text.front() == '.') {
        text.remove_prefix(1);
        fraction = takeDigits(text);
        if (fraction.empty())
            return invalid(quoted(all) + " is not " + what +
                           ": a digit is missing after the point");
    }
    if (whole.empty())
        return invalid(quoted(all) + " is not " + what);
    std::string_view rest = text;
    while (!rest.empty() && isSpace(rest.front()))
        rest.remove_prefix(1);
    const auto end = std::find_if(rest.begin(), rest.end(),
                                  [](char c) { return isSpace(c) || isDigit(c) || c == '.'; });
    const std::string_view name = rest.substr(0, static_cast<std::size_t>(end - rest.begin()));
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [name](const Unit &known) { return known.name == name; });
    if (unit == units.end())
        return invalid(quoted(name) + " is no unit of " + what);
    text = rest.substr(name.size());
    const auto value = scaled(whole, fraction, unit->factor);
    if (!value || *value == infiniteUSec)
        return invalid(quoted(all) + " is too large");
    return *value;
}

} // namespace

Result<std::uint64_t> parseDuration(std::string_view text) {
    std::string_view rest = trimmed(text);
    if (rest == "infinity")
        return infiniteUSec;
    if (rest.empty())
        return invalid("the time span is empty");
    std::uint64_t sum = 0;
    while (!rest.empty()) {
        const auto item = takeItem(rest, timeUnits, "a time span");
        if (!item)
            return item.failure();
        if (__builtin_add_overflow(sum, *item, &sum) || sum == infiniteUSec)
            return invalid(quoted(text) + " is too large");
        rest = trimmed(rest);
    }
    return sum;
}

std::string formatDuration(std::uint64_t usec) {
    if (usec == infiniteUSec)
        return "infinity";
    constexpr std::array shown{Unit{"w", 7 * day},  Unit{"d", day},    Unit{"h", hour},
                               Unit{"min", minute}, Unit{"s", second}, Unit{"ms", 1000},
                               Unit{"us", 1}};
    std::string text;
    for (const Unit &unit : shown) {
        if (usec < unit.factor)
            continue;
        text += (text.empty() ? "" : " ") + std::to_string(usec / unit.factor);
        text += unit.name;
        usec %= unit.factor;
    }
    return text.empty() ? "0" : text;
}

Result<std::uint64_t> parseSize(std::string_view text) {
    std::string_view rest = trimmed(text);
    if (rest.empty())
        return invalid("the size is empty");
    const auto size = takeItem(rest, sizeUnits, "a size");
    if (size && !rest.empty())
        return invalid(quoted(text) + " is not a size");
    return size;
}

std::string formatSize(std::uint64_t bytes) {
    if (bytes == 0)
        return "0";
    const auto unit =
        std::find_if(sizeUnits.rbegin(), sizeUnits.rend(),
                     [bytes](const Unit &candidate) { return bytes % candidate.factor == 0; });
    return unit->factor == 1 ? std::to_string(bytes)
                             : std::to_string(bytes / unit->factor) + std::string(unit->name);
}

Result<bool> parseBoolean(std::string_view text) {
    std::string lower(trimmed(text));
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const char *word : {"yes", "y", "true", "t", "on", "1"})
        if (lower == word)
            return true;
    for (const char *word : {"no", "n", "false", "f", "off", "0"})
        if (lower == word)
            return false;
    return invalid(quoted(text) + " is neither yes nor no");
}

Result<std::uint64_t> parseNumber(std::string_view text) {
    const std::string_view digits = trimmed(text);
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size())
        return invalid(quoted(text) + " is not a number");
    return value;
}

} // namespace fusewb::policy
