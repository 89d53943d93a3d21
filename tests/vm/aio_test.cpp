// SPDX-License-Identifier: GPL-2.0-only
// Direct I/O that ends after the call.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/aio.h"
#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr unsigned calls = 8;
constexpr std::size_t size = 8192;

// A file, and a server that lets calls of it end later.
struct Later {
    explicit Later(const std::string &type, std::string mount_options = {})
        : server({.mount_options = std::move(mount_options),
                  .init_flags = FUSE_ASYNC_DIO,
                  .type = type}),
          data(pattern(calls * size, 1)) {
        server.set_content("f", data);
        file = Fd(server.mnt("f"), O_RDWR | O_DIRECT);
    }
    void submit(unsigned operation) {
        for (unsigned i = 0; i < calls; i++)
            aio.submit(operation, file, memory.at(i * size), size, off_t(i * size), i);
    }
    void expect_whole(unsigned count = calls) {
        auto results = aio.wait(count);
        EXPECT_EQ(results.size(), count);
        for (auto [number, result] : results)
            EXPECT_EQ(result, std::int64_t(size)) << "call " << number;
    }

    RawServer server;
    std::string data;
    Fd file;
    Pages memory{calls * size};
    Aio aio{calls};
};

} // namespace

ON_CLIENTS(AioLater, "fusewb", "fuse");

CLIENT_TEST(AioLater, ReadsAreUnderWayTogetherAndNobodyWaits) {
    Later later(client.type);
    later.server.hold(FUSE_READ);
    later.submit(IOCB_CMD_PREAD);
    EXPECT_TRUE(later.server.wait_held(FUSE_READ, calls));
    later.server.release(FUSE_READ);
    later.expect_whole();
    EXPECT_EQ(difference(later.data, later.memory.view(calls * size)), "");
}

CLIENT_TEST(AioLater, WritesAreUnderWayTogetherAndNobodyWaits) {
    Later later(client.type);
    std::string data = pattern(calls * size, 2);
    std::memcpy(later.memory.at(), data.data(), data.size());
    later.server.hold(FUSE_WRITE);
    later.submit(IOCB_CMD_PWRITE);
    EXPECT_TRUE(later.server.wait_held(FUSE_WRITE, calls));
    later.server.release(FUSE_WRITE);
    later.expect_whole();
    EXPECT_EQ(difference(data, later.server.content("f")), "");
    Fd cached(later.server.mnt("f"), O_RDONLY);
    EXPECT_EQ(difference(data, pread_all(cached, data.size(), 0)), "");
}

CLIENT_TEST(AioLater, AReadOverTheEndIsShortAndOneBehindItIsEmpty) {
    Later later(client.type);
    ASSERT_EQ(ftruncate(later.file, size + 512), 0);
    later.aio.submit(IOCB_CMD_PREAD, later.file, later.memory.at(), 2 * size, 0, 1);
    later.aio.submit(IOCB_CMD_PREAD, later.file, later.memory.at(2 * size), size, 2 * size, 2);
    auto results = later.aio.wait(2);
    EXPECT_EQ(results[1], std::int64_t(size + 512));
    EXPECT_EQ(results[2], 0);
    EXPECT_EQ(difference(later.data.substr(0, size + 512), later.memory.view(size + 512)), "");
}

CLIENT_TEST(AioLater, AWriteThatExtendsTheFileDoes) {
    Later later(client.type);
    std::memcpy(later.memory.at(), later.data.data(), size);
    later.aio.submit(IOCB_CMD_PWRITE, later.file, later.memory.at(), size, calls * size, 1);
    EXPECT_EQ(later.aio.wait(1)[1], std::int64_t(size));
    EXPECT_EQ(difference(later.data + later.data.substr(0, size), later.server.content("f")), "");
    EXPECT_EQ(lseek(later.file, 0, SEEK_END), off_t((calls + 1) * size));
}

CLIENT_TEST(AioLater, TheServersErrorIsThatOfTheCall) {
    Later later(client.type);
    for (auto [opcode, command] :
         {std::pair{FUSE_READ, IOCB_CMD_PREAD}, std::pair{FUSE_WRITE, IOCB_CMD_PWRITE}}) {
        later.server.hold(opcode);
        later.aio.submit(command, later.file, later.memory.at(), size, 0, 1);
        ASSERT_TRUE(later.server.wait_held(opcode, 1));
        later.server.refuse_held(opcode, ENOSPC);
        EXPECT_EQ(later.aio.wait(1)[1], -ENOSPC);
    }
}

// No memory of the caller's is held meanwhile, so there may be none any more.
GUEST_TEST(Aio, WhatIsReadToMemoryThatIsGoneIsAFault) {
    needs_fusewb();
    Later later({});
    later.server.hold(FUSE_READ);
    {
        Pages gone(size);
        later.aio.submit(IOCB_CMD_PREAD, later.file, gone.at(), size, 0, 1);
        ASSERT_TRUE(later.server.wait_held(FUSE_READ, 1));
    }
    later.server.release(FUSE_READ);
    EXPECT_EQ(later.aio.wait(1)[1], -EFAULT);
}

