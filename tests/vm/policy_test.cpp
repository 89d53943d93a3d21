// SPDX-License-Identifier: GPL-2.0-only
// Policy over netlink: who may set it, what is refused, and that it is in force at once.
#include <cerrno>
#include <fstream>

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/guest_test.h"
#include "support/netlink.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

std::string connection_id(std::uint64_t id) { return make_u64_attribute(FUSEWB_A_CONN_ID, id); }

Netlink::Reply set_defaults(Netlink &netlink, unsigned which, const PolicyValues &values) {
    return netlink.request(FUSEWB_CMD_POLICY_SET, NLM_F_ACK, make_policy(which, values));
}

// Puts the defaults back.
class KeptDefaults {
public:
    KeptDefaults() : all_(netlink_.defaults()) {}
    ~KeptDefaults() {
        for (const auto &[which, values] : all_)
            EXPECT_EQ(set_defaults(netlink_, which, values).error, 0);
    }

private:
    Netlink netlink_;
    std::map<unsigned, PolicyValues> all_;
};

std::filesystem::path bdi_path(const Connection &connection, const char *name) {
    unsigned major = (connection.dev >> 8) & 0xfff;
    unsigned minor = (connection.dev & 0xff) | ((connection.dev >> 12) & 0xfff00);
    return "/sys/class/bdi/" + std::to_string(major) + ":" + std::to_string(minor) + "/" + name;
}

std::string bdi_file(const Connection &connection, const char *name) {
    std::string value;
    std::ifstream(bdi_path(connection, name)) >> value;
    return value;
}

void set_bdi_file(const Connection &connection, const char *name, const char *value) {
    std::ofstream file(bdi_path(connection, name));
    file << value << std::flush;
    ASSERT_TRUE(file.good()) << name;
}

// As the server's answer to INIT left it.
Connection ready(RawServer &server) {
    wait_until(10s, [&] { return server.connection().state != FUSEWB_CONN_INIT; });
    return server.connection();
}

void write_and_sync(const std::filesystem::path &path, std::size_t size) {
    Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644));
    std::string data = pattern(size, 3);
    ASSERT_EQ(write(fd, data.data(), data.size()), ssize_t(data.size()));
    ASSERT_EQ(fsync(fd), 0);
}

} // namespace

GUEST_TEST(Policy, WithoutARuleTheDefaultsAreSafe) {
    needs_fusewb();
    Netlink netlink;
    auto defaults = netlink.defaults();
    ASSERT_EQ(defaults.size(), 2u);
    auto &root = defaults[FUSEWB_A_DEFAULT_PRIVILEGED];
    auto &others = defaults[FUSEWB_A_DEFAULT_OTHERS];
    EXPECT_EQ(root[FUSEWB_A_POLICY_WRITEBACK], unsigned(FUSEWB_WRITEBACK_DIRECT));
    EXPECT_EQ(others[FUSEWB_A_POLICY_WRITEBACK], unsigned(FUSEWB_WRITEBACK_COPY));
    EXPECT_EQ(others[FUSEWB_A_POLICY_SPLICE_FOLIOS], 0u);
    EXPECT_EQ(others[FUSEWB_A_POLICY_STRICT_LIMIT], 1u);
    for (auto *policy : {&root, &others}) {
        EXPECT_EQ((*policy)[FUSEWB_A_POLICY_ACTION], unsigned(FUSEWB_ACTION_REPORT));
        EXPECT_EQ((*policy)[FUSEWB_A_POLICY_DEADLINE_ALL], 0u);
    }
    RawServer server;
    EXPECT_EQ(server.connection().policy, root);
}

GUEST_TEST(Policy, ADefaultAppliesToWhatIsMountedLater) {
    needs_fusewb();
    KeptDefaults kept;
    Netlink netlink;
    RawServer before({.name = "before"});
    auto policy_before = ready(before).policy;
    auto others = netlink.defaults()[FUSEWB_A_DEFAULT_OTHERS];
    netlink.subscribe();

    ASSERT_EQ(set_defaults(netlink, FUSEWB_A_DEFAULT_PRIVILEGED,
                           {{FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_COPY},
                            {FUSEWB_A_POLICY_DEADLINE_READ, 123456},
                            {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL},
                            {FUSEWB_A_POLICY_SYNC_WAITS, 1}})
                  .error,
              0);
    auto changed = netlink.message(5s);
    ASSERT_TRUE(changed.has_value());
    EXPECT_EQ(changed->command, unsigned(FUSEWB_CMD_POLICY_CHANGED));
    auto told = parse_attributes(changed->attributes);
    ASSERT_EQ(told.size(), 1u) << "only the default that was changed is told";
    auto policy = parse_policy(told.at(FUSEWB_A_DEFAULT_PRIVILEGED));
    EXPECT_EQ(policy[FUSEWB_A_POLICY_DEADLINE_READ], 123456u);
    EXPECT_EQ(policy, netlink.defaults()[FUSEWB_A_DEFAULT_PRIVILEGED]);
    EXPECT_EQ(netlink.defaults()[FUSEWB_A_DEFAULT_OTHERS], others);

    EXPECT_EQ(before.connection().policy, policy_before) << "what is mounted keeps its own";
    RawServer after({.name = "after"});
    EXPECT_EQ(after.connection().policy, policy);
    EXPECT_EQ(ready(after).writeback, unsigned(FUSEWB_WRITEBACK_COPY));
}

