// SPDX-License-Identifier: GPL-2.0-only
// Promise 2: reclaim never waits for a server, legacy control groups included.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/memory_group.h"
#include "support/promise.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseReclaim);

namespace {

constexpr std::size_t mebibyte = 1 << 20;

// Touches that much fresh memory and gives it back.
void use_memory(std::size_t length) {
    void *memory =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory == MAP_FAILED ? -1 : 0, "mmap");
    for (std::size_t at = 0; at < length; at += 4096)
        static_cast<volatile char *>(memory)[at] = 1;
    munmap(memory, length);
}

// The group is full of clean folios of the file, some of its folios are in flight, some dirty, and
// the server is stopped: somebody else in the group needs memory.
void check_reclaim(const Client &client, MemoryGroup::Version version, const char *scenario) {
    MemoryGroup group(version, 48 * mebibyte);
    Passthrough server({.type = client.type});
    lift_dirty_limit(server.mount().path());
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    Task filling("writer in the group", [&] {
        group.enter();
        for (std::size_t i = 0; i < 64; i++)
            pwrite_all(file, pattern(mebibyte, i), static_cast<off_t>(i * mebibyte));
        return fsync(file) ? errno : 0;
    });
    ASSERT_TRUE(filling.ends_within(120s)) << filling.where();
    ASSERT_EQ(filling.status(), 0);
    EXPECT_GT(group.usage(), 24 * mebibyte);
    server.stop();
    Task dirtying("writer of what will be in flight", [&] {
        group.enter();
        for (std::size_t i = 60; i < 64; i++)
            pwrite_all(file, pattern(mebibyte / 2, i), static_cast<off_t>(i * mebibyte));
        sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
        pwrite_all(file, pattern(mebibyte / 2, 5), 60 * mebibyte);
        return 0;
    });
    dirtying.returns_within(5s);
    bool ended = ends_while_stopped(server, client, "task that needs memory", [&] {
        group.enter();
        for (unsigned i = 0; i < 4; i++)
            use_memory(24 * mebibyte);
        return 0;
    });
    EXPECT_TRUE(dirtying.ends_within(60s)) << dirtying.where();
    EXPECT_EQ(group.kills(), 0u);
    outcome(client, 2, scenario, ended, ended ? "goes on" : "waits for the server");
    EXPECT_EQ(fsync(file), 0);
    std::string expected = pattern(mebibyte, 62);
    expected.replace(0, mebibyte / 2, pattern(mebibyte / 2, 62));
    EXPECT_EQ(difference(expected, pread_all(file, mebibyte, 62 * mebibyte)), "");
}

// For how long the writer below goes on: some seconds, or FUSEWB_TEST_HOURS.
std::chrono::seconds writing_time() {
    const char *hours = std::getenv("FUSEWB_TEST_HOURS");
    auto asked = std::chrono::seconds(std::lround(hours ? std::atof(hours) * 3600 : 0));
    return std::max(asked, std::chrono::seconds(6));
}

// Its only thread allocates in the group of the writer before it answers.
void check_server_in_need(const Client &client, MemoryGroup::Version version,
                          const char *scenario) {
    MemoryGroup group(version, 40 * mebibyte);
    // The server is this process: its threads are in the group from their start.
    group.enter();
    std::atomic<unsigned> answered = 0;
    bool done;
    {
        RawServer server({.max_write = mebibyte, .type = client.type});
        server.on(FUSE_WRITE, [&](const Request &request) {
            use_memory(12 * mebibyte);
            // What it gets is not kept: the group is small.
            fuse_write_out out{request.as<fuse_write_in>().size, 0};
            server.answer(request, bytes_of(out));
            answered++;
            return true;
        });
        Task writer("writer", [&] {
            Fd file(server.mnt("f"), O_RDWR | O_CREAT);
            std::string bytes = pattern(mebibyte, 1);
            auto end = Clock::now() + writing_time();
            for (std::size_t i = 0; Clock::now() < end; i++)
                pwrite_all(file, bytes, static_cast<off_t>(i % 64 * mebibyte));
            return fsync(file) ? errno : 0;
        });
        // Progress, not speed: as long as answers come it is no deadlock.
        unsigned last = 0;
        do {
            last = answered;
            done = writer.ends_within(client.ours() ? 60s : 10s);
            if (!done)
                std::cout << answered << " WRITEs so far" << std::endl;
        } while (!done && answered != last);
        if (!done) {
            std::cout << writer.where() << where_is(getpid()) << std::endl;
            server.mount().abort();
        }
    }
    std::cout << answered << " WRITEs answered in need of memory" << std::endl;
    outcome(client, 2, scenario, done && answered > 5, done ? "goes on" : "deadlock");
}

} // namespace

