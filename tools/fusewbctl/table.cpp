// SPDX-License-Identifier: GPL-2.0-only
#include "fusewbctl/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace fusewb::ctl {

namespace {

bool colours = false;

constexpr char escape = '\033';

// The length of the escape sequence that the text begins with; 0: none.
std::size_t escapeLength(std::string_view text) {
    if (text.size() < 2 || text[0] != escape || text[1] != '[')
        return 0;
    const std::size_t end = text.find_first_not_of("0123456789;", 2);
    return end == std::string_view::npos ? text.size() : end + 1;
}

bool continuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

} // namespace

void chooseColours(bool terminal) {
    const char *no = std::getenv("NO_COLOR");
    colours = terminal && (!no || !*no);
}

std::string coloured(Colour colour, std::string_view text) {
    constexpr std::array<const char *, 6> codes{"", "1", "32", "33", "31", "2"};
    if (!colours || colour == Colour::None || text.empty())
        return std::string(text);
    return std::string("\033[") + codes[static_cast<std::size_t>(colour)] + "m" +
           std::string(text) + "\033[0m";
}

std::size_t widthOf(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const std::size_t skip = escapeLength(text);
        if (skip == 0 && !continuesCharacter(text.front()))
            ++width;
        text.remove_prefix(skip == 0 ? 1 : skip);
    }
    return width;
}

std::string cut(std::string_view text, std::size_t columns) {
    std::string kept;
    std::size_t width = 0;
    while (!text.empty()) {
        const std::size_t skip = escapeLength(text);
        const std::size_t take = skip == 0 ? 1 : skip;
        const bool starts = skip == 0 && !continuesCharacter(text.front());
        if (starts && width == columns) {
            // What ends a colour is still wanted.
            text.remove_prefix(take);
            while (!text.empty()) {
                const std::size_t code = escapeLength(text);
                if (code > 0)
                    kept += text.substr(0, code);
                text.remove_prefix(code > 0 ? code : 1);
            }
            break;
        }
        width += starts ? 1 : 0;
        kept += text.substr(0, take);
        text.remove_prefix(take);
    }
    return kept;
}

std::string printable(std::string_view text) {
    std::string safe;
    for (const char byte : text) {
        const auto value = static_cast<unsigned char>(byte);
        if (value >= 32 && value != 127) {
            safe += byte;
            continue;
        }
        char code[5];
        std::snprintf(code, sizeof code, "\\%03o", value);
        safe += code;
    }
    return safe;
}

Table::Table(std::vector<std::string> titles) {
    for (std::string &title : titles)
        title = coloured(Colour::Bold, title);
    rows_.push_back(std::move(titles));
}

void Table::add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

std::string Table::text() const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto &row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], widthOf(row[i]));
    std::string all;
    for (const auto &row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += row[i];
            if (i + 1 < row.size())
                line.append(widths[i] - widthOf(row[i]) + 2, ' ');
        }
        line.erase(line.find_last_not_of(' ') + 1);
        all += line + "\n";
    }
    return all;
}

std::string shortNumber(double number) {
    constexpr std::array<const char *, 7> suffixes{"", "k", "M", "G", "T", "P", "E"};
    std::size_t power = 0;
    while (number >= 999.5 && power + 1 < suffixes.size()) {
        number /= 1000;
        ++power;
    }
    char text[32];
    std::snprintf(text, sizeof text, number < 9.95 && power > 0 ? "%.1f%s" : "%.0f%s", number,
                  suffixes[power]);
    return text;
}

std::string shortDuration(std::uint64_t usec) {
    const double value = static_cast<double>(usec);
    char text[32];
    if (usec < 1000)
        std::snprintf(text, sizeof text, "%.0fus", value);
    else if (usec < 1'000'000)
        std::snprintf(text, sizeof text, usec < 10'000 ? "%.1fms" : "%.0fms", value / 1e3);
    else if (usec < 120'000'000)
        std::snprintf(text, sizeof text, usec < 10'000'000 ? "%.1fs" : "%.0fs", value / 1e6);
    else if (usec < 7'200'000'000)
        std::snprintf(text, sizeof text, "%.0fmin", value / 60e6);
    else
        std::snprintf(text, sizeof text, "%.0fh", value / 3600e6);
    return text;
}

} // namespace fusewb::ctl