GUEST_TEST(Aio, ACallThatIsCancelledEndsAndItsWriteStaysInOrder) {
    needs_fusewb();
    Later later({});
    later.server.hold(FUSE_READ);
    later.server.hold(FUSE_WRITE);
    std::memset(later.memory.at(), 'w', size);
    later.aio.submit(IOCB_CMD_PWRITE, later.file, later.memory.at(), size, 0, 1);
    later.aio.submit(IOCB_CMD_PREAD, later.file, later.memory.at(size), size, size, 2);
    ASSERT_TRUE(later.server.wait_held(FUSE_WRITE, 1));
    ASSERT_TRUE(later.server.wait_held(FUSE_READ, 1));
    EXPECT_EQ(later.aio.cancel(1), EINPROGRESS);
    EXPECT_EQ(later.aio.cancel(2), EINPROGRESS);
    auto results = later.aio.wait(2);
    EXPECT_EQ(results[1], -EINTR);
    EXPECT_EQ(results[2], -EINTR);
    EXPECT_NE(later.aio.cancel(1), EINPROGRESS) << "it has ended";

    // The server has the WRITE yet: a truncation of its bytes comes after it.
    Task truncation("ftruncate(2)", [&] { return ftruncate(later.file, 0) ? errno : 0; });
    EXPECT_FALSE(truncation.ends_within(500ms));
    later.server.release(FUSE_WRITE);
    EXPECT_TRUE(truncation.ends_within(20s)) << truncation.where();
    later.server.release(FUSE_READ);
    EXPECT_EQ(later.server.content("f"), "");
}

// The page is dirty when the answer comes, so it is not dropped, and is written back as a whole.
GUEST_TEST(Aio, WhatIsWrittenBesideItInAPageDoesNotUndoIt) {
    needs_fusewb();
    Later later({});
    Fd cached(later.server.mnt("f"), O_RDWR);
    ASSERT_EQ(pread_all(cached, 4096, 0), later.data.substr(0, 4096));
    later.server.hold(FUSE_WRITE);
    std::memset(later.memory.at(), 'n', 512);
    later.aio.submit(IOCB_CMD_PWRITE, later.file, later.memory.at(), 512, 0, 1);
    ASSERT_TRUE(later.server.wait_held(FUSE_WRITE, 1));
    pwrite_all(cached, "y", 1000);
    later.server.release(FUSE_WRITE);
    EXPECT_EQ(later.aio.wait(1)[1], 512);
    later.data.replace(0, 512, 512, 'n');
    later.data[1000] = 'y';
    EXPECT_EQ(difference(later.data, pread_all(cached, later.data.size(), 0)), "");
    ASSERT_EQ(fsync(cached), 0);
    EXPECT_EQ(difference(later.data, later.server.content("f")), "");
}

// The server thinks and thinks: a task that has calls under way can be killed all the same, of
// which some are queued yet.
GUEST_TEST(Aio, ATaskWithCallsUnderWayCanBeKilled) {
    needs_fusewb();
    for (unsigned opcode : {FUSE_READ, FUSE_WRITE}) {
        Later later({});
        later.server.hold(opcode);
        Task task("calls of aio", [&] {
            Aio aio(64);
            Pages memory(calls * size);
            for (unsigned i = 0; i < 64; i++)
                aio.submit(opcode == FUSE_READ ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE, later.file,
                           memory.at(i % calls * size), opcode == FUSE_READ ? size : 1024,
                           off_t(opcode == FUSE_READ ? i % calls * size : i * 1024), i);
            return aio.wait(1, 200s).empty() ? 1 : 2;
        });
        ASSERT_TRUE(later.server.wait_held(opcode, calls)) << task.where();
        EXPECT_TRUE(task.kill_within(20s)) << task.where();
        later.server.release(opcode);
        later.submit(IOCB_CMD_PREAD);
        later.expect_whole();
    }
}

namespace {

// One call of each kind, of which the server answers none in time.
void expect_both_end(Later &later, int error, const std::function<void()> &meanwhile) {
    later.server.hold(FUSE_READ);
    later.server.hold(FUSE_WRITE);
    later.aio.submit(IOCB_CMD_PREAD, later.file, later.memory.at(), size, 0, 1);
    later.aio.submit(IOCB_CMD_PWRITE, later.file, later.memory.at(size), size, size, 2);
    meanwhile();
    auto results = later.aio.wait(2);
    EXPECT_EQ(results[1], -error);
    EXPECT_EQ(results[2], -error);
}

} // namespace

GUEST_TEST(Aio, EndsAtItsDeadline) {
    needs_fusewb();
    Later later({});
    Netlink netlink;
    Connection connection = later.server.connection();
    netlink.set_policy(connection.id, {{FUSEWB_A_POLICY_DEADLINE_READ, 100},
                                       {FUSEWB_A_POLICY_DEADLINE_WRITEBACK, 100},
                                       {FUSEWB_A_POLICY_ACTION, FUSEWB_ACTION_FAIL}});
    expect_both_end(later, ETIMEDOUT, [] {});
    // The late answers.
    later.server.release(FUSE_READ);
    later.server.release(FUSE_WRITE);
    EXPECT_TRUE(wait_until(20s, [&] { return netlink.requests(connection.id).empty(); }));
}

GUEST_TEST(Aio, EndsWithTheConnection) {
    needs_fusewb();
    Later later({});
    expect_both_end(later, ENOTCONN, [&] { Netlink().abort(later.server.connection().id); });
}

// A server that did not say that it wants this has one call at a time to answer.
GUEST_TEST(Aio, WithoutTheFlagACallWaitsForItsAnswer) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", pattern(size, 1));
    Fd file(server.mnt("f"), O_RDWR | O_DIRECT);
    server.hold(FUSE_READ);
    Task task("io_submit(2)", [&] {
        Aio aio(1);
        Pages memory(size);
        aio.submit(IOCB_CMD_PREAD, file, memory.at(), size, 0, 1);
        return aio.wait(1)[1] == std::int64_t(size) ? 0 : 1;
    });
    ASSERT_TRUE(server.wait_held(FUSE_READ, 1));
    EXPECT_FALSE(task.returns_within(500ms));
    server.release(FUSE_READ);
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
}