PROMISE_TEST(PromiseReclaim, GoesOnInAUnifiedGroupAtItsLimit) {
    check_reclaim(client, MemoryGroup::Version::Unified, "memory group (v2) at its limit");
}

PROMISE_TEST_WITHIN(PromiseReclaim, ASingleThreadedServerInNeedOfMemoryGoesOn,
                    std::chrono::seconds(300) + writing_time()) {
    check_server_in_need(client, MemoryGroup::Version::Unified,
                         "server reclaims in the writer's group (v2)");
}

// In a machine of their own: see MemoryGroup.
PROMISE_TEST(PromiseReclaim, GoesOnInALegacyGroupAtItsLimit) {
    if (!client.ours())
        throw Skip("the contrast is the one of the unified group");
    check_reclaim(client, MemoryGroup::Version::Legacy, "memory group (v1) at its limit");
}

PROMISE_TEST_WITHIN(PromiseReclaim, ASingleThreadedServerInALegacyGroupGoesOn,
                    std::chrono::seconds(300) + writing_time()) {
    if (!client.ours())
        throw Skip("the contrast is the one of the unified group");
    check_server_in_need(client, MemoryGroup::Version::Legacy,
                         "server reclaims in the writer's group (v1)");
}

// Reclaim does not know that what is in flight will be free, and would kill for what is referenced.
GUEST_TEST(Reclaim, AWriterWhoseGroupIsFullOfItsDataWaitsForTheServer) {
    needs_fusewb();
    MemoryGroup group(MemoryGroup::Version::Unified, 24 * mebibyte);
    RawServer server({.max_write = mebibyte});
    lift_dirty_limit(server.mount().path());
    // What is open and was written to once takes no more answers until fsync.
    Fd goes_on(server.mnt("goes-on"), O_RDWR | O_CREAT), ends(server.mnt("ends"), O_RDWR | O_CREAT);
    for (int file : {goes_on.get(), ends.get()})
        pwrite_all(file, "x", 0);
    auto start = [&](int file) {
        return std::make_unique<Task>("writer", [&, file] {
            group.enter();
            for (std::size_t i = 0; i < 48; i++)
                pwrite_all(file, pattern(mebibyte, i), static_cast<off_t>(i * mebibyte));
            return fsync(file) ? errno : 0;
        });
    };
    server.pause();
    auto writer = start(goes_on);
    auto killed = start(ends);
    EXPECT_FALSE(writer->ends_within(3s)) << "the group holds less than it wrote";
    EXPECT_FALSE(killed->ended());
    EXPECT_EQ(group.kills(), 0u);
    EXPECT_TRUE(killed->kill_within(20s)) << killed->where();
    server.resume();
    EXPECT_TRUE(writer->ends_within(120s)) << writer->where();
    EXPECT_EQ(writer->status(), 0);
    EXPECT_EQ(group.kills(), 0u);
    std::string expected;
    for (std::size_t i = 0; i < 48; i++)
        expected += pattern(mebibyte, i);
    EXPECT_EQ(difference(expected, server.content("goes-on")), "");
}
