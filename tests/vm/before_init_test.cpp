// SPDX-License-Identifier: GPL-2.0-only
// The root of a mount can be used before the server has answered FUSE_INIT. What depends on the
// answer waits for it.
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

// A root of mode 0700, that is user 0's.
void close_root(RawServer &server) {
    server.on(FUSE_GETATTR, [&server](const Request &request) {
        fuse_attr_out out{};
        out.attr.ino = FUSE_ROOT_ID;
        out.attr.mode = S_IFDIR | 0700;
        out.attr.nlink = 2;
        server.answer(request, bytes_of(out));
        return true;
    });
}

// Return: errno of what nobody does while the server has not answered FUSE_INIT yet.
int outcome_before_init(RawServer &server, const std::function<int()> &act) {
    EXPECT_TRUE(server.wait_held(FUSE_INIT, 1));
    Task nobody("nobody", [&] {
        become_nobody();
        return act() < 0 ? errno : 0;
    });
    EXPECT_FALSE(nobody.ends_within(300ms)) << "did not wait for the answer";
    server.release(FUSE_INIT);
    EXPECT_TRUE(nobody.ends_within(20s)) << nobody.where();
    return nobody.status().value_or(-1);
}

} // namespace

GUEST_TEST(BeforeInit, ADirectoryIsNotPassedThatTheKernelTurnsOutToCheck) {
    needs_fusewb();
    RawServer server(
        {.mount_options = "allow_other", .init_flags = FUSE_POSIX_ACL, .hold_init = true});
    server.set_content("f", "content");
    close_root(server);
    struct stat st;
    EXPECT_EQ(outcome_before_init(server, [&] { return stat(server.mnt("f").c_str(), &st); }),
              EACCES);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 0u);
}

GUEST_TEST(BeforeInit, AttributesDoNotChangeThatTheKernelTurnsOutToCheck) {
    needs_fusewb();
    RawServer server(
        {.mount_options = "allow_other", .init_flags = FUSE_POSIX_ACL, .hold_init = true});
    close_root(server);
    EXPECT_EQ(outcome_before_init(server, [&] { return chmod(server.mnt().c_str(), 0777); }),
              EPERM);
    EXPECT_EQ(server.seen(FUSE_SETATTR), 0u);
}

GUEST_TEST(BeforeInit, ExtendedAttributesAreSentAsNegotiated) {
    needs_fusewb();
    RawServer server({.init_flags = FUSE_SETXATTR_EXT, .hold_init = true});
    std::string body;
    server.on(FUSE_SETXATTR, [&](const Request &request) {
        body = request.body;
        server.answer(request, {});
        return true;
    });
    ASSERT_TRUE(server.wait_held(FUSE_INIT, 1));
    Task task("setxattr", [&] {
        return setxattr(server.mnt().c_str(), "trusted.a", "value", 5, 0) ? errno : 0;
    });
    EXPECT_FALSE(task.ends_within(300ms)) << "did not wait for the answer";
    server.release(FUSE_INIT);
    ASSERT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
    EXPECT_EQ(body.size(), sizeof(fuse_setxattr_in) + sizeof("trusted.a") + 5);
}

GUEST_TEST(BeforeInit, AKillEndsTheWait) {
    needs_fusewb();
    RawServer server({.answer_init = false});
    for (const char *name : {"chmod", "setxattr", "path"}) {
        Task task(name, [&] {
            if (*name == 'c')
                return chmod(server.mnt().c_str(), 0777);
            if (*name == 's')
                return setxattr(server.mnt().c_str(), "trusted.a", "value", 5, 0);
            return access(server.mnt("f").c_str(), F_OK);
        });
        EXPECT_FALSE(task.ends_within(300ms)) << name;
        EXPECT_TRUE(task.kill_within(20s)) << task.where();
    }
    server.mount().abort();
}

GUEST_TEST(BeforeInit, ARefusalEndsTheWaitWhateverItsError) {
    needs_fusewb();
    for (int error : {EPERM, ENOTCONN}) {
        SCOPED_TRACE(error);
        RawServer server({.hold_init = true, .name = std::to_string(error)});
        ASSERT_TRUE(server.wait_held(FUSE_INIT, 1));
        Task task("path", [&] { return access(server.mnt("f").c_str(), F_OK) ? errno : 0; });
        EXPECT_FALSE(task.ends_within(300ms)) << "did not wait for the answer";
        server.refuse_held(FUSE_INIT, error);
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), ENOTCONN);
    }
}
