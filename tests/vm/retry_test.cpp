// SPDX-License-Identifier: GPL-2.0-only
// A server that answers a WRITE with "try again" gets it again, and no data is lost for it; not for
// ever, and not silently.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/netlink.h"
#include "support/passthrough.h"
#include "support/promise.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;

// The first answers to WRITE are errors.
void refuse_writes(RawServer &server, int error, std::shared_ptr<std::atomic<int>> times) {
    server.on(FUSE_WRITE, [&server, error, times](const Request &request) {
        if (times->fetch_sub(1) <= 0)
            return false;
        server.answer_error(request, error);
        return true;
    });
}

// However slow the machine is.
void never_give_up(RawServer &server) {
    Netlink().set_policy(server.connection().id, {{FUSEWB_A_POLICY_RETRY, 600'000}});
}

struct Refusal {
    const char *writeback;
    int error;
};

class TryAgain : public testing::TestWithParam<Refusal> {};

} // namespace

GUEST_TEST_P(TryAgain, LosesNothing) {
    needs_fusewb();
    RawServer server(
        {.mount_options = std::string("writeback=") + param.writeback, .max_write = 65536});
    std::string model = pattern(300'000, 1);
    never_give_up(server);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    refuse_writes(server, param.error, std::make_shared<std::atomic<int>>(7));
    ASSERT_EQ(fsync(file), 0) << std::strerror(errno);
    EXPECT_EQ(difference(model, server.content("f")), "");
    Connection connection = server.connection();
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_RETRIES], 7u);
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 0u);
    EXPECT_TRUE(server.overlaps().empty()) << server.overlaps().front();
}

INSTANTIATE_TEST_SUITE_P(Refusals, TryAgain,
                         testing::Values(Refusal{"direct", EAGAIN}, Refusal{"direct", EINTR},
                                         Refusal{"direct", ENOMEM}, Refusal{"copy", EAGAIN}),
                         [](const auto &info) {
                             return std::string(info.param.writeback) + "Errno" +
                                    std::to_string(info.param.error);
                         });

GUEST_TEST(Retry, WhatIsRewrittenMeanwhileArrives) {
    needs_fusewb();
    RawServer server;
    never_give_up(server);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    auto times = std::make_shared<std::atomic<int>>(1'000'000);
    refuse_writes(server, EAGAIN, times);
    // Little enough not to be put to sleep at the dirty limit.
    std::string model = pattern(10'000, 1);
    pwrite_all(file, model, 0);
    ASSERT_EQ(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
    EXPECT_TRUE(wait_until(soon, [&] { return server.seen(FUSE_WRITE) > 0; }));
    std::string fresh = pattern(5'000, 2);
    pwrite_all(file, fresh, 3'000);
    model.replace(3'000, fresh.size(), fresh);
    *times = 0;
    ASSERT_EQ(fsync(file), 0) << std::strerror(errno);
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_TRUE(server.overlaps().empty()) << server.overlaps().front();
}

GUEST_TEST(Retry, IsGivenUpAndReportedInTheEnd) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    auto times = std::make_shared<std::atomic<int>>(1'000'000);
    refuse_writes(server, EAGAIN, times);
    pwrite_all(file, "refused", 0);
    EXPECT_EQ(fsync(file), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_RETRIES], 3u);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 1u);
    *times = 0;
    EXPECT_EQ(fsync(file), 0) << "it was reported twice";
    pwrite_all(file, "taken", 0);
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(server.content("f").substr(0, 5), "taken");
}

GUEST_TEST(Retry, DataThatWasReclaimedIsReported) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=direct"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.hold(FUSE_WRITE);
    pwrite_all(file, pattern(20'000, 1), 0);
    sync();
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    drop_pages(file);
    server.refuse_held(FUSE_WRITE, EAGAIN);
    EXPECT_EQ(fsync(file), -1);
    EXPECT_EQ(errno, EAGAIN);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_RETRIES], 0u);
}

GUEST_TEST(Retry, WhatWasSplitMeanwhileGoesAgain) {
    needs_fusewb();
    // Of which little enough is dirty for a writer not to wait for the server.
    constexpr std::uint32_t most = 2 << 20;
    const char *splitter = "/sys/kernel/debug/split_huge_pages";
    if (access(splitter, W_OK) != 0)
        GTEST_SKIP() << "this kernel has no " << splitter;
    // The splitter opens the file, too.
    RawServer server(
        {.mount_options = "writeback=direct", .max_write = most, .open_flags = FOPEN_KEEP_CACHE});
    lift_dirty_limit(server.mnt());
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(most, 1);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    // More pages than a request has room for pieces at first.
    server.hold(FUSE_WRITE);
    model = pattern(most, 2);
    pwrite_all(file, model, 0);
    ASSERT_EQ(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    std::string which = server.mnt("f").string() + ",0x0,0x1000";
    EXPECT_GT(write(Fd(splitter, O_WRONLY), which.data(), which.size()), 0) << errno;
    server.refuse_held(FUSE_WRITE, EAGAIN);
    EXPECT_EQ(fsync(file), 0) << std::strerror(errno);
    EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_RETRIES], 0u);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

// What is cut off has one folio with what is out.
GUEST_TEST(Retry, WhatATruncationLeftGoesAgain) {
    needs_fusewb();
    constexpr std::size_t half = 64 * 1024;
    RawServer server({.mount_options = "writeback=direct"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(2 * half, 1);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    server.hold(FUSE_WRITE);
    model.replace(0, half, pattern(half, 2));
    pwrite_all(file, std::string_view(model).substr(0, half), 0);
    ASSERT_EQ(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), 0);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    model.resize(half + half / 2);
    ASSERT_EQ(ftruncate(file, static_cast<off_t>(model.size())), 0);
    server.refuse_held(FUSE_WRITE, EAGAIN);
    EXPECT_EQ(fsync(file), 0) << std::strerror(errno);
    EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_RETRIES], 0u);
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_EQ(difference(model, pread_all(file, 2 * half, 0)), "");
}

