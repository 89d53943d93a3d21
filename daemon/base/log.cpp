// SPDX-License-Identifier: GPL-2.0-only
#include "base/log.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace fusewb::log {

namespace {

Level threshold = Level::Info;

// systemd sets JOURNAL_STREAM when standard error is the journal, which understands "<N>".
bool journalReads() {
    static const bool answer = std::getenv("JOURNAL_STREAM") != nullptr;
    return answer;
}

} // namespace

void setLevel(Level level) { threshold = level; }

bool enabled(Level level) { return static_cast<int>(level) <= static_cast<int>(threshold); }

void write(Level level, std::string_view line) {
    std::string text(line);
    std::replace(text.begin(), text.end(), '\n', ' ');
    if (journalReads())
        text.insert(0, "<" + std::to_string(static_cast<int>(level)) + ">");
    else
        text.insert(0, "fusewbd: ");
    text.push_back('\n');
    std::cerr << text << std::flush;
}

} // namespace fusewb::log
