// SPDX-License-Identifier: GPL-2.0-only
// Deadlines: every class, every action, changed while requests run, and late answers.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/netlink.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

int stat_error(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? errno : 0;
}

// One operation of a class: what the server holds, what a task does, that then waits.
struct Operation {
    const char *name;
    std::uint32_t opcode;
    unsigned request_class;
    unsigned deadline; // FUSEWB_A_POLICY_*
    std::function<int(const std::filesystem::path &)> work;
};

int read_some(const std::filesystem::path &path) {
    Fd fd(open(path.c_str(), O_RDONLY | O_DIRECT));
    if (fd < 0)
        return errno;
    alignas(4096) char bytes[4096];
    return pread(fd, bytes, sizeof(bytes), 0) < 0 ? errno : 0;
}

int write_some(const std::filesystem::path &path) {
    Fd fd(open(path.c_str(), O_WRONLY));
    if (fd < 0)
        return errno;
    return pwrite(fd, "abc", 3, 0) < 0 ? errno : 0;
}

int sync_file(const std::filesystem::path &path) {
    Fd fd(open(path.c_str(), O_RDONLY));
    if (fd < 0)
        return errno;
    return fsync(fd) ? errno : 0;
}

const std::vector<Operation> operations = {
    {"LOOKUP", FUSE_LOOKUP, FUSEWB_CLASS_METADATA, FUSEWB_A_POLICY_DEADLINE_METADATA,
     [](const auto &path) { return stat_error(path.parent_path() / "looked-up"); }},
    {"OPEN", FUSE_OPEN, FUSEWB_CLASS_METADATA, FUSEWB_A_POLICY_DEADLINE_METADATA, read_some},
    {"READ", FUSE_READ, FUSEWB_CLASS_READ, FUSEWB_A_POLICY_DEADLINE_READ, read_some},
    {"WRITE", FUSE_WRITE, FUSEWB_CLASS_WRITEBACK, FUSEWB_A_POLICY_DEADLINE_WRITEBACK, write_some},
    {"FSYNC", FUSE_FSYNC, FUSEWB_CLASS_WRITEBACK, FUSEWB_A_POLICY_DEADLINE_WRITEBACK, sync_file},
};

// A server whose writes go through, so that a task waits for its own WRITE.
class DeadlineServer : public RawServer {
public:
    DeadlineServer() : RawServer({.writeback = false}) {
        set_content("f", pattern(8192, 1));
        EXPECT_EQ(stat_error(mnt("f")), 0);
        id_ = connection().id;
        netlink_.subscribe();
    }
    std::uint64_t id() const { return id_; }
    Netlink &netlink() { return netlink_; }
    void set(const PolicyValues &values) { netlink_.set_policy(id_, values); }

private:
    Netlink netlink_;
    std::uint64_t id_ = 0;
};

const Operation &lookup() { return operations.front(); }

class EachOperation : public testing::TestWithParam<std::size_t> {};
std::string operation_name(const testing::TestParamInfo<std::size_t> &info) {
    return operations[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(Deadline, EachOperation, testing::Range(std::size_t{0}, operations.size()),
                         operation_name);

} // namespace

GUEST_TEST_P(EachOperation, IsReportedAndWaitsOn) {
    needs_fusewb();
    const Operation &operation = operations[param];
    DeadlineServer server;
    server.hold(operation.opcode);
    Task task(operation.name, [&] { return operation.work(server.mnt("f")); });
    ASSERT_TRUE(server.wait_held(operation.opcode, 1));
    // Not before: the server may be slow to take it.
    server.set({{operation.deadline, 100}, {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_REPORT}});
    auto expired = server.netlink().expired(server.id(), 10s);
    ASSERT_TRUE(expired.has_value());
    EXPECT_EQ(expired->opcode, operation.opcode);
    EXPECT_EQ(expired->request_class, operation.request_class);
    EXPECT_EQ(expired->action, unsigned(FUSEWB_ACTION_REPORT));
    EXPECT_EQ(expired->deadline_ms, 100u);
    EXPECT_GE(expired->age_usec, 100000u);
    EXPECT_EQ(expired->pid, unsigned(task.pid()));
    EXPECT_EQ(expired->uid, 0u);
    EXPECT_EQ(expired->state, unsigned(FUSEWB_REQUEST_SENT));
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_DEADLINES], 1u);
    EXPECT_FALSE(server.netlink().expired(server.id(), 300ms).has_value()) << "told twice";
    EXPECT_FALSE(task.ended());
    server.release(operation.opcode);
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), operation.opcode == FUSE_LOOKUP ? ENOENT : 0);
    EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_READY));
}

