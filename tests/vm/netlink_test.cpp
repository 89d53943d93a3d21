// SPDX-License-Identifier: GPL-2.0-only
// The generic netlink family as <linux/fusewb.h> describes it.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/netlink.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "support/guest_test.h"
#include "support/netlink.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

std::string u64(std::uint64_t id) { return make_u64_attribute(FUSEWB_A_CONN_ID, id); }

// The next event about a connection; others may be mounted by the system meanwhile.
std::optional<Connection> event_of(Netlink &netlink, std::uint64_t id) {
    auto end = Clock::now() + 10s;
    while (Clock::now() < end)
        if (auto event = netlink.event(1s); event && (!id || event->id == id))
            return event;
    return std::nullopt;
}

} // namespace

GUEST_TEST(Netlink, InfoTellsVersionProtocolAndCount) {
    needs_fusewb();
    Netlink netlink;
    Info before = netlink.info();
    EXPECT_FALSE(before.version.empty());
    EXPECT_EQ(before.protocol_major, 7u);
    EXPECT_GE(before.protocol_minor, 31u);
    Passthrough server;
    EXPECT_EQ(netlink.info().connections, before.connections + 1);
    EXPECT_EQ(netlink.info().version, before.version);
}

GUEST_TEST(Netlink, AConnectionIsTold) {
    needs_fusewb();
    Passthrough server({.mount_options = "subtype=passthrough"});
    write_file(server.mnt("f"), "x");
    Connection connection = server.connection();
    EXPECT_EQ(connection.command, unsigned(FUSEWB_CMD_CONN_GET));
    EXPECT_EQ(connection.state, unsigned(FUSEWB_CONN_READY));
    EXPECT_EQ(connection.server_pid, unsigned(server.pid()));
    EXPECT_EQ(connection.server_uid, 0u);
    EXPECT_EQ(connection.subtype, "passthrough");
    EXPECT_EQ(connection.writeback, unsigned(FUSEWB_WRITEBACK_DIRECT)) << "auto, for root";
    EXPECT_GE(connection.protocol_minor, 31u);
    EXPECT_GE(connection.max_write, 4096u);
    EXPECT_GE(connection.max_read, 4096u);
    EXPECT_GT(connection[FUSEWB_A_COUNTER_REQUESTS], 0u);
    EXPECT_GT(connection[FUSEWB_A_COUNTER_ANSWERS], 0u);
    EXPECT_LE(connection[FUSEWB_A_COUNTER_ANSWERS], connection[FUSEWB_A_COUNTER_REQUESTS]);
    Passthrough without({.name = "second"});
    EXPECT_FALSE(without.connection().subtype.has_value());
}

GUEST_TEST(Netlink, CountersFollowTheServer) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", pattern(100000, 1));
    Connection before = server.connection();
    EXPECT_EQ(read_file(server.mnt("f")).size(), 100000u);
    Connection after = server.connection();
    EXPECT_EQ(after[FUSEWB_A_COUNTER_BYTES_READ] - before[FUSEWB_A_COUNTER_BYTES_READ], 100000u);
    server.hold(FUSE_LOOKUP);
    Task waiter("stat(2)", [&] { return access(server.mnt("x").c_str(), F_OK) ? errno : 0; });
    ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1));
    // The RELEASE of the file may come behind it.
    EXPECT_TRUE(wait_until(20s, [&] { return server.connection()[FUSEWB_A_COUNTER_WAITING] == 1; }));
    server.release(FUSE_LOOKUP);
    EXPECT_TRUE(waiter.ends_within(20s)) << waiter.where();
    EXPECT_EQ(waiter.status(), ENOENT);
    EXPECT_TRUE(wait_until(5s, [&] { return server.connection()[FUSEWB_A_COUNTER_WAITING] == 0; }));
}

GUEST_TEST(Netlink, DumpsListEveryConnectionOnceInOrder) {
    needs_fusewb();
    Netlink netlink;
    constexpr std::size_t count = 40; // more than one message holds
    std::vector<std::unique_ptr<RawServer>> servers;
    for (std::size_t i = 0; i < count; i++)
        servers.push_back(
            std::make_unique<RawServer>(RawServer::Options{.name = std::to_string(i)}));
    auto all = netlink.dump();
    EXPECT_GE(all.size(), count);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                               [](const auto &a, const auto &b) { return a.id <= b.id; }));
    for (auto &server : servers) {
        auto dev = encoded_dev(mounted_dev(server->mount().path()));
        EXPECT_EQ(
            std::count_if(all.begin(), all.end(), [&](const auto &c) { return c.dev == dev; }), 1);
    }
}

