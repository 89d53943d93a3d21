// SPDX-License-Identifier: GPL-2.0-only
// The command line.
#pragma once

#include "base/log.h"

#include <cstddef>
#include <string>
#include <variant>

namespace fusewb::core {

struct Options {
    log::Level logLevel = log::Level::Info;
    std::size_t mountsPerUser = 100;
};

/// There is nothing to run: a text to print and the status to exit with.
struct Ending {
    int status;
    std::string text; // to standard output if the status is 0, else to standard error
};

/// Reads the command line; --help, --version and mistakes make an Ending.
std::variant<Options, Ending> parse(int argc, const char *const *argv, const std::string &version);

} // namespace fusewb::core
