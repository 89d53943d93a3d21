// SPDX-License-Identifier: GPL-2.0-only
// The generic netlink family while connections come and go, and with receivers that do not keep up.
#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

#include <unistd.h>

#include "support/guest_test.h"
#include "support/mount.h"
#include "support/netlink.h"
#include "support/raw_server.h"

using namespace fusewb::test;

GUEST_TEST(Netlink, WhatStaysMountedIsInEveryDumpOnceWhileAThousandComeAndGo) {
    needs_fusewb();
    Netlink netlink;
    constexpr std::size_t staying = 40; // more than one message holds
    std::vector<std::unique_ptr<RawServer>> servers;
    std::set<std::uint64_t> ids;
    for (std::size_t i = 0; i < staying; i++) {
        servers.push_back(
            std::make_unique<RawServer>(RawServer::Options{.name = std::to_string(i)}));
        ids.insert(servers.back()->connection().id);
    }
    // Their servers never say a word, which takes no time; an unmount takes some, so that several
    // go on at once. Fewer where a kernel with all its checkers takes long for each.
    constexpr int coming = 1000, at_least = 50;
    std::atomic<int> came = 0, at_work = 4;
    std::vector<std::thread> churn;
    for (int i = at_work; i > 0; i--)
        churn.emplace_back([&, directory = scratch() / ("churn" + std::to_string(i))] {
            for (auto end = Clock::now() + 30s;
                 came < coming && (came < at_least || Clock::now() < end); came++) {
                Fd device = open_device();
                Mount mount(directory, device, {});
            }
            at_work--;
        });
    unsigned dumps = 0;
    std::size_t others = 0;
    bool last_one = false;
    do {
        last_one = at_work == 0;
        std::map<std::uint64_t, int> told;
        std::uint64_t last = 0;
        for (const auto &connection : netlink.dump()) {
            EXPECT_GT(connection.id, last) << "out of order, or twice";
            last = connection.id;
            told[connection.id]++;
        }
        for (auto id : ids)
            EXPECT_EQ(told[id], 1) << id;
        others += told.size() - staying;
        dumps++;
    } while (!last_one);
    for (auto &thread : churn)
        thread.join();
    EXPECT_GT(dumps, 1u);
    EXPECT_GT(others, 0u) << "none of those that come and go was ever told of";
    RawServer next({.name = "next"});
    EXPECT_GT(next.connection().id, *ids.rbegin() + at_least);
}

GUEST_TEST(Netlink, AReceiverWithoutRoomIsToldThatItLostEvents) {
    needs_fusewb();
    Netlink slow, quick, control;
    slow.subscribe(4096);
    quick.subscribe(4 << 20);
    RawServer server;
    EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
    auto id = server.connection().id;
    constexpr unsigned count = 100;
    for (unsigned i = 1; i <= count; i++)
        control.set_policy(id, {{FUSEWB_A_POLICY_DEADLINE_ALL, 1000000 + i}});
    unsigned seen = 0, told = 0;
    for (bool more = true; more;) {
        try {
            more = slow.event(100ms).has_value();
            seen += more;
        } catch (const std::system_error &failure) {
            EXPECT_EQ(failure.code().value(), ENOBUFS);
            told++;
        }
    }
    EXPECT_GE(told, 1u) << "lost without a word";
    EXPECT_LT(seen, count);
    // Who has room gets each of them, in order.
    std::uint32_t last = 1000000;
    while (auto event = quick.event(500ms)) {
        if (event->id != id || event->command != FUSEWB_CMD_CONN_CHANGED)
            continue;
        EXPECT_EQ(event->policy[FUSEWB_A_POLICY_DEADLINE_ALL], last + 1);
        last = event->policy[FUSEWB_A_POLICY_DEADLINE_ALL];
    }
    EXPECT_EQ(last, 1000000 + count);
    // And it goes on afterwards.
    control.set_policy(id, {{FUSEWB_A_POLICY_DEADLINE_ALL, 7}});
    std::optional<Connection> event;
    while ((event = slow.event(2s)) && event->policy[FUSEWB_A_POLICY_DEADLINE_ALL] != 7)
        ;
    EXPECT_TRUE(event.has_value());
}
