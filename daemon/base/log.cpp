// SPDX-License-Identifier: GPL-2.0-only
#include "base/log.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

namespace fusewb::log {

namespace {

Level threshold = Level::Info;

// systemd says in JOURNAL_STREAM which file the journal's end of standard error is; it may be
// another one by now.
bool journalReads() {
    static const bool answer = [] {
        const char *stream = std::getenv("JOURNAL_STREAM");
        struct stat status {};
        return stream && fstat(STDERR_FILENO, &status) == 0 &&
               stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    }();
    return answer;
}

bool sendToJournal(Level level, const std::string &text, const Fields &fields) {
    std::vector<std::string> all{"MESSAGE=" + text,
                                 "PRIORITY=" + std::to_string(static_cast<int>(level)),
                                 "SYSLOG_IDENTIFIER=fusewbd"};
    for (const auto &[name, value] : fields)
        all.push_back(name + "=" + value);
    std::vector<iovec> parts;
    parts.reserve(all.size());
    for (std::string &each : all)
        parts.push_back({each.data(), each.size()});
    return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

} // namespace

void setLevel(Level level) { threshold = level; }

bool enabled(Level level) { return static_cast<int>(level) <= static_cast<int>(threshold); }

void write(Level level, std::string_view line, const Fields &fields) {
    std::string text(line);
    std::replace(text.begin(), text.end(), '\n', ' ');
    if (!journalReads() || !sendToJournal(level, text, fields))
        std::cerr << "fusewbd: " << text << std::endl;
}

} // namespace fusewb::log