GUEST_TEST(Policy, AMountOptionCannotAskForMoreThanThePolicyAllows) {
    needs_fusewb();
    KeptDefaults kept;
    Netlink netlink;
    ASSERT_EQ(set_defaults(netlink, FUSEWB_A_DEFAULT_PRIVILEGED,
                           {{FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_COPY}})
                  .error,
              0);
    EXPECT_THROW(RawServer({.mount_options = "writeback=direct"}), std::exception);
    RawServer server({.mount_options = "writeback=copy", .name = "copy"});
    netlink.set_policy(ready(server).id, {{FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_DIRECT}});
    EXPECT_EQ(server.connection().writeback, unsigned(FUSEWB_WRITEBACK_COPY))
        << "who mounted asked for less";
}

GUEST_TEST(Policy, TheWritebackModeChangesUnderAMountInUse) {
    needs_fusewb();
    Netlink netlink;
    netlink.subscribe();
    RawServer server;
    auto id = server.connection().id;
    write_and_sync(server.mnt("direct"), 100000);
    auto before = server.connection();
    EXPECT_EQ(before.writeback, unsigned(FUSEWB_WRITEBACK_DIRECT));
    EXPECT_EQ(before[FUSEWB_A_COUNTER_BYTES_COPIED], 0u);

    netlink.set_policy(id, {{FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_COPY}});
    std::optional<Connection> event;
    while ((event = netlink.event(5s)) && event->command != FUSEWB_CMD_CONN_CHANGED)
        ;
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->id, id);
    EXPECT_EQ(event->writeback, unsigned(FUSEWB_WRITEBACK_COPY));
    EXPECT_EQ(event->policy[FUSEWB_A_POLICY_WRITEBACK], unsigned(FUSEWB_WRITEBACK_COPY));
    write_and_sync(server.mnt("copied"), 100000);
    auto after = server.connection();
    EXPECT_EQ(after[FUSEWB_A_COUNTER_BYTES_COPIED], 100000u);
    EXPECT_EQ(after[FUSEWB_A_COUNTER_BYTES_DIRECT], before[FUSEWB_A_COUNTER_BYTES_DIRECT]);

    netlink.set_policy(id, {{FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_DIRECT}});
    write_and_sync(server.mnt("again"), 100000);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_COPIED], 100000u);
    for (auto name : {"direct", "copied", "again"})
        EXPECT_EQ(server.content(name), pattern(100000, 3)) << name;
}

GUEST_TEST(Policy, TheLargestWriteFollowsThePolicyAndTheServer) {
    needs_fusewb();
    Netlink netlink;
    RawServer server({.max_write = 128 * 1024});
    std::size_t largest = 0;
    server.on(FUSE_WRITE, [&](const Request &request) {
        largest = std::max<std::size_t>(largest, request.as<fuse_write_in>().size);
        return false;
    });
    auto id = server.connection().id;
    write_and_sync(server.mnt("a"), 512 * 1024);
    EXPECT_EQ(largest, 128u * 1024);
    netlink.set_policy(id, {{FUSEWB_A_POLICY_MAX_WRITE, 16384}});
    EXPECT_EQ(server.connection().max_write, 16384u);
    largest = 0;
    write_and_sync(server.mnt("b"), 512 * 1024);
    EXPECT_EQ(largest, 16384u);
    netlink.set_policy(id, {{FUSEWB_A_POLICY_MAX_WRITE, 1 << 30}});
    EXPECT_EQ(server.connection().max_write, 128u * 1024) << "more than the server takes";
    netlink.set_policy(id, {{FUSEWB_A_POLICY_MAX_WRITE, 0}});
    largest = 0;
    write_and_sync(server.mnt("c"), 512 * 1024);
    EXPECT_EQ(largest, 128u * 1024);
    EXPECT_EQ(server.content("b"), pattern(512 * 1024, 3));
}

