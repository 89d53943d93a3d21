// SPDX-License-Identifier: GPL-2.0-only
// What of fusewbctl needs no bus.
#include "fusewbctl/assignment.h"
#include "fusewbctl/commands.h"
#include "fusewbctl/json.h"
#include "fusewbctl/table.h"
#include "fusewbctl/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fusewb::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string complaint(const std::vector<std::string> &words) {
    try {
        parseAssignments(words);
    } catch (const Problem &problem) {
        EXPECT_EQ(problem.status, Exit::Usage);
        return problem.what;
    }
    return "none";
}

TEST(Assignments, AreReadAsInARule) {
    const Assignments read =
        parseAssignments({"Writeback=direct", "WritebackDeadlineSec=1min 30s", "SyncWaits=yes",
                          "MaxDirtyRatio=5%", "MaxWriteSize=4M", "RetrySec="});
    EXPECT_EQ(read.values.at("WritebackPolicy").get<std::string>(), "direct");
    EXPECT_EQ(read.values.at("WritebackDeadlineUSec").get<std::uint64_t>(), 90'000'000U);
    EXPECT_TRUE(read.values.at("SyncWaits").get<bool>());
    EXPECT_EQ(read.values.at("MaxDirtyRatio").get<std::uint32_t>(), 5U);
    EXPECT_EQ(read.values.at("MaxWriteSize").get<std::uint32_t>(), 4U << 20);
    EXPECT_THAT(read.reset, ElementsAre("RetryUSec"));
}

TEST(Assignments, ThatAreWrongAreRefusedWithWhatWouldBeRight) {
    EXPECT_THAT(complaint({"Writeback"}), HasSubstr("\"Writeback\" is not KEY=VALUE"));
    EXPECT_THAT(complaint({"Speed=high"}), HasSubstr("there is no key \"Speed\"; there are "
                                                     "Writeback, WritebackDeadlineSec"));
    EXPECT_THAT(complaint({"Writeback=fast"}),
                HasSubstr("Writeback: \"fast\" is not copy or direct"));
}

TEST(Table, HasColumnsAsWideAsTheirCells) {
    Table table({"A", "LONG", "C"});
    table.add({"one", "2", ""});
    table.add({"\u00e4", "four4", "x"});
    EXPECT_EQ(table.text(), "A    LONG   C\n"
                            "one  2\n"
                            "\u00e4    four4  x\n");
}

TEST(Text, IsCutByColumnsNotBytes) {
    EXPECT_EQ(widthOf("\033[1m\u00e4b\033[0m"), 2U);
    EXPECT_EQ(cut("\033[1m\u00e4bc\033[0m", 2), "\033[1m\u00e4b\033[0m");
    EXPECT_EQ(cut("abc", 5), "abc");
    EXPECT_EQ(cut("abc", 0), "");
    EXPECT_EQ(widthOf("\033["), 0U);
}

TEST(Text, ControlCharactersAreMadeVisible) {
    EXPECT_EQ(printable("/mnt/\033[2Jx\n"), "/mnt/\\033[2Jx\\012");
    EXPECT_EQ(printable("/mnt/\u00e4"), "/mnt/\u00e4");
}

