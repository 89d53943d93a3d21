// SPDX-License-Identifier: GPL-2.0-only
#include "core/options.h"

#include <CLI/CLI.hpp>
#include <map>

namespace fusewb::core {

namespace {

constexpr int usageError = 2;

std::string firstLine(const std::string &text) { return text.substr(0, text.find('\n')); }

} // namespace

std::variant<Options, Ending> parse(int argc, const char *const *argv, const std::string &version) {
    const std::map<std::string, log::Level> levels{{"error", log::Level::Error},
                                                   {"warning", log::Level::Warning},
                                                   {"info", log::Level::Info},
                                                   {"debug", log::Level::Debug}};
    Options options;
    std::string level = "info";
    CLI::App app("fusewbd: shows the fusewb file systems and their servers on the system bus",
                 "fusewbd");
    app.set_version_flag("--version", "fusewbd " + version, "print the version and exit");
    app.set_help_flag("--help", "print this text and exit");
    app.add_option("--log-level", level,
                   "the least urgent messages to write: error, warning, info or debug")
        ->type_name("LEVEL")
        ->capture_default_str();
    app.add_option("--mounts-per-user", options.mountsPerUser,
                   "how many file systems a user other than root may have mounted")
        ->type_name("NUMBER")
        ->check(CLI::Range(std::size_t{0}, std::size_t{1'000'000}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForVersion &asked) {
        return Ending{0, std::string(asked.what()) + "\n"};
    } catch (const CLI::CallForHelp &) {
        return Ending{0, app.help()};
    } catch (const CLI::ParseError &error) {
        return Ending{usageError, "fusewbd: " + firstLine(error.what()) + "; see fusewbd --help\n"};
    }
    const auto chosen = levels.find(level);
    if (chosen == levels.end())
        return Ending{usageError, "fusewbd: \"" + level +
                                      "\" is no log level; there are error, warning, info and "
                                      "debug\n"};
    options.logLevel = chosen->second;
    return options;
}

} // namespace fusewb::core