GUEST_TEST(Policy, TheDirtyLimitIsThatOfTheBdi) {
    needs_fusewb();
    Netlink netlink;
    RawServer server;
    auto connection = server.connection();
    EXPECT_EQ(bdi_file(connection, "max_ratio"), "1");
    netlink.set_policy(connection.id,
                       {{FUSEWB_A_POLICY_MAX_DIRTY_RATIO, 40}, {FUSEWB_A_POLICY_STRICT_LIMIT, 0}});
    EXPECT_EQ(bdi_file(connection, "max_ratio"), "40");
    // Older kernels have no such file.
    if (auto strict = bdi_file(connection, "strict_limit"); !strict.empty()) {
        EXPECT_EQ(strict, "0");
    }
    netlink.set_policy(connection.id,
                       {{FUSEWB_A_POLICY_MAX_DIRTY_RATIO, 2}, {FUSEWB_A_POLICY_STRICT_LIMIT, 1}});
    EXPECT_EQ(bdi_file(connection, "max_ratio"), "2");
}

GUEST_TEST(Policy, WhatIsNotSetOfTheBdiStaysAsItIs) {
    needs_fusewb();
    Netlink netlink;
    RawServer server;
    auto connection = server.connection();
    set_bdi_file(connection, "max_ratio", "30");
    netlink.set_policy(connection.id, {{FUSEWB_A_POLICY_STRICT_LIMIT, 1}});
    EXPECT_EQ(bdi_file(connection, "max_ratio"), "30");
    // Older kernels have no such file.
    if (!bdi_file(connection, "strict_limit").empty()) {
        EXPECT_EQ(bdi_file(connection, "strict_limit"), "1");
        set_bdi_file(connection, "strict_limit", "0");
        netlink.set_policy(connection.id, {{FUSEWB_A_POLICY_MAX_DIRTY_RATIO, 40}});
        EXPECT_EQ(bdi_file(connection, "strict_limit"), "0");
        EXPECT_EQ(bdi_file(connection, "max_ratio"), "40");
    }
}

GUEST_TEST(Policy, AServerThatKnowsNoWritebackCacheCanBeGivenIt) {
    needs_fusewb();
    KeptDefaults kept;
    Netlink netlink;
    ASSERT_EQ(set_defaults(netlink, FUSEWB_A_DEFAULT_PRIVILEGED,
                           {{FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE, 1}})
                  .error,
              0);
    RawServer server({.writeback = false});
    EXPECT_EQ(ready(server).writeback, unsigned(FUSEWB_WRITEBACK_DIRECT));
    write_and_sync(server.mnt("f"), 100000);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_DIRECT], 100000u);
    EXPECT_EQ(server.content("f"), pattern(100000, 3));
}

