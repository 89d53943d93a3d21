// SPDX-License-Identifier: GPL-2.0-only
// The daemon's tools as they are installed, and rules for the length of a test.
#pragma once

#include <filesystem>
#include <string>

#include "support/passthrough.h"

namespace fusewb::test {

struct Said {
    int status = -1;  // of the exit; -1: it did not exit by itself
    std::string text; // standard output and error
};

// Runs a line of shell.
Said say(const std::string &command);

// fusewbctl with these words, which has to succeed.
// Return: what it says.
std::string ctl(const std::string &words);

void expect_has(const std::string &text, const std::string &part);

// For a shell; the path must have no quote in it.
std::string quoted(const std::filesystem::path &path);

// One value of the policy of what is mounted there, as the daemon shows it; "none" if it does not.
std::string value(const std::filesystem::path &mount_point, const std::string &key);
std::string value(const Passthrough &server, const std::string &key);

// A rule, which nobody has been told of yet. At its end it is gone, and the daemon has been told.
class Rule {
public:
    explicit Rule(const std::string &text);
    ~Rule();
    Rule(const Rule &) = delete;
    Rule &operator=(const Rule &) = delete;

    // Another one in its place.
    void rewrite(const std::string &text) const;

private:
    const std::filesystem::path path_ = "/etc/fusewb/policy.d/10-guest-test.conf";
};

} // namespace fusewb::test