GUEST_TEST(Retry, AnAbortEndsIt) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    refuse_writes(server, EAGAIN, std::make_shared<std::atomic<int>>(1'000'000));
    pwrite_all(file, "refused", 0);
    Task fsyncer("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(wait_until(soon, [&] { return server.seen(FUSE_WRITE) > 2; }));
    server.mount().abort();
    EXPECT_TRUE(fsyncer.ends_within(soon)) << fsyncer.where();
    EXPECT_EQ(fsyncer.status(), EIO);
}

namespace {

// Of protocol 7.40.
constexpr std::uint64_t resent = 1ull << 63;

int ask_to_resend(RawServer &server) {
    fuse_out_header header{sizeof(header), protocol::notify_resend, 0};
    return server.send(bytes_of(header));
}

} // namespace

GUEST_TEST(Resend, NothingIsLostWhenTheServerStartsAnew) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=direct",
                      .max_write = 4096,
                      .valid_seconds = 0,
                      .init_flags = protocol::has_resend});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.set_content("other", "found");
    server.hold(FUSE_WRITE);
    server.hold(FUSE_LOOKUP);
    std::string model = pattern(12'000, 1);
    Task writer("write(2) and fsync(2)", [&] {
        pwrite_all(file, model, 0);
        return fsync(file) ? errno : 0;
    });
    Task reader("open(2)", [&] { return read_file(server.mnt("other")) == "found" ? 0 : 1; });
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 3)) << server.held(FUSE_WRITE);
    ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1));
    // What may be sent again is still there, whatever memory is wanted for.
    drop_pages(file);

    auto lost = server.lose(FUSE_WRITE);
    server.lose(FUSE_LOOKUP);
    std::atomic<unsigned> anew = 0;
    server.on(FUSE_WRITE, [&](const Request &request) {
        anew += request.header.unique & resent ? 1 : 0;
        return false;
    });
    ASSERT_EQ(ask_to_resend(server), 0);
    EXPECT_TRUE(writer.ends_within(soon)) << writer.where();
    EXPECT_EQ(writer.status(), 0);
    EXPECT_TRUE(reader.ends_within(soon)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
    EXPECT_EQ(anew, lost.size());
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_EQ(server.answer_error(lost[0], EIO), ENOENT) << "the old server's answer was taken";
    EXPECT_TRUE(server.overlaps().empty());
}

