// SPDX-License-Identifier: GPL-2.0-only
// Text for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fusewb::ctl {

enum class Colour { None, Bold, Green, Yellow, Red, Dim };

/// The text in that colour, where colours are on.
std::string coloured(Colour colour, std::string_view text);

/// On for a terminal, unless NO_COLOR is set; off before the first call.
void chooseColours(bool terminal);

/// Columns as wide as what is in them, two spaces apart.
class Table {
public:
    explicit Table(std::vector<std::string> titles);

    /// As many cells as there are titles.
    void add(std::vector<std::string> cells);

    std::string text() const;

private:
    std::vector<std::vector<std::string>> rows_;
};

/// Columns that the text takes on a terminal; escape sequences take none.
std::size_t widthOf(std::string_view text);

/// Its first columns, where there are more; an escape sequence is not cut.
std::string cut(std::string_view text, std::size_t columns);

/// What is not to be printed as it is (control characters in names of files) made visible.
std::string printable(std::string_view text);

/// Three digits and a suffix: "812", "1.3k", "45M".
std::string shortNumber(double number);

/// "1.3s", "45ms", "812us", "3min".
std::string shortDuration(std::uint64_t usec);

} // namespace fusewb::ctl
