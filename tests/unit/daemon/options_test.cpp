// SPDX-License-Identifier: GPL-2.0-only
#include "core/options.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <initializer_list>
#include <vector>

namespace fusewb {
namespace {

std::variant<core::Options, core::Ending> parse(std::initializer_list<const char *> arguments) {
    std::vector<const char *> argv{"fusewbd"};
    argv.insert(argv.end(), arguments);
    return core::parse(static_cast<int>(argv.size()), argv.data(), "1.2.3");
}

// One line, on standard error, with status 2, which names what is wrong.
void expectMistake(std::initializer_list<const char *> arguments, const std::string &named) {
    const auto parsed = parse(arguments);
    const auto *ending = std::get_if<core::Ending>(&parsed);
    ASSERT_NE(ending, nullptr);
    EXPECT_EQ(ending->status, 2);
    EXPECT_EQ(std::count(ending->text.begin(), ending->text.end(), '\n'), 1) << ending->text;
    EXPECT_EQ(ending->text.rfind("fusewbd: ", 0), 0U) << ending->text;
    EXPECT_NE(ending->text.find(named), std::string::npos) << ending->text;
}

TEST(Options, NoneMeansInfo) {
    const auto parsed = parse({});
    ASSERT_TRUE(std::holds_alternative<core::Options>(parsed));
    EXPECT_EQ(std::get<core::Options>(parsed).logLevel, log::Level::Info);
}

TEST(Options, LogLevelIsTaken) {
    for (const auto &[name, level] : {std::pair{"error", log::Level::Error},
                                      {"warning", log::Level::Warning},
                                      {"info", log::Level::Info},
                                      {"debug", log::Level::Debug}}) {
        const auto parsed = parse({"--log-level", name});
        ASSERT_TRUE(std::holds_alternative<core::Options>(parsed)) << name;
        EXPECT_EQ(std::get<core::Options>(parsed).logLevel, level) << name;
    }
}

TEST(Options, BoundOfMountsIsTaken) {
    const auto parsed = parse({"--mounts-per-user", "7"});
    ASSERT_TRUE(std::holds_alternative<core::Options>(parsed));
    EXPECT_EQ(std::get<core::Options>(parsed).mountsPerUser, 7U);
    EXPECT_EQ(std::get<core::Options>(parse({})).mountsPerUser, 100U);
}

TEST(Options, VersionAndHelpEndWithSuccess) {
    const auto version = parse({"--version"});
    ASSERT_TRUE(std::holds_alternative<core::Ending>(version));
    EXPECT_EQ(std::get<core::Ending>(version).status, 0);
    EXPECT_EQ(std::get<core::Ending>(version).text, "fusewbd 1.2.3\n");
    const auto help = parse({"--help"});
    ASSERT_TRUE(std::holds_alternative<core::Ending>(help));
    EXPECT_EQ(std::get<core::Ending>(help).status, 0);
    EXPECT_NE(std::get<core::Ending>(help).text.find("--log-level"), std::string::npos);
}

TEST(Options, MistakesAreOneLineThatNamesThem) {
    expectMistake({"--log-level", "loud"}, "loud");
    expectMistake({"--log-level"}, "--log-level");
    expectMistake({"--mounts-per-user", "-1"}, "-1");
    expectMistake({"--mounts-per-user", "many"}, "many");
    expectMistake({"--bogus"}, "--bogus");
    expectMistake({"bogus"}, "bogus");
}

} // namespace
} // namespace fusewb
