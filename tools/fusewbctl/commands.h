// SPDX-License-Identifier: GPL-2.0-only
// The commands. Each prints what it has to say and returns what to exit with, or throws a Problem.
#pragma once

#include "fusewbctl/bus.h"

#include <string>
#include <vector>

namespace fusewb::ctl {

/// For people, or for programs.
enum class Style { Text, Json };

Exit list(Style style);
Exit status(Style style, const std::string &connection); // empty: of the whole
Exit set(const std::string &connection, const std::vector<std::string> &assignments);
/// Sets for as long as the command runs, and returns its exit status.
int setWhile(const std::string &connection, const std::vector<std::string> &assignments,
             const std::vector<std::string> &command);
Exit abort(const std::string &connection);
Exit showPolicy(Style style);
Exit explainPolicy(Style style, const std::string &connection);
/// Reads files, or all that the daemon would read; asks no daemon.
Exit checkPolicy(Style style, const std::vector<std::string> &files);
Exit reloadPolicy();
Exit monitor(Style style);
struct TopOptions {
    double seconds = 2;
    unsigned rounds = 0; // 0: until it is told to stop
};
Exit top(Style style, const TopOptions &options);
Exit doctor(Style style);

} // namespace fusewb::ctl
