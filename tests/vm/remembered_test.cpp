// SPDX-License-Identifier: GPL-2.0-only
// An operation that the server does not have is asked for once; what stands in for it is what users
// get from then on.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
    RawServer server;
    server.on(FUSE_INTERRUPT, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    for (const char *name : {"first", "second"}) {
        server.hold(FUSE_LOOKUP);
        Task task("lookup", [&] { return access(server.mnt(name).c_str(), F_OK) ? errno : 0; });
        ASSERT_TRUE(server.wait_held(FUSE_LOOKUP, 1)) << task.where();
        ASSERT_TRUE(task.kill_within(20s)) << task.where();
        EXPECT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_INTERRUPT) == 1; }));
        EXPECT_FALSE(wait_until(500ms, [&] { return server.seen(FUSE_INTERRUPT) > 1; }));
        server.release(FUSE_LOOKUP);
    }
}