GUEST_TEST(Netlink, OneConnectionIsFoundByItsId) {
    needs_fusewb();
    Netlink netlink;
    std::uint64_t id;
    {
        Passthrough server;
        id = server.connection().id;
        auto found = netlink.get(id);
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(found->id, id);
        EXPECT_EQ(found->dev, encoded_dev(mounted_dev(server.mount().path())));
    }
    EXPECT_FALSE(netlink.get(id).has_value()) << "found after its unmount";
    EXPECT_FALSE(netlink.get(UINT64_MAX).has_value());
    Passthrough next;
    EXPECT_GT(next.connection().id, id) << "an id was used twice";
}

GUEST_TEST(Netlink, RequestsThatMakeNoSenseAreRefusedWithAReason) {
    needs_fusewb();
    Netlink netlink;
    auto refused = [&](unsigned command, unsigned flags, std::string_view attributes, int error,
                       const char *what) {
        auto reply = netlink.request(command, flags | NLM_F_ACK, attributes);
        EXPECT_EQ(reply.error, error) << what;
        EXPECT_FALSE(reply.text.empty()) << what;
        EXPECT_TRUE(reply.messages.empty()) << what;
    };
    refused(FUSEWB_CMD_CONN_GET, 0, {}, EINVAL, "no id");
    refused(FUSEWB_CMD_CONN_GET, 0, u64(UINT64_MAX), ENOENT, "no such connection");
    refused(FUSEWB_CMD_CONN_GET, 0, make_attribute(FUSEWB_A_CONN_ID, "abc"), EINVAL, "a short id");
    refused(FUSEWB_CMD_CONN_GET, 0, u64(1) + make_attribute(FUSEWB_A_CONN_MAX + 5, "abcd"), EINVAL,
            "an unknown attribute");
    // Older kernels do not pass on the text of what refuses to start a dump.
    EXPECT_EQ(netlink.request(FUSEWB_CMD_CONN_GET, NLM_F_DUMP, u64(1)).error, EINVAL);
    EXPECT_EQ(netlink.request(FUSEWB_CMD_CONN_ADDED, NLM_F_ACK, {}).error, EOPNOTSUPP)
        << "an event";
    EXPECT_EQ(netlink.request(FUSEWB_CMD_MAX + 1, NLM_F_ACK, {}).error, EOPNOTSUPP);
    EXPECT_EQ(netlink.request(FUSEWB_CMD_INFO_GET, NLM_F_DUMP, {}).error, EOPNOTSUPP);
    EXPECT_FALSE(netlink.info().version.empty());
}

GUEST_TEST(Netlink, EventsComeInTheOrderOfALife) {
    needs_fusewb();
    Netlink netlink;
    netlink.subscribe();
    std::uint64_t id;
    {
        Passthrough server({.writeback = true, .mount_options = "writeback=copy,subtype=events"});
        auto added = event_of(netlink, 0);
        ASSERT_TRUE(added.has_value());
        EXPECT_EQ(added->command, unsigned(FUSEWB_CMD_CONN_ADDED));
        EXPECT_EQ(added->state, unsigned(FUSEWB_CONN_INIT));
        EXPECT_EQ(added->subtype, "events");
        EXPECT_EQ(added->dev, encoded_dev(mounted_dev(server.mount().path())));
        id = added->id;
        auto ready = event_of(netlink, id);
        ASSERT_TRUE(ready.has_value());
        EXPECT_EQ(ready->command, unsigned(FUSEWB_CMD_CONN_READY));
        EXPECT_EQ(ready->state, unsigned(FUSEWB_CONN_READY));
        EXPECT_EQ(ready->writeback, unsigned(FUSEWB_WRITEBACK_COPY));
        EXPECT_EQ(ready->server_pid, unsigned(server.pid()));
        EXPECT_GE(ready->max_write, 4096u);
        write_file(server.mnt("f"), "12345");
    }
    auto removed = event_of(netlink, id);
    ASSERT_TRUE(removed.has_value());
    EXPECT_EQ(removed->command, unsigned(FUSEWB_CMD_CONN_REMOVED));
    EXPECT_EQ((*removed)[FUSEWB_A_COUNTER_BYTES_COPIED], 5u) << "the counters are final";
}

