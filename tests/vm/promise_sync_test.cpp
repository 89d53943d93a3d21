// SPDX-License-Identifier: GPL-2.0-only
// Promise 3: sync(2) never waits for a hung server, neither for data nor for attributes; syncfs and
// fsync wait, and can be killed.
#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseSync);

namespace {

// What a stopped server's dirty limit lets through without a sleep.
constexpr std::size_t little = 16384;

// A server with a file that is written and synced.
struct Served {
    explicit Served(const Client &client) : server({.type = client.type}) {
        file = Fd(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, model, 0);
        check(fsync(file), "fsync");
    }
    ~Served() { server.cont(); }

    void dirty(std::uint64_t seed) {
        std::string fresh = pattern(little, seed);
        pwrite_all(file, fresh, 0);
        model.replace(0, little, fresh);
    }

    void expect_complete() {
        server.cont();
        EXPECT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
    }

    Passthrough server;
    std::string model = pattern(1 << 20, 1);
    Fd file;
};

void note(const Client &client, const char *scenario, bool returns) {
    outcome(client, 3, scenario, returns, returns ? "returns" : "waits for the server");
}

} // namespace

PROMISE_TEST(PromiseSync, ReturnsWithDirtyData) {
    Served served(client);
    served.server.stop();
    served.dirty(2);
    note(client, "sync(2), dirty data",
         ends_while_stopped(served.server, client, "sync(2)", sync_all));
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, ReturnsWithRewrittenDataInFlight) {
    Served served(client);
    served.server.stop();
    served.dirty(3);
    Task first("sync(2) that sends the data", sync_all);
    first.returns_within(patience(client));
    served.model.replace(0, little, pattern(little, 4));
    // Which waits already, on the kernel's own client.
    Task rewriting("write(2) over data in flight", [&] {
        pwrite_all(served.file, pattern(little, 4), 0);
        return 0;
    });
    rewriting.returns_within(patience(client));
    note(client, "sync(2), rewritten data in flight",
         ends_while_stopped(served.server, client, "sync(2)", sync_all));
    EXPECT_TRUE(first.ends_within(60s)) << first.where();
    EXPECT_TRUE(rewriting.ends_within(60s)) << rewriting.where();
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, ReturnsWithDirtyAttributes) {
    Served served(client);
    served.dirty(2);
    // The data goes, the new times stay.
    check(sync_file_range(served.file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
    ASSERT_TRUE(wait_until(20s, [&] {
        return difference(served.model, read_file(served.server.backing("f"))).empty();
    }));
    served.server.stop();
    note(client, "sync(2), dirty attributes",
         ends_while_stopped(served.server, client, "sync(2)", sync_all));
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, ReturnsWithACloseInProgress) {
    Served served(client);
    int opened[2], go_on[2];
    check(pipe(opened), "pipe");
    check(pipe(go_on), "pipe");
    Task closing("close(2)", [&] {
        char byte = 0;
        Fd own(served.server.mnt("f"), O_RDWR);
        check(write(opened[1], &byte, 1), "write");
        check(read(go_on[0], &byte, 1), "read");
        pwrite_all(own, pattern(little, 2), 0);
        return own.reset() ? errno : 0;
    });
    char byte = 0;
    check(read(opened[0], &byte, 1), "read");
    served.server.stop();
    check(write(go_on[1], &byte, 1), "write");
    served.model.replace(0, little, pattern(little, 2));
    EXPECT_FALSE(closing.ends_within(1s)) << "close did not wait for the server";
    note(client, "sync(2), a close in progress",
         ends_while_stopped(served.server, client, "sync(2)", sync_all));
    EXPECT_TRUE(closing.ends_within(60s)) << closing.where();
    EXPECT_EQ(closing.status(), 0);
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, ReturnsWithARemountInProgress) {
    Served served(client);
    served.server.stop();
    served.dirty(2);
    Task remounting("remount", [&] {
        return mount(nullptr, served.server.mount().path().c_str(), nullptr,
                     MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOATIME, nullptr)
                   ? errno
                   : 0;
    });
    remounting.ends_within(1s);
    note(client, "sync(2), a remount in progress",
         ends_while_stopped(served.server, client, "sync(2)", sync_all));
    EXPECT_TRUE(remounting.ends_within(60s)) << remounting.where();
    EXPECT_EQ(remounting.status(), 0);
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, ReturnsForASecondUser) {
    Served served(client);
    served.server.stop();
    served.dirty(2);
    note(client, "sync(2) of another user",
         ends_while_stopped(served.server, client, "sync(2)", [] {
             become_nobody();
             return sync_all();
         }));
    served.expect_complete();
}

PROMISE_TEST(PromiseSync, FsyncWaitsAndCanBeKilled) {
    Served served(client);
    served.server.stop();
    served.dirty(2);
    Task waiter("fsync(2)", [&] { return fsync(served.file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(1s)) << "fsync did not wait for the server";
    bool killed = waiter.kill_within(patience(client));
    outcome(client, 1, "fsync waits and can be killed", killed,
            killed ? "killed" : "survives SIGKILL");
    served.server.cont();
    EXPECT_TRUE(waiter.ends_within(60s)) << waiter.where();
    served.expect_complete();
}
