// SPDX-License-Identifier: GPL-2.0-only
// Folio-direct writeback: what is counted, what waits for a server and what does not, and the
// order of WRITEs and READs over the same bytes.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;   // for what must not wait; generous, the machine may be slow
constexpr auto a_while = 1s; // in which what must wait has had every chance not to

// Dirty pages of a file are on their way to the server: sync(2) sends them and does not wait.
void start_writeback(Task &syncer) { ASSERT_TRUE(syncer.ends_within(soon)) << syncer.where(); }

// Dirty data that a stopped server may have: the kernel's dirty limit for one that answers nothing
// is low, and a writer beyond it sleeps until there are answers.
constexpr std::size_t little = 16384;

// A stopped passthrough server with a file of which the first bytes are in flight.
struct Stalled {
    explicit Stalled(std::size_t size = 1 << 20) : model(pattern(size, 1)) {
        needs_fusewb();
        file = Fd(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, model, 0);
        check(fsync(file), "fsync");
        server.stop();
        std::string fresh = pattern(little, 2);
        pwrite_all(file, fresh, 0);
        model.replace(0, little, fresh);
        Task syncer("sync(2)", sync_all);
        start_writeback(syncer);
        // Newer kernels' sync(2) does not wait until it is issued either.
        EXPECT_TRUE(wait_until(
            soon, [&] { return server.connection()[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT] > 0; }));
    }

    // Otherwise closing the file would wait.
    ~Stalled() { server.cont(); }

    // The server goes on, and nothing is lost.
    void expect_complete() {
        server.cont();
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
        EXPECT_EQ(difference(model, pread_all(file, model.size() + 1, 0)), "");
    }

    Passthrough server;
    std::string model;
    Fd file;
};

} // namespace

GUEST_TEST(Writeback, DirectModeCopiesNothing) {
    needs_fusewb();
    Passthrough server({.mount_options = "writeback=direct"});
    EXPECT_EQ(server.connection().writeback, unsigned(FUSEWB_WRITEBACK_DIRECT));
    std::string model = pattern(3 * (1 << 20) + 12345, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    Connection connection = server.connection();
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_DIRECT], model.size());
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_COPIED], 0u);
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 0u);
    EXPECT_GE(connection[FUSEWB_A_COUNTER_WRITE_REQUESTS], model.size() / connection.max_write);
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
}

GUEST_TEST(Writeback, CopyModeCopiesEverything) {
    needs_fusewb();
    Passthrough server({.mount_options = "writeback=copy"});
    EXPECT_EQ(server.connection().writeback, unsigned(FUSEWB_WRITEBACK_COPY));
    std::string model = pattern(3 * (1 << 20) + 12345, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    Connection connection = server.connection();
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_COPIED], model.size());
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_DIRECT], 0u);
    EXPECT_EQ(connection[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 0u);
}

GUEST_TEST(Writeback, ServersWithoutWritebackCacheGetEveryWriteAtOnce) {
    needs_fusewb();
    RawServer server({.writeback = false});
    EXPECT_EQ(server.connection().writeback, unsigned(FUSEWB_WRITEBACK_THROUGH));
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "at once", 3);
    EXPECT_EQ(server.content("f"), std::string("\0\0\0at once", 10));
}

