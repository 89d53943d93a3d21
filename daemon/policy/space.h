// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include <cctype>
#include <string_view>

namespace fusewb::policy {

inline bool isSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// The text without the white space at both ends.
inline std::string_view trimmed(std::string_view text) {
    while (!text.empty() && isSpace(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && isSpace(text.back()))
        text.remove_suffix(1);
    return text;
}

} // namespace fusewb::policy