GUEST_TEST(Policy, WhatIsWrongIsRefusedAsAWholeWithItsName) {
    needs_fusewb();
    Netlink netlink;
    RawServer server;
    auto id = ready(server).id;
    auto policy = server.connection().policy;
    auto defaults = netlink.defaults();
    auto refused = [&](const std::string &attributes, int error, const std::string &text) {
        auto reply = netlink.request(FUSEWB_CMD_CONN_SET, NLM_F_ACK, attributes);
        EXPECT_EQ(reply.error, error) << text << ": " << reply.text;
        EXPECT_NE(reply.text.find(text), std::string::npos) << text << ": " << reply.text;
        EXPECT_EQ(server.connection().policy, policy) << text;
    };
    auto values = [&](const PolicyValues &policy_values) {
        return connection_id(id) + make_policy(FUSEWB_A_CONN_POLICY, policy_values);
    };
    // A good value beside the bad one is not taken either.
    auto bad = [&](unsigned attribute, std::uint32_t value, const std::string &text) {
        refused(values({{FUSEWB_A_POLICY_DEADLINE_ALL, 777}, {attribute, value}}), EINVAL, text);
    };
    bad(FUSEWB_A_POLICY_WRITEBACK, FUSEWB_WRITEBACK_THROUGH, "writeback");
    bad(FUSEWB_A_POLICY_WRITEBACK, 3, "writeback");
    bad(FUSEWB_A_POLICY_ACTION, 3, "action");
    bad(FUSEWB_A_POLICY_SYNC_WAITS, 2, "sync-waits");
    bad(FUSEWB_A_POLICY_MAX_DIRTY_RATIO, 0, "max-dirty-ratio");
    bad(FUSEWB_A_POLICY_MAX_DIRTY_RATIO, 101, "max-dirty-ratio");
    bad(FUSEWB_A_POLICY_STRICT_LIMIT, 2, "strict-limit");
    bad(FUSEWB_A_POLICY_MAX_WRITE, 4095, "max-write");
    bad(FUSEWB_A_POLICY_SPLICE_FOLIOS, 255, "splice-folios");
    bad(FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE, 2, "force-writeback-cache");
    refused(values({}), EINVAL, "says nothing");
    refused(connection_id(id), EINVAL, "policy is missing");
    refused(make_policy(FUSEWB_A_CONN_POLICY, {{FUSEWB_A_POLICY_ACTION, 1}}), EINVAL,
            "id of the connection");
    refused(connection_id(UINT64_MAX) +
                make_policy(FUSEWB_A_CONN_POLICY, {{FUSEWB_A_POLICY_ACTION, 1}}),
            ENOENT, "no connection");
    // These the kernel's own checks refuse, in words and with errors of their own.
    auto malformed = [&](const std::string &nest, const char *what) {
        auto reply = netlink.request(FUSEWB_CMD_CONN_SET, NLM_F_ACK,
                                     connection_id(id) +
                                         make_attribute(FUSEWB_A_CONN_POLICY | NLA_F_NESTED, nest));
        EXPECT_NE(reply.error, 0) << what;
        EXPECT_FALSE(reply.text.empty()) << what;
        EXPECT_EQ(server.connection().policy, policy) << what;
    };
    malformed(make_attribute(FUSEWB_A_POLICY_MAX + 1, "abcd"), "an unknown value");
    malformed(make_attribute(FUSEWB_A_POLICY_ACTION, "a"), "a short value");
    malformed("ab", "no attribute at all");

    auto reply = set_defaults(netlink, FUSEWB_A_DEFAULT_OTHERS, {{FUSEWB_A_POLICY_ACTION, 9}});
    EXPECT_EQ(reply.error, EINVAL);
    EXPECT_NE(reply.text.find("action"), std::string::npos) << reply.text;
    reply =
        netlink.request(FUSEWB_CMD_POLICY_SET, NLM_F_ACK,
                        make_policy(FUSEWB_A_DEFAULT_PRIVILEGED, {{FUSEWB_A_POLICY_ACTION, 1}}) +
                            make_policy(FUSEWB_A_DEFAULT_OTHERS, {{FUSEWB_A_POLICY_ACTION, 9}}));
    EXPECT_EQ(reply.error, EINVAL);
    reply = netlink.request(FUSEWB_CMD_POLICY_SET, NLM_F_ACK, {});
    EXPECT_EQ(reply.error, EINVAL);
    EXPECT_FALSE(reply.text.empty());
    EXPECT_EQ(netlink.defaults(), defaults);
}

GUEST_TEST(Policy, OnlyRootOfTheMachineMayChangeAnything) {
    needs_fusewb();
    RawServer server;
    auto id = ready(server).id;
    auto policy = server.connection().policy;
    auto defaults = Netlink().defaults();
    auto try_all = [&] {
        Netlink netlink;
        auto refused = [&](unsigned command, const std::string &attributes) {
            auto reply = netlink.request(command, NLM_F_ACK, attributes);
            EXPECT_EQ(reply.error, EPERM) << command;
            EXPECT_NE(reply.text.find("CAP_SYS_ADMIN"), std::string::npos) << reply.text;
        };
        refused(FUSEWB_CMD_POLICY_SET,
                make_policy(FUSEWB_A_DEFAULT_OTHERS, {{FUSEWB_A_POLICY_DEADLINE_ALL, 1}}));
        refused(FUSEWB_CMD_CONN_SET,
                connection_id(id) +
                    make_policy(FUSEWB_A_CONN_POLICY, {{FUSEWB_A_POLICY_DEADLINE_ALL, 1}}));
        refused(FUSEWB_CMD_CONN_ABORT, connection_id(id));
        EXPECT_EQ(netlink.defaults(), defaults) << "asking is allowed";
        EXPECT_TRUE(netlink.requests(id).empty());
        return 0;
    };
    Task nobody("unprivileged user", [&] {
        become_nobody();
        return try_all();
    });
    EXPECT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
    Task contained("root of a user namespace", [&] {
        become_nobody();
        if (unshare(CLONE_NEWUSER))
            return errno;
        return try_all();
    });
    EXPECT_TRUE(contained.ends_within(20s)) << contained.where();
    EXPECT_EQ(contained.status(), 0);
    EXPECT_EQ(server.connection().policy, policy);
    EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_READY));
}
