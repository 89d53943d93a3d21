// SPDX-License-Identifier: GPL-2.0-only
// The in-flight ranges under every interleaving of issue, hand-over, answer, rewrite, reading,
// truncation, direct write, reclaim, migration, recall and expiry. What is checked: world.cpp.
#include <iostream>

#include <gtest/gtest.h>

#include "explorer.h"
#include "world.h"

extern "C" bool model_tree_is_blind;

using namespace fusewb::model;

namespace {

// One task of a scenario.
struct Actor {
    const char *name;
    void (*body)();
};

constexpr Actor write0{"writer", [] { writer(0); }};
constexpr Actor rewrite0{"second writer", [] { writer(0); }};
constexpr Actor write_both{"writer of both pages", [] {
                               world.clients++;
                               writer(0);
                               writer(1);
                           }};
constexpr Actor write_and_sync{"writer and flusher", [] {
                                   world.clients += 2;
                                   writer(0);
                                   writer(1);
                                   flush();
                               }};
constexpr Actor flusher{"flusher", flush};
constexpr Actor syncer{"fsync", fsync_all};
constexpr Actor second_syncer{"second fsync", fsync_all};
constexpr Actor write_and_fsync{"writer and fsync", [] {
                                    world.clients++;
                                    writer(0);
                                    fsync_all();
                                }};
constexpr Actor truncation{"truncation", [] { truncate_from(0); }};
constexpr Actor tail_truncation{"truncation of the second page", [] { truncate_from(1); }};
constexpr Actor direct{"direct write", [] { direct_write(0); }};
constexpr Actor reader{"reader", [] { read_page(0); }};
constexpr Actor reclaimer{"reclaim", reclaim};
constexpr Actor migration{"migration", [] { migrate(0); }};
constexpr Actor recaller{"recall", recall};
constexpr Actor deadline{"deadline", expire};
constexpr Actor server{"server", serve};
constexpr Actor second_server{"second server thread", serve};

struct Allowances {
    std::uint8_t fail = 0, expire = 0, kill = 0;
    bool lost_wakes = false, blind_tree = false, expiry_frees = false, deaf_fsync = false;
};

Explorer::Result explore(std::initializer_list<Actor> actors, const Allowances &allow = {}) {
    unsigned clients = 0;
    Explorer explorer(&world, sizeof(world));
    for (const auto &actor : actors) {
        explorer.add(actor.name, actor.body);
        clients += actor.body != serve;
    }
    begin(clients);
    world.may_fail = allow.fail;
    world.may_expire = allow.expire;
    world.may_kill = allow.kill;
    world.wakes_get_lost = allow.lost_wakes;
    world.fsync_ignores_recalls = allow.deaf_fsync;
    world.expiry_frees_the_range = allow.expiry_frees;
    model_tree_is_blind = allow.blind_tree;
    auto result = explorer.run(check_step, check_end);
    std::cout << result.states << " states, " << result.ends << " ends" << std::endl;
    return result;
}

void expect_to_hold(std::initializer_list<Actor> actors, const Allowances &allow = {}) {
    auto result = explore(actors, allow);
    EXPECT_EQ(result.failure, "");
    EXPECT_TRUE(result.exhausted) << "not all states were seen";
    EXPECT_GT(result.ends, 0u);
}

void expect_to_be_found(const char *what, std::initializer_list<Actor> actors,
                        const Allowances &allow) {
    auto result = explore(actors, allow);
    EXPECT_NE(result.failure.find(what), std::string::npos)
        << "a fault that was put in was not seen, but: " << result.failure;
}

} // namespace

TEST(InFlightModel, FsyncSeesEveryWriteThatCameBefore) {
    expect_to_hold({write_and_fsync, rewrite0, server});
    expect_to_hold({write_both, syncer, server, second_server});
}

TEST(InFlightModel, FlusherAndFsyncNeverIssueTheSameBytesTwice) {
    expect_to_hold({write_and_sync, write_and_fsync, server, second_server});
    expect_to_hold({write_and_fsync, flusher, second_syncer, server});
}

TEST(InFlightModel, RewritesOfWhatIsOutFollowTheAnswer) {
    expect_to_hold({write_and_sync, rewrite0, flusher, server, second_server});
}

TEST(InFlightModel, ReadersNeverSeeOldData) {
    expect_to_hold({write_and_sync, reclaimer, reader, server});
    expect_to_hold({write_and_sync, reclaimer, reader, rewrite0, server});
}

TEST(InFlightModel, TruncationAndWritebackKeepOutOfEachOthersWay) {
    expect_to_hold({write_and_sync, truncation, flusher, server});
    expect_to_hold({write_and_sync, tail_truncation, syncer, server});
    expect_to_hold({write_and_sync, truncation, reclaimer, reader, server});
}

TEST(InFlightModel, DirectWritesAndWritebackKeepOutOfEachOthersWay) {
    expect_to_hold({write_and_sync, direct, flusher, server});
    expect_to_hold({write_and_fsync, direct, reader, server});
    expect_to_hold({write_and_sync, direct, truncation, server});
}

TEST(InFlightModel, MigrationTakesTheQueuedRequestAlong) {
    expect_to_hold({write_and_sync, migration, rewrite0, server});
    expect_to_hold({write_and_fsync, migration, flusher, server, second_server});
}

TEST(InFlightModel, RecalledRequestsStayDirty) {
    expect_to_hold({write_and_sync, recaller, flusher, server});
    expect_to_hold({write_and_fsync, recaller, truncation, server});
    expect_to_hold({write_and_sync, recaller, migration, server});
}

TEST(InFlightModel, ErrorsReachFsync) {
    expect_to_hold({write_and_fsync, flusher, server, second_server}, {.fail = 1});
    expect_to_hold({write_and_sync, syncer, rewrite0, server}, {.fail = 2});
}

TEST(InFlightModel, ExpiredRequestsKeepTheirBytesUntilTheLateAnswer) {
    expect_to_hold({write_and_fsync, deadline, rewrite0, flusher, server}, {.expire = 1});
    expect_to_hold({write_and_sync, deadline, syncer, server, second_server}, {.expire = 2});
}

TEST(InFlightModel, KilledWaitersLeaveNothingBehind) {
    expect_to_hold({write_and_fsync, flusher, truncation, server}, {.kill = 2});
    expect_to_hold({write_and_sync, direct, truncation, server}, {.kill = 2});
    expect_to_hold({write_and_sync, reclaimer, reader, server}, {.kill = 1});
}

// A checker that sees nothing proves nothing.
TEST(InFlightModel, TheChecksSeeFaults) {
    expect_to_be_found("two WRITEs", {write_and_sync, rewrite0, flusher, server, second_server},
                       {.blind_tree = true});
    expect_to_be_found("waits for ever", {write_and_fsync, flusher, server}, {.lost_wakes = true});
    expect_to_be_found("fsync returned 0", {write_and_sync, syncer, server}, {.blind_tree = true});
    expect_to_be_found("after", {write_and_sync, reclaimer, reader, server}, {.blind_tree = true});
    expect_to_be_found("is clean", {write_and_sync, truncation, server}, {.blind_tree = true});
    expect_to_be_found("fsync returned 0", {write_and_fsync, recaller, server},
                       {.deaf_fsync = true});
    expect_to_be_found("two WRITEs",
                       {write_and_sync, deadline, write_and_sync, server, second_server},
                       {.expire = 1, .expiry_frees = true});
}
