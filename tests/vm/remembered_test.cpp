// SPDX-License-Identifier: GPL-2.0-only
// An operation that the server does not have is asked for once; what stands in for it is what users
// get from then on.
#include <atomic>
#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

GUEST_TEST(Remembered, FilesAndDirectoriesThatNeedNoOpening) {
    needs_fusewb();
    // Libraries do not repeat what they are offered.
    for (bool repeated : {true, false}) {
        RawServer server({.init_flags = repeated ? FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT
                                                 : std::uint64_t(0),
                          .name = repeated ? "repeated" : "silent"});
        server.set_content("f", "content");
        for (std::uint32_t opcode : {FUSE_OPEN, FUSE_OPENDIR})
            server.on(opcode, [&](const Request &request) {
                server.answer_error(request, ENOSYS);
                return true;
            });
        server.on(FUSE_FLUSH, [&](const Request &request) {
            server.answer(request, {});
            return true;
        });
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(read_file(server.mnt("f")), "content");
            EXPECT_EQ(std::distance(fs::directory_iterator(server.mnt()), {}), 1);
        }
        EXPECT_EQ(server.seen(FUSE_OPEN), 1u);
        EXPECT_EQ(server.seen(FUSE_OPENDIR), 1u);
        EXPECT_EQ(server.seen(FUSE_FLUSH), 3u) << "a server of locks hears of close by it";
        EXPECT_EQ(server.seen(FUSE_RELEASE), 0u);
        EXPECT_EQ(server.seen(FUSE_RELEASEDIR), 0u);
    }
}

GUEST_TEST(Remembered, LinksThatAServerHasNot) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(link(server.mnt("f").c_str(), server.mnt("g").c_str()), -1);
        EXPECT_EQ(errno, EPERM);
    }
    EXPECT_EQ(server.seen(FUSE_LINK), 1u);
}

GUEST_TEST(Remembered, InterruptsThatAServerHasNot) {
    needs_fusewb();
    std::atomic<bool> told = false;
    RawServer server;
    server.on(FUSE_INTERRUPT, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        told = true;
        return true;
    });
    for (const char *name : {"first", "second"}) {
        server.hold(FUSE_LOOKUP);
        Task task("lookup", [&] { return access(server.mnt(name).c_str(), F_OK) ? errno : 0; });
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1)) << task.where();
        ASSERT_TRUE(task.kill_within(20s)) << task.where();
        EXPECT_TRUE(wait_until(20s, [&] { return told.load(); }));
        EXPECT_FALSE(wait_until(500ms, [&] { return server.seen(FUSE_INTERRUPT) > 1; }));
        server.release(FUSE_LOOKUP);
    }
    EXPECT_EQ(server.seen(FUSE_INTERRUPT), 1u);
}

namespace {

int outcome(long result) { return result < 0 ? errno : 0; }

// What is done, the operation that the server does not have, and what the user gets of it.
struct Case {
    const char *what;
    std::uint32_t opcode;
    std::function<int(RawServer &)> act;
    int expected = 0;
};

std::vector<Case> cases() {
    auto with_file = [](std::function<int(int)> act) {
        return [act](RawServer &server) { return act(Fd(server.mnt("f"), O_RDWR)); };
    };
    auto with_directory = [](std::function<int(int)> act) {
        return [act](RawServer &server) { return act(Fd(server.mnt(), O_RDONLY | O_DIRECTORY)); };
    };
    return {
        {"access", FUSE_ACCESS,
         [](RawServer &server) { return outcome(access(server.mnt("f").c_str(), W_OK)); }},
        {"close", FUSE_FLUSH,
         [](RawServer &server) { return outcome(Fd(server.mnt("f"), O_RDWR).reset()); }},
        {"fsync", FUSE_FSYNC, with_file([](int fd) { return outcome(fsync(fd)); })},
        {"fsync of a directory", FUSE_FSYNCDIR,
         with_directory([](int fd) { return outcome(fsync(fd)); })},
        {"renameat2", FUSE_RENAME2,
         [](RawServer &server) {
             return outcome(renameat2(AT_FDCWD, server.mnt("f").c_str(), AT_FDCWD,
                                      server.mnt("g").c_str(), RENAME_NOREPLACE));
         },
         EINVAL},
    };
}

} // namespace

ON_CLIENTS(RememberedAbsence, "fusewb", "fuse");

CLIENT_TEST(RememberedAbsence, StandsInForTheOperationFromThenOn) {
    for (const auto &one : cases()) {
        SCOPED_TRACE(one.what);
        RawServer server({.name = std::to_string(one.opcode), .type = client.type});
        server.set_content("f", "content");
        server.on(one.opcode, [&](const Request &request) {
            server.answer_error(request, ENOSYS);
            return true;
        });
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(one.act(server), one.expected);
        EXPECT_EQ(server.seen(one.opcode), 1u);
    }
}

CLIENT_TEST(RememberedAbsence, OfCreateIsMknodAndOpen) {
    RawServer server({.type = client.type});
    server.on(FUSE_CREATE, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    server.on(FUSE_MKNOD, [&](const Request &request) {
        std::string name = request.name(sizeof(fuse_mknod_in));
        EXPECT_EQ(request.as<fuse_mknod_in>().mode, unsigned(S_IFREG | 0640));
        server.set_content(name, "");
        Request found = request;
        found.header.opcode = FUSE_LOOKUP;
        found.body = name + '\0';
        server.carry_out(found);
        return true;
    });
    umask(0);
    for (const char *name : {"a", "b", "c"}) {
        Fd file(server.mnt(name), O_RDWR | O_CREAT | O_EXCL, 0640);
        pwrite_all(file, name, 0);
        EXPECT_EQ(file.reset(), 0);
        EXPECT_EQ(server.content(name), name);
    }
    EXPECT_EQ(server.seen(FUSE_CREATE), 1u);
    EXPECT_EQ(server.seen(FUSE_MKNOD), 3u);
    EXPECT_EQ(server.seen(FUSE_OPEN), 3u);
}