// A request that is to be sent again is the queue's, and may go as one that never was sent.
GUEST_TEST(Resend, WhoIsKilledMeanwhileLeavesNothingInTheQueue) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0, .init_flags = protocol::has_resend});
    server.hold(FUSE_LOOKUP);
    Task task("lookup", [&] { return access(server.mnt("f").c_str(), F_OK) ? errno : 0; });
    ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1)) << task.where();
    server.lose(FUSE_LOOKUP);
    server.pause();
    ASSERT_EQ(ask_to_resend(server), 0);
    EXPECT_TRUE(task.kill_within(soon)) << task.where();
    server.release(FUSE_LOOKUP);
    std::size_t before = server.seen(FUSE_LOOKUP);
    server.resume();
    EXPECT_NE(access(server.mnt("g").c_str(), F_OK), 0);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), before + 1);
    EXPECT_EQ(server.seen(FUSE_INTERRUPT), 0u);
}

GUEST_TEST(Resend, HasToBeNegotiated) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    EXPECT_EQ(ask_to_resend(server), EINVAL);
}

namespace {

void fail_writes_after(const Connection &connection, unsigned ms) {
    Netlink().set_policy(connection.id, {{FUSEWB_A_POLICY_DEADLINE_WRITEBACK, ms},
                                         {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
}

} // namespace

GUEST_TEST(LateWrite, OneThatTheServerHasNotReadIsRecalled) {
    needs_fusewb();
    Passthrough server({.mount_options = "writeback=direct"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "x", 0);
    ASSERT_EQ(fsync(file), 0);
    Connection connection = server.connection();
    fail_writes_after(connection, 200);
    server.stop();
    std::string model = pattern(10'000, 1);
    pwrite_all(file, model, 0);
    Task syncer("sync(2)", sync_all);
    ASSERT_TRUE(syncer.ends_within(soon)) << syncer.where();
    EXPECT_TRUE(wait_until(soon, [&] {
        Connection now = server.connection();
        return now[FUSEWB_A_COUNTER_DEADLINES] && !now[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT];
    })) << "it is still in flight";
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
    EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
    fail_writes_after(connection, 0);
    server.cont();
    ASSERT_EQ(fsync(file), 0) << std::strerror(errno);
    EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
}

// What a mapping left, after the last close.
GUEST_TEST(LateWrite, OneOfAFileThatNobodyHasOpenIsRecalledAndSentAgain) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=direct"});
    std::string model = pattern(4096, 1);
    void *mapping = nullptr;
    {
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, pattern(4096, 2), 0);
        mapping = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ASSERT_NE(mapping, MAP_FAILED);
    }
    Connection connection = server.connection();
    fail_writes_after(connection, 200);
    server.pause();
    std::memcpy(mapping, model.data(), model.size());
    munmap(mapping, 4096);
    EXPECT_TRUE(wait_until(soon, [&] {
        Connection now = server.connection();
        return now[FUSEWB_A_COUNTER_DEADLINES] && !now[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT];
    })) << "it is still in flight";
    fail_writes_after(connection, 0);
    server.resume();
    Fd again(server.mnt("f"), O_RDONLY);
    EXPECT_EQ(fsync(again), 0) << std::strerror(errno);
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
}

GUEST_TEST(LateWrite, OneThatIsRefusedIsNotRecalledAndBegunAnew) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    never_give_up(server);
    auto refusals = std::make_shared<std::atomic<int>>(1'000'000);
    refuse_writes(server, EAGAIN, refusals);
    fail_writes_after(server.connection(), 300);
    std::string model = pattern(4'000, 1);
    pwrite_all(file, model, 0);
    Task fsyncer("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(fsyncer.ends_within(soon)) << fsyncer.where();
    EXPECT_EQ(fsyncer.status(), ETIMEDOUT);
    EXPECT_EQ(server.content("f"), "");
}

GUEST_TEST(LateWrite, OneKeepsSyncfsFromNothingElse) {
    needs_fusewb();
    RawServer server;
    std::string model = pattern(4'000, 1);
    // The newest inode comes first.
    Fd other(server.mnt("other"), O_RDWR | O_CREAT), file(server.mnt("f"), O_RDWR | O_CREAT);
    fail_writes_after(server.connection(), 200);
    std::mutex mutex;
    std::optional<Request> held;
    server.on(FUSE_WRITE, [&, node = server.node_of("f")](const Request &request) {
        std::lock_guard lock(mutex);
        if (request.header.nodeid != node)
            held = request;
        return true;
    });
    pwrite_all(file, model, 0);
    Task fsyncer("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(fsyncer.ends_within(soon)) << fsyncer.where();
    EXPECT_EQ(fsyncer.status(), ETIMEDOUT);
    fail_writes_after(server.connection(), 0);
    pwrite_all(file, pattern(4'000, 2), 0);
    pwrite_all(other, model, 0);
    Task syncer("syncfs(2)", [&] { return syncfs(other) ? errno : 0; });
    ASSERT_TRUE(wait_until(soon, [&] {
        std::lock_guard lock(mutex);
        return held.has_value();
    }));
    EXPECT_FALSE(syncer.ends_within(500ms));
    server.carry_out(*held);
    EXPECT_TRUE(syncer.ends_within(soon)) << syncer.where();
    EXPECT_EQ(syncer.status(), ETIMEDOUT);
}

// The server has them, and may take its time.
GUEST_TEST(LateWrite, OnesOfKilledTasksKeepNoMemory) {
    needs_fusewb();
    constexpr std::size_t size = 1 << 20, tasks = 40;
    RawServer server({.writeback = false, .max_write = size});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string much = pattern(size, 1);
    auto available = [] {
        std::string all = slurp("/proc/meminfo");
        return std::stoul(all.substr(all.find("MemAvailable:") + 13)) << 10;
    };
    std::size_t before = available();
    for (std::size_t i = 0; i < tasks; i++) {
        server.hold(FUSE_WRITE);
        Task writer("write(2)", [&] {
            return pwrite(file, much.data(), size, static_cast<off_t>(i * size)) < 0 ? errno : 0;
        });
        ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1)) << writer.where();
        ASSERT_TRUE(writer.kill_within(soon)) << writer.where();
        for (const Request &request : server.lose(FUSE_WRITE))
            EXPECT_EQ(request.body.size(), size + sizeof(fuse_write_in));
    }
    // Others may need some for a while.
    EXPECT_TRUE(wait_until(soon, [&] {
        return before < available() + tasks * size / 2;
    })) << before << " bytes before, " << available() << " after";
}

GUEST_TEST(LateWrite, OneThatTheServerHasIsReportedAndKeepsItsRange) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    Connection connection = server.connection();
    fail_writes_after(connection, 200);
    server.hold(FUSE_WRITE);
    // One page, which the flusher cannot send in two.
    std::string model = pattern(4'000, 1);
    pwrite_all(file, model, 0);
    Task fsyncer("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(fsyncer.ends_within(soon)) << fsyncer.where();
    EXPECT_EQ(fsyncer.status(), ETIMEDOUT);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 1u);
    EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 0u);

    // What is newer cannot be sent as long as the server may carry the old out.
    fail_writes_after(connection, 0);
    model = pattern(4'000, 2);
    pwrite_all(file, model, 0);
    Task again("fsync(2) of newer data", [&] { return fsync(file) ? errno : 0; });
    EXPECT_TRUE(again.ends_within(soon)) << again.where();
    EXPECT_EQ(again.status(), ETIMEDOUT);
    EXPECT_EQ(server.seen(FUSE_WRITE), 1u);
    server.release(FUSE_WRITE);
    // The error of the first is told once more at most, to this descriptor.
    if (fsync(file)) {
        ASSERT_EQ(errno, ETIMEDOUT);
        ASSERT_EQ(fsync(file), 0) << std::strerror(errno);
    }
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_TRUE(server.overlaps().empty()) << server.overlaps().front();
}