GUEST_TEST_P(EachOperation, FailsAndItsLateAnswerIsDiscarded) {
    needs_fusewb();
    const Operation &operation = operations[param];
    DeadlineServer server;
    server.hold(operation.opcode);
    Task task(operation.name, [&] { return operation.work(server.mnt("f")); });
    ASSERT_TRUE(server.wait_held(operation.opcode, 1));
    server.set({{operation.deadline, 100}, {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), ETIMEDOUT);
    auto expired = server.netlink().expired(server.id(), 10s);
    ASSERT_TRUE(expired.has_value());
    EXPECT_EQ(expired->action, unsigned(FUSEWB_ACTION_FAIL));
    // What the task closed at its end may be on its way, too.
    std::vector<StuckRequest> stuck;
    EXPECT_TRUE(wait_until(10s,
                           [&] {
                               stuck = server.netlink().requests(server.id());
                               return stuck.size() == 1;
                           }))
        << "the server has it still, and nothing else: " << stuck.size();
    ASSERT_FALSE(stuck.empty());
    EXPECT_EQ(stuck[0].unique, expired->unique);
    EXPECT_EQ(stuck[0].state, unsigned(FUSEWB_REQUEST_ABANDONED));
    server.release(operation.opcode);
    EXPECT_TRUE(wait_until(10s, [&] { return server.netlink().requests(server.id()).empty(); }));
    if (operation.opcode == FUSE_OPEN) {
        EXPECT_TRUE(wait_until(10s, [&] { return server.seen(FUSE_RELEASE) >= 1; }))
            << "what the late answer opened is not given back";
    }
    server.set({{operation.deadline, 0}});
    EXPECT_EQ(operation.work(server.mnt("f")), operation.opcode == FUSE_LOOKUP ? ENOENT : 0);
    write_file(server.mnt("g"), "alive");
    EXPECT_EQ(server.content("g"), "alive");
}

GUEST_TEST_P(EachOperation, AbortsTheConnection) {
    needs_fusewb();
    const Operation &operation = operations[param];
    DeadlineServer server;
    server.set({{operation.deadline, 100}, {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_ABORT}});
    server.hold(operation.opcode);
    Task task(operation.name, [&] { return operation.work(server.mnt("f")); });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), ENOTCONN);
    auto event = server.netlink().event(10s);
    while (event && event->command != FUSEWB_CMD_CONN_ABORTED)
        event = server.netlink().event(10s);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->id, server.id());
    EXPECT_EQ(event->abort_reason, unsigned(FUSEWB_ABORT_DEADLINE));
    EXPECT_EQ(event->state, unsigned(FUSEWB_CONN_ABORTED));
    EXPECT_EQ(server.connection().abort_reason, unsigned(FUSEWB_ABORT_DEADLINE));
    EXPECT_EQ(stat_error(server.mnt("other")), ENOTCONN);
}

