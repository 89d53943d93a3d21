// SPDX-License-Identifier: GPL-2.0-only
#include "policy/units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fusewb::policy {
namespace {

constexpr std::uint64_t second = 1'000'000;

struct Span {
    const char *text;
    std::uint64_t usec;
};

class DurationTest : public testing::TestWithParam<Span> {};

TEST_P(DurationTest, IsReadAsSystemdDoes) {
    const auto usec = parseDuration(GetParam().text);
    ASSERT_TRUE(usec) << usec.failure().what;
    EXPECT_EQ(*usec, GetParam().usec);
}

INSTANTIATE_TEST_SUITE_P(
    Spans, DurationTest,
    testing::Values(Span{"0", 0}, Span{"30", 30 * second}, Span{" 30 s ", 30 * second},
                    Span{"2 h", 7200 * second}, Span{"2hours", 7200 * second},
                    Span{"1min 30s", 90 * second}, Span{"1min30s", 90 * second},
                    Span{"1h 1", 3601 * second}, Span{"500ms", 500'000}, Span{"1.5s", 1'500'000},
                    Span{"0.001", 1000}, Span{"17us", 17}, Span{"17\u00b5s", 17},
                    Span{"1.0000009s", second}, Span{"1w 1d", 8 * 86400 * second},
                    Span{"1M", 2'630'016 * second}, Span{"1y", 31'557'600 * second},
                    Span{"infinity", infiniteUSec}));

class NoDurationTest : public testing::TestWithParam<const char *> {};

TEST_P(NoDurationTest, IsRefusedWithAReason) {
    const auto usec = parseDuration(GetParam());
    ASSERT_FALSE(usec);
    EXPECT_FALSE(usec.failure().what.empty());
}

INSTANTIATE_TEST_SUITE_P(NoSpans, NoDurationTest,
                         testing::Values("", " ", "s", "-1", "+1", "1,5s", "1.", "1. s", ".5",
                                         "1 fortnight", "5 5x", "infinity 1s", "0x10",
                                         "18446744073709551615us", "18446744073710s",
                                         "99999999999999999999999", "1s;", "1\n2x"));

TEST(Duration, IsWrittenAsItWouldBeRead) {
    for (const std::uint64_t usec :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{999'999}, 90 * second,
          86'400 * second + 17, std::uint64_t{123456789012345}, infiniteUSec}) {
        const auto again = parseDuration(formatDuration(usec));
        ASSERT_TRUE(again) << formatDuration(usec);
        EXPECT_EQ(*again, usec) << formatDuration(usec);
    }
    EXPECT_EQ(formatDuration(90 * second), "1min 30s");
    EXPECT_EQ(formatDuration(1'500'000), "1s 500ms");
    EXPECT_EQ(formatDuration(0), "0");
}

TEST(Size, IsReadWithSuffixesOfPowersOf1024) {
    EXPECT_EQ(*parseSize("0"), 0U);
    EXPECT_EQ(*parseSize("65536"), 65536U);
    EXPECT_EQ(*parseSize("512B"), 512U);
    EXPECT_EQ(*parseSize("64K"), 65536U);
    EXPECT_EQ(*parseSize(" 1.5 M "), 1572864U);
    EXPECT_EQ(*parseSize("2G"), 2147483648U);
    EXPECT_EQ(*parseSize("1E"), 1ULL << 60);
}

TEST(Size, ThatIsNoneIsRefused) {
    for (const char *text : {"", "K", "1 2", "1KK", "1k", "1MiB", "-1", "16E", "1.K", "1K 1K"})
        EXPECT_FALSE(parseSize(text)) << text;
}

TEST(Size, IsWrittenAsItWouldBeRead) {
    for (const std::uint64_t bytes : {0ULL, 1ULL, 1023ULL, 1024ULL, 1572864ULL, 1ULL << 60})
        EXPECT_EQ(*parseSize(formatSize(bytes)), bytes);
    EXPECT_EQ(formatSize(1048576), "1M");
    EXPECT_EQ(formatSize(1572864), "1536K");
    EXPECT_EQ(formatSize(1000), "1000");
}

TEST(Boolean, HasTheWordsOfSystemd) {
    for (const char *word : {"yes", "YES", "true", "On", "1", "y", "t"})
        EXPECT_TRUE(*parseBoolean(word)) << word;
    for (const char *word : {"no", "False", "off", "0", "n", "f"})
        EXPECT_FALSE(*parseBoolean(word)) << word;
    for (const char *word : {"", "maybe", "2", "yes no"})
        EXPECT_FALSE(parseBoolean(word)) << word;
}

} // namespace
} // namespace fusewb::policy