GUEST_TEST(Writeback, OnlyWhatWasWrittenIsWrittenBack) {
    needs_fusewb();
    Passthrough server({.mount_options = "writeback=direct"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(file, 64 << 20), 0);
    pwrite_all(file, "x", 10 << 20);
    pwrite_all(file, "y", 50 << 20);
    ASSERT_EQ(fsync(file), 0);
    // A folio each, of whatever order a write of one byte gets.
    EXPECT_LE(server.connection()[FUSEWB_A_COUNTER_BYTES_DIRECT], 2u << 16);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_LE(server.connection()[FUSEWB_A_COUNTER_WRITE_REQUESTS], 2u);
}

GUEST_TEST(StoppedServer, SyncReturnsAndTheDataIsCompleteLater) {
    Stalled stalled;
    pwrite_all(stalled.file, "more dirty data", 5000);
    stalled.model.replace(5000, 15, "more dirty data");
    for (int i = 0; i < 3; i++) {
        Task syncer("sync(2)", sync_all);
        EXPECT_TRUE(syncer.ends_within(soon)) << syncer.where();
    }
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, WritesOverDataInFlightReturn) {
    Stalled stalled;
    std::string bytes = pattern(little, 3);
    Task writer("write(2) over data in flight", [&] {
        pwrite_all(stalled.file, bytes, 1000);
        return 0;
    });
    EXPECT_TRUE(writer.ends_within(soon)) << writer.where();
    stalled.model.replace(1000, bytes.size(), bytes);
    Task syncer("sync(2)", sync_all);
    EXPECT_TRUE(syncer.ends_within(soon)) << syncer.where();
    // Passed over, since an earlier version is on its way.
    EXPECT_TRUE(wait_until(
        soon, [&] { return stalled.server.connection()[FUSEWB_A_COUNTER_SKIPPED] > 0; }));
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, StoresToAMappingInFlightReturn) {
    Stalled stalled;
    Task writer("store to a shared mapping", [&] {
        auto *bytes = static_cast<char *>(
            mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, stalled.file, 0));
        if (bytes == MAP_FAILED)
            return errno;
        std::memcpy(bytes + 4090, "over a border", 13);
        return 0;
    });
    EXPECT_TRUE(writer.ends_within(soon)) << writer.where();
    EXPECT_EQ(writer.status(), 0);
    stalled.model.replace(4090, 13, "over a border");
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, KillEndsFsync) {
    Stalled stalled;
    Task waiter("fsync(2)", [&] { return fsync(stalled.file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(a_while)) << "fsync did not wait for the server";
    EXPECT_TRUE(waiter.kill_within(soon)) << waiter.where();
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, KillEndsRead) {
    Stalled stalled;
    write_file(stalled.server.backing("other"), pattern(100000, 3));
    // The name has to be known: the server answers nothing any more.
    stalled.server.cont();
    Fd other(stalled.server.mnt("other"), O_RDONLY);
    stalled.server.stop();
    Task reader("read(2)", [&] {
        char byte;
        return read(other, &byte, 1) == 1 ? 0 : 1;
    });
    EXPECT_FALSE(reader.ends_within(a_while)) << "read did not ask the server";
    EXPECT_TRUE(reader.kill_within(soon)) << reader.where();
    Task faulting("page fault", [&] {
        auto *bytes = static_cast<char *>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, other, 0));
        return bytes[0] == 'x';
    });
    EXPECT_FALSE(faulting.ends_within(a_while)) << "the fault did not ask the server";
    EXPECT_TRUE(faulting.kill_within(soon)) << faulting.where();
    stalled.server.cont();
    EXPECT_EQ(difference(pattern(100000, 3), pread_all(other, 100001, 0)), "");
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, KillEndsNameOperations) {
    Stalled stalled;
    auto path = stalled.server.mnt("not looked up yet");
    auto expect_killable = [](const char *what, std::function<int()> work) {
        // One after another: they lock the directory, and the kernel's wait for that lock is none
        // of the file system's.
        Task task(what, std::move(work));
        EXPECT_FALSE(task.ends_within(a_while)) << what << " did not ask the server";
        EXPECT_TRUE(task.kill_within(soon)) << task.where();
    };
    expect_killable("stat(2)", [&] {
        struct stat st;
        return stat(path.c_str(), &st) ? errno : 0;
    });
    expect_killable("open(O_CREAT)", [&] {
        return open((path.string() + "2").c_str(), O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
    });
    expect_killable("readdir(3)", [&] {
        for (const auto &entry : std::filesystem::directory_iterator(stalled.server.mnt()))
            (void)entry;
        return 0;
    });
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, KilledWritersLeaveTheirDataToWriteback) {
    Stalled stalled;
    Task holder("task with the file open", [&] {
        Fd own(stalled.server.mnt("f"), O_RDWR);
        pwrite_all(own, "last words", 77);
        pause();
        return 0;
    });
    // Its open asks the server.
    stalled.server.cont();
    ASSERT_TRUE(wait_until(soon, [&] { return pread_all(stalled.file, 10, 77) == "last words"; }));
    stalled.server.stop();
    EXPECT_TRUE(holder.kill_within(soon)) << holder.where();
    stalled.model.replace(77, 10, "last words");
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, MemoryManagementDoesNotWait) {
    Stalled stalled(4 << 20);
    Task compaction("compact_memory", [] {
        int error = write_setting("/proc/sys/vm/compact_memory", "1");
        return error == ENOENT ? 0 : error;
    });
    EXPECT_TRUE(compaction.ends_within(soon)) << compaction.where();
    EXPECT_EQ(compaction.status(), 0);
    Task dropping("drop_caches", [] { return write_setting("/proc/sys/vm/drop_caches", "3"); });
    EXPECT_TRUE(dropping.ends_within(soon)) << dropping.where();
    EXPECT_EQ(dropping.status(), 0);
    stalled.expect_complete();
}

GUEST_TEST(StoppedServer, AForcedUnmountLetsWaitersGo) {
    Stalled stalled;
    Task waiter("fsync(2)", [&] { return fsync(stalled.file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(a_while));
    stalled.server.mount().abort();
    EXPECT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_NE(waiter.status(), 0);
}

GUEST_TEST(StoppedServer, UnmountGivesUpAServerThatAnswersNothing) {
    needs_fusewb();
    Passthrough server;
    int opened[2], go_on[2];
    check(pipe(opened), "pipe");
    check(pipe(go_on), "pipe");
    Task writer("task that exits with dirty data", [&]() -> int {
        char byte = 0;
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        // The first write asks the server for what is removed from a file that is written.
        pwrite_all(file, "x", 0);
        check(write(opened[1], &byte, 1), "write");
        check(read(go_on[0], &byte, 1), "read");
        pwrite_all(file, pattern(little, 1), 0);
        // Only the exit itself closes the file: close(2) would wait for the server.
        _exit(0);
    });
    char byte = 0;
    check(read(opened[0], &byte, 1), "read");
    server.stop();
    check(write(go_on[1], &byte, 1), "write");
    ASSERT_TRUE(writer.ends_within(soon)) << writer.where();
    Task unmounting("umount(2)", [&] { return server.mount().unmount(); });
    EXPECT_TRUE(unmounting.ends_within(soon)) << unmounting.where();
    EXPECT_EQ(unmounting.status(), 0);
    EXPECT_EQ(mounted_dev(server.mount().path()), 0u);
}

GUEST_TEST(Contrast, InTreeFuseMayHoldUpSync) {
    // Shows what the tests above are for; a kernel that waits no more is no failure.
    if (access("/dev/fuse", R_OK | W_OK))
        throw Skip("no /dev/fuse here");
    Passthrough server({.type = "fuse"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, pattern(1 << 20, 1), 0);
    server.stop();
    Task syncer("sync(2)", sync_all);
    bool waits = !syncer.ends_within(3s);
    std::cout << "in-tree fuse, server stopped: sync(2) " << (waits ? "waits" : "returns")
              << std::endl;
    server.cont();
    EXPECT_TRUE(syncer.ends_within(soon)) << syncer.where();
    EXPECT_EQ(fsync(file), 0);
}

GUEST_TEST(InFlight, FsyncWaitsForTheAnswer) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.hold(FUSE_WRITE);
    pwrite_all(file, pattern(10000, 1), 0);
    Task waiter("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    EXPECT_FALSE(waiter.ends_within(a_while));
    EXPECT_EQ(server.seen(FUSE_FSYNC), 0u) << "FSYNC before the data was there";
    server.release(FUSE_WRITE);
    ASSERT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_EQ(waiter.status(), 0);
    EXPECT_EQ(server.seen(FUSE_FSYNC), 1u);
    EXPECT_EQ(difference(pattern(10000, 1), server.content("f")), "");
}

GUEST_TEST(InFlight, TwoWritesOverTheSameBytesAreNeverOutTogether) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string first = pattern(12000, 1), second = pattern(12000, 2);
    server.hold(FUSE_WRITE);
    pwrite_all(file, first, 0);
    Task syncer("sync(2)", sync_all);
    start_writeback(syncer);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    pwrite_all(file, second, 0);
    Task again("sync(2)", sync_all);
    start_writeback(again);
    Task waiter("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(a_while));
    EXPECT_EQ(server.overlaps(), std::vector<std::string>());
    // The first version is answered: the second one follows, and only then.
    std::size_t before = server.seen(FUSE_WRITE);
    while (server.held(FUSE_WRITE) && server.seen(FUSE_WRITE) == before)
        server.allow(FUSE_WRITE);
    EXPECT_TRUE(wait_until(soon, [&] { return server.seen(FUSE_WRITE) > before; }));
    EXPECT_FALSE(waiter.ends_within(a_while)) << "fsync did not wait for the second version";
    server.release(FUSE_WRITE);
    ASSERT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_EQ(waiter.status(), 0);
    EXPECT_EQ(server.overlaps(), std::vector<std::string>());
    EXPECT_EQ(difference(second, server.content("f")), "");
}

GUEST_TEST(InFlight, WritersAndSyncersNeverMakeWritesOverlap) {
    needs_fusewb();
    RawServer server({.max_write = 16384});
    constexpr std::size_t size = 100000;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, std::string(size, '.'), 0);
    // Every other answer is late, so that answers also come out of order.
    std::vector<Request> late;
    std::mutex late_mutex;
    server.on(FUSE_WRITE, [&](const Request &request) {
        std::lock_guard lock(late_mutex);
        if (request.header.unique % 4 == 0) {
            late.push_back(request);
            return true;
        }
        return false;
    });
    std::atomic<bool> done = false;
    std::thread answering([&] {
        while (!done) {
            std::this_thread::sleep_for(5ms);
            std::vector<Request> now;
            {
                std::lock_guard lock(late_mutex);
                now.swap(late);
            }
            for (auto request = now.rbegin(); request != now.rend(); ++request)
                server.carry_out(*request);
        }
    });
    std::vector<std::unique_ptr<Task>> tasks;
    auto repeat = [&](const char *what, auto step) {
        tasks.push_back(std::make_unique<Task>(what, [step] {
            auto end = Clock::now() + 3s;
            for (unsigned i = 0; Clock::now() < end; i++)
                step(i);
            return 0;
        }));
    };
    repeat("writer",
           [&](unsigned i) { pwrite_all(file, pattern(5000, i), (i * 7919) % (size - 5000)); });
    repeat("fsync", [&](unsigned) {
        check(fsync(file), "fsync");
        std::this_thread::sleep_for(3ms);
    });
    repeat("sync", [&](unsigned) {
        sync();
        std::this_thread::sleep_for(3ms);
    });
    for (auto &task : tasks) {
        EXPECT_TRUE(task->ends_within(30s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
    EXPECT_EQ(fsync(file), 0);
    done = true;
    answering.join();
    server.on(FUSE_WRITE, [](const Request &) { return false; });
    EXPECT_EQ(server.overlaps(), std::vector<std::string>());
    EXPECT_GT(server.seen(FUSE_WRITE), 7u) << "no more than the first fill";
    EXPECT_EQ(difference(pread_all(file, size, 0), server.content("f")), "");
}

GUEST_TEST(InFlight, ReadsWaitForTheWriteOfTheirRange) {
    needs_fusewb();
    RawServer server;
    std::string model = pattern(little, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.hold(FUSE_WRITE);
    pwrite_all(file, model, 0);
    Task syncer("sync(2)", sync_all);
    start_writeback(syncer);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    // The folios are clean and the server has its copy, so they may go.
    drop_pages(file);
    Task reader("read(2)", [&] {
        EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
        return 0;
    });
    reader.ends_within(a_while);
    if (server.seen(FUSE_READ) == 0 && reader.ended())
        throw Skip("the kernel kept the pages: nothing was read from the server");
    EXPECT_FALSE(reader.ended()) << "read did not wait for the WRITE";
    EXPECT_EQ(server.seen(FUSE_READ), 0u) << "a READ overtook the WRITE";
    server.release(FUSE_WRITE);
    EXPECT_TRUE(reader.ends_within(soon)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
    EXPECT_GT(server.seen(FUSE_READ), 0u);
}

GUEST_TEST(InFlight, TruncationWaitsForTheWritesThatItCutsOff) {
    needs_fusewb();
    RawServer server;
    std::string model = pattern(little, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    // Those that change the size; times are set at any moment.
    std::atomic<unsigned> sizes = 0;
    server.on(FUSE_SETATTR, [&](const Request &request) {
        sizes += (request.as<fuse_setattr_in>().valid & FATTR_SIZE) != 0;
        return false;
    });
    server.hold(FUSE_WRITE);
    pwrite_all(file, model, 0);
    Task syncer("sync(2)", sync_all);
    start_writeback(syncer);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    Task truncating("ftruncate(2)", [&] { return ftruncate(file, 100) ? errno : 0; });
    EXPECT_FALSE(truncating.ends_within(a_while));
    EXPECT_EQ(sizes, 0u) << "the new size overtook the WRITE";
    server.release(FUSE_WRITE);
    EXPECT_TRUE(truncating.ends_within(soon)) << truncating.where();
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model.substr(0, 100), server.content("f")), "");
}

GUEST_TEST(InFlight, DirectWritesWaitForTheWritesUnderThem) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.hold(FUSE_WRITE);
    pwrite_all(file, std::string(16384, 'a'), 0);
    Task syncer("sync(2)", sync_all);
    start_writeback(syncer);
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    Task writing("write(2) with O_DIRECT", [&] {
        Fd direct(server.mnt("f"), O_WRONLY | O_DIRECT);
        alignas(4096) static char bytes[8192];
        std::memset(bytes, 'b', sizeof(bytes));
        return pwrite(direct, bytes, sizeof(bytes), 4096) == sizeof(bytes) ? 0 : errno;
    });
    EXPECT_FALSE(writing.ends_within(a_while));
    EXPECT_EQ(server.overlaps(), std::vector<std::string>());
    server.release(FUSE_WRITE);
    EXPECT_TRUE(writing.ends_within(soon)) << writing.where();
    EXPECT_EQ(writing.status(), 0);
    std::string expected = std::string(4096, 'a') + std::string(8192, 'b') + std::string(4096, 'a');
    EXPECT_EQ(difference(expected, pread_all(file, 20000, 0)), "");
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(expected, server.content("f")), "");
    EXPECT_EQ(server.overlaps(), std::vector<std::string>());
}

GUEST_TEST(InFlight, CloseSendsTheDataBeforeFlushAndRelease) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, pattern(10000, 1), 0);
    std::atomic<bool> complete = false;
    server.on(FUSE_FLUSH, [&](const Request &) {
        complete = server.content("f") == pattern(10000, 1);
        return false;
    });
    EXPECT_EQ(file.reset(), 0);
    EXPECT_TRUE(complete) << "FLUSH came before the data";
    EXPECT_TRUE(wait_until(soon, [&] { return server.seen(FUSE_RELEASE) == 1; }));
}

GUEST_TEST(WriteErrors, AreReportedOnceToEveryOpenFile) {
    needs_fusewb();
    RawServer server;
    Fd first(server.mnt("f"), O_RDWR | O_CREAT);
    Fd second(server.mnt("f"), O_RDWR);
    server.on(FUSE_WRITE, [&](const Request &request) {
        server.answer_error(request, ENOSPC);
        return true;
    });
    pwrite_all(first, pattern(5000, 1), 0);
    EXPECT_EQ(fsync(first), -1);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(fsync(first), 0) << "reported a second time";
    EXPECT_EQ(fsync(second), -1);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(fsync(second), 0);
    EXPECT_GE(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 1u);
    server.on(FUSE_WRITE, [](const Request &) { return false; });
    pwrite_all(first, "works again", 0);
    EXPECT_EQ(fsync(first), 0);
    EXPECT_EQ(server.content("f").substr(0, 11), "works again");
}

GUEST_TEST(WriteErrors, CloseReportsThem) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.on(FUSE_WRITE, [&](const Request &request) {
        server.answer_error(request, EDQUOT);
        return true;
    });
    // The flusher may be as early as it likes.
    pwrite_all(file, pattern(5000, 1), 0);
    EXPECT_EQ(file.reset(), -1);
    EXPECT_EQ(errno, EDQUOT);
}

GUEST_TEST(WriteErrors, AWriteThatTookLessIsAnError) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.on(FUSE_WRITE, [&](const Request &request) {
        fuse_write_out out{100, 0};
        server.answer(request, bytes_of(out));
        return true;
    });
    pwrite_all(file, pattern(5000, 1), 0);
    EXPECT_EQ(fsync(file), -1);
    EXPECT_EQ(errno, EIO);
}
