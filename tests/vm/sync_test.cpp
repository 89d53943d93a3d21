// SPDX-License-Identifier: GPL-2.0-only
// syncfs(2) waits for the server, and holds up nobody else: not sync(2), not a remount.
#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;
constexpr auto a_while = 1s;

// The first write asks for an extended attribute, which this server has not got.
void learn(int file) {
    pwrite_all(file, "x", 0);
    ASSERT_EQ(fsync(file), 0);
}

} // namespace

GUEST_TEST(SyncFs, WaitsForTheServerAndHoldsUpNobodyElse) {
    needs_fusewb();
    Passthrough server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(10'000, 1);
    learn(file);
    server.stop();
    pwrite_all(file, model, 0);

    Task killed("syncfs(2)", [&] { return syncfs(file) ? errno : 0; });
    EXPECT_FALSE(killed.ends_within(a_while)) << "syncfs did not wait for the server";
    expect_sync_returns();
    // It wants the lock of the super block for itself, and sync(2) after it still gets through.
    Task remounter("remount", [&] {
        return mount("none", server.mnt().c_str(), nullptr, MS_REMOUNT | MS_NOSUID, nullptr) ? errno
                                                                                             : 0;
    });
    EXPECT_TRUE(remounter.ends_within(soon)) << remounter.where();
    EXPECT_EQ(remounter.status(), 0);
    expect_sync_returns();
    EXPECT_FALSE(killed.ended());
    EXPECT_TRUE(killed.kill_within(soon)) << killed.where();

    Task waiter("syncfs(2)", [&] { return syncfs(file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(a_while)) << "syncfs did not wait for the server";
    server.cont();
    EXPECT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_EQ(waiter.status(), 0);
    EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
}

GUEST_TEST(SyncFs, WritesEveryFile) {
    needs_fusewb();
    Passthrough server;
    std::vector<Fd> files;
    for (int i = 0; i < 50; i++) {
        files.emplace_back(server.mnt("f" + std::to_string(i)), O_RDWR | O_CREAT);
        pwrite_all(files.back(), pattern(3'000, i), 0);
    }
    ASSERT_EQ(syncfs(files[0]), 0);
    for (int i = 0; i < 50; i++)
        EXPECT_EQ(difference(pattern(3'000, i), read_file(server.backing("f" + std::to_string(i)))),
                  "");
}

GUEST_TEST(SyncFs, IsNoRequestOfItsOwn) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    for (std::string data : {"first", "other"}) {
        pwrite_all(file, data, 0);
        EXPECT_EQ(syncfs(file), 0);
        EXPECT_EQ(server.content("f"), data);
        pwrite_all(file, data, 0);
        expect_sync_returns();
    }
    EXPECT_EQ(server.seen(FUSE_SYNCFS), 0u);
    EXPECT_EQ(server.seen(FUSE_FSYNC), 0u);
}

GUEST_TEST(SyncFs, ReportsWhatCouldNotBeWritten) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    server.on(FUSE_WRITE, [&](const Request &request) {
        server.answer_error(request, ENOSPC);
        return true;
    });
    pwrite_all(file, "no room", 0);
    EXPECT_EQ(syncfs(file), -1);
    EXPECT_EQ(errno, ENOSPC);
    EXPECT_EQ(syncfs(file), 0) << "it was reported twice";
}

GUEST_TEST(Unmount, SyncReturnsWhileItWaitsForAnswers) {
    needs_fusewb();
    RawServer server;
    server.hold(FUSE_WRITE);
    // A task that is killed leaves its data to the unmount.
    Task writer("writer", [&] {
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, "left behind", 0);
        kill(getpid(), SIGKILL);
        return 0;
    });
    ASSERT_TRUE(writer.ends_within(soon)) << writer.where();
    auto begun = std::chrono::steady_clock::now();
    Task unmounter("umount(2)", [&] { return umount(server.mnt().c_str()) ? errno : 0; });
    // For seconds without an answer, and then no more.
    auto expect_waiting = [&](bool ended, const char *what) {
        EXPECT_FALSE(ended && std::chrono::steady_clock::now() - begun < 4s) << what;
    };
    expect_waiting(unmounter.ends_within(500ms), "it did not wait for the server");
    expect_sync_returns();
    expect_waiting(unmounter.ended(), "sync(2) waited for it");
    server.release(FUSE_WRITE);
    EXPECT_TRUE(unmounter.ends_within(soon)) << unmounter.where();
    EXPECT_EQ(unmounter.status(), 0);
    EXPECT_EQ(server.content("f"), "left behind");
}

GUEST_TEST(Unmount, LazilyItReturnsAtOnce) {
    needs_fusewb();
    Passthrough server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    learn(file);
    server.stop();
    pwrite_all(file, "in flight", 0);
    expect_sync_returns();
    Task unmounter("umount -l",
                   [&] { return umount2(server.mnt().c_str(), MNT_DETACH) ? errno : 0; });
    EXPECT_TRUE(unmounter.ends_within(soon)) << unmounter.where();
    EXPECT_EQ(unmounter.status(), 0);
    expect_sync_returns();
    server.cont();
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(read_file(server.backing("f")), "in flight");
}