GUEST_TEST(Netlink, AnybodyMayAsk) {
    needs_fusewb();
    Passthrough server;
    Task nobody("unprivileged user", [&] {
        become_nobody();
        Netlink netlink;
        EXPECT_FALSE(netlink.info().version.empty());
        EXPECT_FALSE(netlink.dump().empty());
        return 0;
    });
    EXPECT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
}

GUEST_TEST(Netlink, StuckRequestsAreListedInTheirOrder) {
    needs_fusewb();
    Netlink netlink;
    RawServer server, other({.name = "other"});
    auto id = server.connection().id;
    for (auto *each : {&server, &other}) {
        EXPECT_NE(access(each->mnt("warm").c_str(), F_OK), 0);
        each->hold(FUSE_STATFS);
    }
    EXPECT_TRUE(wait_until(5s, [&] { return netlink.requests().empty(); }));
    // One that holds no lock meanwhile.
    auto ask = [](RawServer &each) {
        struct statfs answer;
        statfs(each.mnt().c_str(), &answer);
    };
    constexpr unsigned count = 300; // more than one message holds
    std::vector<std::thread> waiters;
    for (unsigned i = 0; i < count; i++)
        waiters.emplace_back([&] { ask(server); });
    std::thread stranger([&] { ask(other); });
    EXPECT_TRUE(server.wait_held(FUSE_STATFS, count));
    EXPECT_TRUE(other.wait_held(FUSE_STATFS, 1));
    std::this_thread::sleep_for(50ms);

    auto mine = netlink.requests(id);
    EXPECT_EQ(mine.size(), count);
    std::set<std::uint64_t> uniques;
    for (std::size_t i = 0; i < mine.size(); i++) {
        const auto &request = mine[i];
        uniques.insert(request.unique);
        EXPECT_EQ(request.connection, id);
        EXPECT_EQ(request.opcode, unsigned(FUSE_STATFS));
        EXPECT_EQ(request.request_class, unsigned(FUSEWB_CLASS_METADATA));
        EXPECT_EQ(request.node, std::uint64_t(FUSE_ROOT_ID));
        EXPECT_EQ(request.state, unsigned(FUSEWB_REQUEST_SENT));
        EXPECT_EQ(request.uid, 0u);
        EXPECT_GT(request.pid, 0u);
        EXPECT_GE(request.age_usec, 50000u);
        EXPECT_FALSE(request.action.has_value());
    }
    EXPECT_EQ(uniques.size(), mine.size()) << "told twice";
    EXPECT_EQ(netlink.requests().size(), count + 1);
    EXPECT_EQ(netlink.requests(id, 3600u * 1000000u).size(), 0u) << "none is so old";
    EXPECT_EQ(netlink.requests(id, 10000).size(), count);
    EXPECT_EQ(netlink
                  .request(FUSEWB_CMD_REQUEST_GET, NLM_F_DUMP,
                           make_u64_attribute(FUSEWB_A_REQUEST_CONN_ID, UINT64_MAX))
                  .error,
              ENOENT);
    EXPECT_EQ(netlink
                  .request(FUSEWB_CMD_REQUEST_GET, NLM_F_DUMP,
                           make_u64_attribute(FUSEWB_A_REQUEST_AGE_USEC, UINT64_MAX))
                  .error,
              EINVAL);
    server.release(FUSE_STATFS);
    other.release(FUSE_STATFS);
    for (auto &waiter : waiters)
        waiter.join();
    stranger.join();
    EXPECT_TRUE(wait_until(5s, [&] { return netlink.requests().empty(); }));
}

GUEST_TEST(Netlink, ARequestThatStaysIsListedOnceWhileOthersComeAndGo) {
    needs_fusewb();
    Netlink netlink;
    RawServer server({.valid_seconds = 0});
    auto id = server.connection().id;
    EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
    server.hold(FUSE_GETATTR);
    std::thread waiter([&] {
        struct stat st;
        stat(server.mnt().c_str(), &st);
    });
    ASSERT_TRUE(server.wait_held(FUSE_GETATTR, 1));
    std::atomic<bool> stop{false};
    std::vector<std::thread> busy;
    for (int i = 0; i < 4; i++)
        busy.emplace_back([&, i] {
            while (!stop)
                access(server.mnt("n" + std::to_string(i)).c_str(), F_OK);
        });
    for (int i = 0; i < 200; i++) {
        auto requests = netlink.requests(id);
        EXPECT_EQ(std::count_if(requests.begin(), requests.end(),
                                [](const auto &r) { return r.opcode == FUSE_GETATTR; }),
                  1);
    }
    stop = true;
    for (auto &thread : busy)
        thread.join();
    server.release(FUSE_GETATTR);
    waiter.join();
}

