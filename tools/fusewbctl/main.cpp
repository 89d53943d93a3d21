// SPDX-License-Identifier: GPL-2.0-only
// fusewbctl: see fusewbctl(1).
#include "fusewbctl/commands.h"
#include "fusewbctl/table.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <iostream>
#include <unistd.h>

namespace {

using namespace fusewb::ctl;

constexpr const char *connectionHelp =
    "where it is mounted, the process id of its server, or @ and its number";

int run(int argc, char **argv) {
    CLI::App app("fusewbctl: fusewb file systems, and what is decided about them", "fusewbctl");
    app.set_version_flag("--version", "fusewbctl " FUSEWB_VERSION, "print the version and exit");
    app.set_help_flag("--help,-h", "print this text and exit");
    app.require_subcommand(1);
    app.fallthrough();
    bool json = false;
    app.add_flag("--json", json, "print for programs");

    std::function<int()> chosen;
    std::string connection;
    std::vector<std::string> words;
    std::vector<std::string> command;
    TopOptions options;
    const auto style = [&json] { return json ? Style::Json : Style::Text; };
    const auto choose = [&chosen](CLI::App *verb, std::function<Exit()> what) {
        verb->callback([&chosen, what = std::move(what)] {
            chosen = [what] { return static_cast<int>(what()); };
        });
    };
    const auto takesConnection = [&connection](CLI::App *verb) {
        return verb->add_option("CONNECTION", connection, connectionHelp);
    };

    choose(app.add_subcommand("list", "the connections there are"), [&] { return list(style()); });

    auto *verb = app.add_subcommand("status", "one connection in full, or the whole in short");
    takesConnection(verb);
    choose(verb, [&] { return status(style(), connection); });

    verb = app.add_subcommand("set", "set values of a connection's policy by hand");
    takesConnection(verb)->required();
    verb->add_option("SETTING", words,
                     "KEY=VALUE as in [Policy] of a rule; KEY= takes the hand off again")
        ->required();
    bool during = false;
    verb->add_flag("--while", during, "only while the command after -- runs");
    verb->callback([&] {
        chosen = [&] {
            if (during != !command.empty())
                throw Problem{Exit::Usage, "--while and a command after -- belong together"};
            return during ? setWhile(connection, words, command)
                          : static_cast<int>(set(connection, words));
        };
    });

    verb = app.add_subcommand("abort", "give a connection up: all its requests fail");
    takesConnection(verb)->required();
    choose(verb, [&] { return abort(connection); });

    auto *policy = app.add_subcommand("policy", "the rules");
    policy->require_subcommand(1);
    choose(policy->add_subcommand("show", "the rules in force"),
           [&] { return showPolicy(style()); });
    verb = policy->add_subcommand("explain", "which rule decides about a connection, and why");
    takesConnection(verb)->required();
    choose(verb, [&] { return explainPolicy(style(), connection); });
    verb = policy->add_subcommand("check", "look for errors in rule files");
    verb->add_option("FILE", words, "instead of those that the daemon reads");
    choose(verb, [&] { return checkPolicy(style(), words); });
    choose(policy->add_subcommand("reload", "have the daemon read the rules anew"),
           [&] { return reloadPolicy(); });

    choose(app.add_subcommand("monitor", "print what happens, as it happens"),
           [&] { return monitor(style()); });

    verb = app.add_subcommand("top", "rates and latencies, live");
    verb->add_option("--interval", options.seconds, "seconds between two looks")
        ->capture_default_str()
        ->check(CLI::Range(0.1, 3600.0));
    verb->add_option("--rounds", options.rounds, "print so many looks, and end");
    choose(verb, [&] { return top(style(), options); });

    choose(app.add_subcommand("doctor", "what is missing on this machine"),
           [&] { return doctor(style()); });

    // What is behind "--" is another program's command line.
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const auto split = std::find(arguments.begin(), arguments.end(), "--");
    if (split != arguments.end())
        command.assign(split + 1, arguments.end());
    arguments.erase(split, arguments.end());
    std::reverse(arguments.begin(), arguments.end()); // as CLI11 takes them
    try {
        app.parse(arguments);
    } catch (const CLI::ParseError &error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::Usage);
    }
    if (!command.empty() && !during)
        throw Problem{Exit::Usage, "a command after -- belongs to set --while"};
    return chosen();
}

} // namespace

int main(int argc, char **argv) {
    chooseColours(isatty(STDOUT_FILENO) != 0);
    try {
        return run(argc, argv);
    } catch (const Problem &problem) {
        std::cerr << "fusewbctl: " << problem.what << "\n";
        return static_cast<int>(problem.status);
    } catch (const std::exception &error) {
        std::cerr << "fusewbctl: " << error.what() << "\n";
        return static_cast<int>(Exit::Failure);
    }
}
