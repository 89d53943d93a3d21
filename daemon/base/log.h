// SPDX-License-Identifier: GPL-2.0-only
// One line a message: into the journal with fields to search by where standard error is the
// journal, else on standard error.
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fusewb::log {

/// In the order of syslog(3): a smaller value is more urgent.
enum class Level { Error = 3, Warning = 4, Info = 6, Debug = 7 };

/// What a message is about, under the names of fusewbd(8), such as {"FUSEWB_CONNECTION", "3"}.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// Messages less urgent than the level are dropped from here on. The default is Info.
void setLevel(Level level);

/// Whether a message of this level is written.
bool enabled(Level level);

/// Writes the line; line breaks in it become spaces.
void write(Level level, std::string_view line, const Fields &fields = {});

template <typename... Parts> void line(Level level, const Fields &fields, const Parts &...parts) {
    if (!enabled(level))
        return;
    std::ostringstream text;
    (text << ... << parts);
    write(level, text.str(), fields);
}

template <typename... Parts> void error(const Parts &...parts) { line(Level::Error, {}, parts...); }
template <typename... Parts> void warning(const Parts &...parts) {
    line(Level::Warning, {}, parts...);
}
template <typename... Parts> void info(const Parts &...parts) { line(Level::Info, {}, parts...); }
template <typename... Parts> void debug(const Parts &...parts) { line(Level::Debug, {}, parts...); }

template <typename... Parts> void warning(const Fields &fields, const Parts &...parts) {
    line(Level::Warning, fields, parts...);
}
template <typename... Parts> void info(const Fields &fields, const Parts &...parts) {
    line(Level::Info, fields, parts...);
}

} // namespace fusewb::log