GUEST_TEST(Netlink, AnAbortEndsEveryWaitAndSaysWhoAskedForIt) {
    needs_fusewb();
    Netlink netlink;
    netlink.subscribe();
    auto reason_of = [&](std::uint64_t id) -> std::optional<unsigned> {
        while (auto event = event_of(netlink, id))
            if (event->command == FUSEWB_CMD_CONN_ABORTED)
                return event->abort_reason;
        return std::nullopt;
    };
    {
        RawServer server;
        EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
        auto id = server.connection().id;
        EXPECT_EQ(server.connection().abort_reason, unsigned(FUSEWB_ABORT_NONE));
        server.hold(FUSE_LOOKUP);
        Task waiter("stat(2)", [&] { return access(server.mnt("x").c_str(), F_OK) ? errno : 0; });
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1));
        netlink.abort(id);
        EXPECT_TRUE(waiter.ends_within(20s)) << waiter.where();
        EXPECT_EQ(waiter.status(), ENOTCONN);
        EXPECT_EQ(reason_of(id), unsigned(FUSEWB_ABORT_REQUESTED));
        netlink.abort(id); // again is no error
        EXPECT_EQ(server.connection().abort_reason, unsigned(FUSEWB_ABORT_REQUESTED));
        EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_ABORTED));
        EXPECT_TRUE(netlink.requests(id).empty());
    }
    {
        RawServer server;
        EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
        auto id = server.connection().id;
        server.die();
        EXPECT_EQ(reason_of(id), unsigned(FUSEWB_ABORT_DEVICE_CLOSED));
    }
    {
        RawServer server;
        EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
        auto id = server.connection().id;
        Fd busy(open(server.mnt().c_str(), O_RDONLY | O_DIRECTORY));
        server.mount().abort();
        EXPECT_EQ(reason_of(id), unsigned(FUSEWB_ABORT_UMOUNT_FORCED));
    }
    auto reply = netlink.request(FUSEWB_CMD_CONN_ABORT, NLM_F_ACK, u64(UINT64_MAX));
    EXPECT_EQ(reply.error, ENOENT);
    EXPECT_FALSE(reply.text.empty());
}

GUEST_TEST(Netlink, LatenciesAreCountedByClassAndTime) {
    needs_fusewb();
    RawServer server;
    EXPECT_NE(access(server.mnt("warm").c_str(), F_OK), 0);
    server.set_content("f", pattern(4096, 1));
    auto sum = [](const std::vector<std::uint64_t> &buckets, std::size_t from) {
        return std::accumulate(buckets.begin() + ssize_t(from), buckets.end(), std::uint64_t{0});
    };
    auto before = server.connection();
    server.on(FUSE_READ, [](const Request &) {
        std::this_thread::sleep_for(70ms); // 2^16 us are 65 ms
        return false;
    });
    EXPECT_EQ(read_file(server.mnt("f")).size(), 4096u);
    auto after = server.connection();
    ASSERT_EQ(after.latency.size(), 4u);
    for (const auto &[type, buckets] : after.latency)
        EXPECT_EQ(buckets.size(), std::size_t(FUSEWB_LATENCY_BUCKETS)) << type;
    auto reads = sum(after.latency[FUSEWB_A_LATENCY_READ], 0);
    EXPECT_GE(reads, 1u);
    EXPECT_EQ(sum(after.latency[FUSEWB_A_LATENCY_READ], 17), reads) << "all took 70 ms";
    EXPECT_EQ(sum(before.latency[FUSEWB_A_LATENCY_READ], 0), 0u);
    EXPECT_GT(sum(after.latency[FUSEWB_A_LATENCY_METADATA], 0),
              sum(before.latency[FUSEWB_A_LATENCY_METADATA], 0));
    EXPECT_TRUE(wait_until(5s, [&] {
        auto now = server.connection();
        std::uint64_t all = 0;
        for (const auto &[type, buckets] : now.latency)
            all += sum(buckets, 0);
        return all == now[FUSEWB_A_COUNTER_ANSWERS];
    }));
}
