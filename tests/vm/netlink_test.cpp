// SPDX-License-Identifier: GPL-2.0-only
// The generic netlink family as <linux/fusewb.h> describes it.
#include <algorithm>
#include <cerrno>
#include <memory>

#include <linux/fuse.h>
#include <linux/netlink.h>
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
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WAITING], 1u);
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