GUEST_TEST(Deadline, AClassWithoutOneHasTheDeadlineOfAll) {
    needs_fusewb();
    DeadlineServer server;
    server.set({{FUSEWB_A_POLICY_DEADLINE_ALL, 100},
                {FUSEWB_A_POLICY_DEADLINE_READ, 3600000},
                {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    server.hold(FUSE_LOOKUP);
    EXPECT_EQ(lookup().work(server.mnt("f")), ETIMEDOUT);
    server.release(FUSE_LOOKUP);
    // Opening the file is not what is tried, and may take its time on a slow machine.
    server.set({{FUSEWB_A_POLICY_DEADLINE_METADATA, 3600000}});
    server.hold(FUSE_READ);
    Task reader("read(2)", [&] { return read_some(server.mnt("f")); });
    ASSERT_TRUE(server.wait_held(FUSE_READ, 1));
    EXPECT_FALSE(reader.ends_within(500ms)) << "its class has a longer one";
    server.release(FUSE_READ);
    EXPECT_TRUE(reader.ends_within(20s)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
}

GUEST_TEST(Deadline, ItCanBeSetShortenedLengthenedAndLiftedWhileARequestRuns) {
    needs_fusewb();
    DeadlineServer server;
    server.set({{FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    server.hold(FUSE_LOOKUP);
    auto start = [&](unsigned held) {
        auto task =
            std::make_unique<Task>("stat(2)", [&] { return lookup().work(server.mnt("f")); });
        EXPECT_TRUE(server.wait_held(FUSE_LOOKUP, held));
        return task;
    };
    constexpr auto metadata = FUSEWB_A_POLICY_DEADLINE_METADATA;
    {
        auto task = start(1);
        std::this_thread::sleep_for(150ms);
        server.set({{metadata, 100}});
        EXPECT_TRUE(task->ends_within(20s)) << "set: past it already: " << task->where();
        EXPECT_EQ(task->status(), ETIMEDOUT);
    }
    server.set({{metadata, 3600000}});
    {
        auto task = start(2);
        server.set({{metadata, 200}});
        EXPECT_TRUE(task->ends_within(20s)) << "shortened: " << task->where();
        EXPECT_EQ(task->status(), ETIMEDOUT);
    }
    server.set({{metadata, 4000}});
    {
        auto task = start(3);
        server.set({{metadata, 3600000}});
        EXPECT_FALSE(task->ends_within(5s)) << "lengthened";
        server.set({{metadata, 100}});
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
    }
    server.set({{metadata, 4000}});
    {
        auto task = start(4);
        server.set({{metadata, 0}});
        EXPECT_FALSE(task->ends_within(5s)) << "lifted";
        server.set({{FUSEWB_A_POLICY_DEADLINE_ALL, 100}});
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), ETIMEDOUT);
    }
    server.release(FUSE_LOOKUP);
}

GUEST_TEST(Deadline, AnotherActionAppliesToWhatIsLateAlready) {
    needs_fusewb();
    DeadlineServer server;
    server.set({{FUSEWB_A_POLICY_DEADLINE_METADATA, 50}});
    server.hold(FUSE_LOOKUP);
    Task task("stat(2)", [&] { return lookup().work(server.mnt("f")); });
    ASSERT_TRUE(server.netlink().expired(server.id(), 10s).has_value());
    EXPECT_FALSE(task.ends_within(200ms));
    server.set({{FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), ETIMEDOUT);
    server.release(FUSE_LOOKUP);
}

GUEST_TEST(Deadline, WhatTheServerWasNotGivenIsTakenBack) {
    needs_fusewb();
    DeadlineServer server;
    std::atomic<bool> go{false};
    server.on(FUSE_STATFS, [&](const Request &) {
        wait_until(60s, [&] { return go.load(); });
        return false;
    });
    Task busy("statfs(2)", [&] {
        std::error_code error;
        static_cast<void>(std::filesystem::space(server.mnt(), error));
        return 0;
    });
    ASSERT_TRUE(wait_until(10s, [&] { return server.seen(FUSE_STATFS) >= 1; }));
    auto lookups = server.seen(FUSE_LOOKUP);
    server.set(
        {{FUSEWB_A_POLICY_DEADLINE_METADATA, 100}, {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    Task task("stat(2)", [&] { return stat_error(server.mnt("never-asked")); });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), ETIMEDOUT);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), lookups);
    server.set({{FUSEWB_A_POLICY_DEADLINE_METADATA, 0}});
    go = true;
    EXPECT_TRUE(busy.ends_within(20s)) << busy.where();
    EXPECT_EQ(stat_error(server.mnt("asked")), ENOENT);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), lookups + 1) << "what was taken back was sent";
    EXPECT_TRUE(server.netlink().requests(server.id()).empty());
}

// Answers that come at about the deadline: each is either taken or gives back what it brought.
GUEST_TEST(Deadline, AnAnswerThatRacesWithTheDeadlineIsTakenOrGivenBack) {
    needs_fusewb();
    RawServer server({.writeback = false, .valid_seconds = 0});
    Netlink netlink;
    auto id = server.connection().id;
    // The deadline is not meant for INIT.
    EXPECT_EQ(stat_error(server.mnt("f")), ENOENT);
    server.set_content("f", "content");
    std::atomic<std::uint64_t> brought{0}, given_back{0}, doubles{0}, timeouts{0};
    for (std::uint32_t opcode : {FUSE_FORGET, FUSE_BATCH_FORGET})
        server.on(opcode, [&](const Request &request) {
            for (const auto &one : forgotten_by(request))
                given_back += one.nlookup;
            return true;
        });
    fuse_entry_out entry{};
    entry.nodeid = 77;
    entry.attr_valid = 3600;
    entry.attr.ino = 77;
    entry.attr.mode = S_IFREG | 0644;
    entry.attr.nlink = 1;
    auto seen = server.seen(FUSE_LOOKUP);
    std::minstd_rand random(1);
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        // Of a deadline of 3 ms.
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
        if (server.answer(request, bytes_of(entry)) == 0)
            brought++;
        if (server.answer(request, bytes_of(entry)) == ENOENT)
            doubles++;
        return true;
    });
    netlink.set_policy(
        id, {{FUSEWB_A_POLICY_DEADLINE_METADATA, 3}, {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    constexpr int rounds = 600;
    for (int i = 0; i < rounds; i++) {
        int error = stat_error(server.mnt("f"));
        if (error == ETIMEDOUT)
            timeouts++;
        else
            ASSERT_EQ(error, 0);
    }
    netlink.set_policy(id, {{FUSEWB_A_POLICY_DEADLINE_METADATA, 0}});
    EXPECT_TRUE(wait_until(20s, [&] { return netlink.requests(id).empty(); }));
    EXPECT_GT(timeouts, 0u);
    EXPECT_LT(timeouts, unsigned(rounds)) << "no answer came in time: nothing raced";
    EXPECT_GT(brought, 0u);
    // The last one may still be on its way in the server's thread.
    EXPECT_TRUE(wait_until(20s, [&] { return doubles == server.seen(FUSE_LOOKUP) - seen; }))
        << "a second answer was taken: " << doubles << " of " << server.seen(FUSE_LOOKUP) - seen;
    EXPECT_TRUE(wait_until(20s,
                           [&] {
                               write_file("/proc/sys/vm/drop_caches", "2");
                               return given_back == brought;
                           }))
        << "brought " << brought << ", given back " << given_back;
}

// How late it is told, beside how late a plain sleep is in the same run.
GUEST_TEST(Deadline, ItExpiresOnTimeUnderLoad) {
    needs_fusewb();
    DeadlineServer server;
    server.hold(FUSE_LOOKUP);
    std::vector<std::jthread> load;
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); i++)
        load.emplace_back([](const std::stop_token &over) {
            while (!over.stop_requested())
                ;
        });
    std::vector<std::int64_t> late, reference;
    constexpr int rounds = 20;
    for (int i = 0; i < rounds; i++) {
        server.set({{FUSEWB_A_POLICY_DEADLINE_METADATA, unsigned(30 + i)}});
        Task task("stat(2)", [&] { return lookup().work(server.mnt("f")); });
        auto begin = Clock::now();
        std::this_thread::sleep_for(std::chrono::milliseconds(30 + i));
        reference.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count() -
            (30 + i) * 1000);
        auto expired = server.netlink().expired(server.id(), 10s);
        ASSERT_TRUE(expired.has_value());
        late.push_back(std::int64_t(expired->age_usec) - (30 + i) * 1000);
        // The server's thread has to share the processors as well.
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1));
        server.allow(FUSE_LOOKUP);
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
    }
    load.clear();
    server.release(FUSE_LOOKUP);
    std::sort(late.begin(), late.end());
    std::sort(reference.begin(), reference.end());
    std::cout << "late by " << late[rounds / 2] << " us (median), " << late.back()
              << " us (worst); sleep " << reference[rounds / 2] << " us, " << reference.back()
              << " us\n";
    EXPECT_GE(late.front(), 0);
    EXPECT_LE(late[rounds / 2], std::max<std::int64_t>(20000, 2 * reference[rounds / 2]));
}