TEST(Text, NumbersAndTimesAreShort) {
    EXPECT_EQ(shortNumber(0), "0");
    EXPECT_EQ(shortNumber(999), "999");
    EXPECT_EQ(shortNumber(1300), "1.3k");
    EXPECT_EQ(shortNumber(45'400'000), "45M");
    EXPECT_EQ(shortNumber(999'600), "1.0M");
    EXPECT_EQ(shortDuration(812), "812us");
    EXPECT_EQ(shortDuration(1300), "1.3ms");
    EXPECT_EQ(shortDuration(45'000), "45ms");
    EXPECT_EQ(shortDuration(31'000'000), "31s");
    EXPECT_EQ(shortDuration(600'000'000), "10min");
    EXPECT_EQ(shortDuration(86'400'000'000), "24h");
}

Connection connectionOf(int id, std::uint64_t requests, std::uint64_t fast, std::uint64_t slow) {
    Connection connection{"/org/fusewb/connection/" + std::to_string(id), {}};
    std::vector<std::uint64_t> counts(32);
    counts[4] = fast;
    counts[20] = slow;
    connection.properties["Requests"] = sdbus::Variant(requests);
    connection.properties["BytesDirect"] = sdbus::Variant(requests * 1000);
    connection.properties["State"] = sdbus::Variant(std::string("ready"));
    connection.properties["Waiting"] = sdbus::Variant(std::uint64_t{1});
    connection.properties["MountPoints"] =
        sdbus::Variant(std::vector<std::string>{"/mnt/" + std::to_string(id)});
    connection.properties["Latencies"] = sdbus::Variant(
        std::map<std::string, std::vector<std::uint64_t>>{{"read", counts}, {"lock", {1}}});
    return connection;
}

TEST(TopView, PercentileIsTheEndOfItsBucket) {
    EXPECT_EQ(percentile({}, 0.5), 0U);
    EXPECT_EQ(percentile({0, 0, 0}, 0.5), 0U);
    EXPECT_EQ(percentile({1}, 0.5), 1U);
    EXPECT_EQ(percentile({0, 99, 1}, 0.5), 2U);
    EXPECT_EQ(percentile({0, 99, 1}, 0.999), 4U);
}

TEST(TopView, RatesAreThoseBetweenTwoLooks) {
    const auto rows = rowsOf({connectionOf(1, 100, 50, 0)},
                             {connectionOf(1, 300, 149, 1), connectionOf(2, 9, 9, 0)}, 2.0,
                             {{"/org/fusewb/connection/1", 7'000'000}});
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].requests, 100);
    EXPECT_EQ(rows[0].bytesWritten, 100'000);
    EXPECT_EQ(rows[0].typicalUSec, 16U);
    EXPECT_EQ(rows[0].slowUSec, 16U);
    EXPECT_EQ(rows[0].oldestUSec, 7'000'000U);
    // The second was not there before.
    EXPECT_EQ(rows[1].requests, 0);
    EXPECT_EQ(rows[1].slowUSec, 0U);
}

TEST(TopView, FitsOnEveryScreen) {
    std::vector<Connection> many;
    for (int id = 1; id <= 100; ++id)
        many.push_back(connectionOf(id, 1'000'000'000, 1, 1));
    const auto rows = rowsOf(many, many, 1, {});
    for (const std::size_t lines : {1U, 2U, 3U, 4U, 24U, 200U})
        for (const std::size_t columns : {1U, 20U, 80U}) {
            const auto screen =
                render(rows, TopOrder::Id, "/org/fusewb/connection/90", "keys", columns, lines);
            EXPECT_LE(screen.size(), lines);
            for (const std::string &line : screen)
                EXPECT_LE(widthOf(line), columns);
        }
}

TEST(TopView, SelectedRowIsOnTheScreen) {
    std::vector<Connection> many;
    for (int id = 1; id <= 100; ++id)
        many.push_back(connectionOf(id, 1, 1, 1));
    const auto screen = render(rowsOf(many, many, 1, {}), TopOrder::Id, "/org/fusewb/connection/90",
                               "keys", 80, 24);
    ASSERT_EQ(screen.size(), 24U);
    EXPECT_THAT(screen, testing::Contains(HasSubstr(">90 ")));
    EXPECT_EQ(screen.back(), "keys");
    EXPECT_THAT(screen[22], HasSubstr("/mnt/90"));
}

TEST(TopView, OrderGoesRound) {
    TopOrder order = TopOrder::Id;
    std::set<std::string_view> names;
    for (int i = 0; i < 6; ++i, order = next(order))
        names.insert(name(order));
    EXPECT_EQ(names.size(), 6U);
    EXPECT_EQ(order, TopOrder::Id);
    std::vector<TopRow> rows(2);
    rows[1].waiting = 5;
    sortRows(rows, TopOrder::Waiting);
    EXPECT_EQ(rows[0].waiting, 5U);
}

TEST(Json, HasMembersUnderTheirOwnNamesAndTypes) {
    const Json json = toJson(connectionOf(7, 42, 1, 0));
    EXPECT_EQ(json["Connection"], 7);
    EXPECT_EQ(json["Requests"], 42);
    EXPECT_EQ(json["MountPoints"][0], "/mnt/7");
    EXPECT_EQ(json["Latencies"]["read"][4], 1);
}

TEST(Json, BytesThatAreNoTextAreReplaced) {
    EXPECT_EQ(dump(Json("/mnt/\xff"), -1), "\"/mnt/\xef\xbf\xbd\"");
}

} // namespace
} // namespace fusewb::ctl
