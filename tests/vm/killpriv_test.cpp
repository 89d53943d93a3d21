// SPDX-License-Identifier: GPL-2.0-only
// Who changes a file takes its set-user-ID bits and capabilities away: the kernel, or the server if
// it says so.
#include <atomic>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

GUEST_TEST(Killpriv, TheServerTakesSetUserIdBitsAwayIfItSaysSo) {
    needs_fusewb();
    for (bool handles : {true, false}) {
        RawServer server({.writeback = false,
                          .mount_options = "allow_other",
                          .init_flags = handles ? std::uint64_t(FUSE_HANDLE_KILLPRIV_V2) : 0,
                          .name = handles ? "v2" : "none"});
        server.set_content("f", "content");
        ASSERT_EQ(chmod(server.mnt("f").c_str(), 04777), 0);
        std::atomic<std::uint32_t> valid = 0, write_flags = 0, set_mode = 0;
        server.on(FUSE_SETATTR, [&](const Request &request) {
            auto in = request.as<fuse_setattr_in>();
            valid |= in.valid;
            if (in.valid & FATTR_MODE)
                set_mode = in.mode;
            return false;
        });
        server.on(FUSE_WRITE, [&](const Request &request) {
            write_flags = request.as<fuse_write_in>().write_flags;
            return false;
        });
        Task task("truncate and write as nobody", [&] {
            become_nobody();
            if (truncate(server.mnt("f").c_str(), 3))
                return errno;
            Fd file(server.mnt("f"), O_WRONLY);
            pwrite_all(file, "x", 0);
            return 0;
        });
        ASSERT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), 0);
        EXPECT_EQ(!!(valid & FATTR_KILL_SUIDGID), handles);
        EXPECT_EQ(!!(write_flags & FUSE_WRITE_KILL_SUIDGID), handles);
        if (!handles) {
            EXPECT_EQ(set_mode & 07777, 0777u) << "the kernel did not either";
        }
    }
}

GUEST_TEST(Killpriv, TheFirstVersionLeavesTheBitsToTheServerToo) {
    needs_fusewb();
    RawServer server(
        {.writeback = false, .mount_options = "allow_other", .init_flags = FUSE_HANDLE_KILLPRIV});
    server.set_content("f", "content");
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 04777), 0);
    std::atomic<std::uint32_t> valid = 0;
    server.on(FUSE_SETATTR, [&](const Request &request) {
        valid |= request.as<fuse_setattr_in>().valid;
        return false;
    });
    Task task("write as nobody", [&] {
        become_nobody();
        Fd file(server.mnt("f"), O_WRONLY);
        pwrite_all(file, "x", 0);
        return 0;
    });
    ASSERT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
    EXPECT_FALSE(valid & FATTR_MODE) << "the kernel took them away";
    EXPECT_FALSE(valid & FATTR_KILL_SUIDGID) << "which is of the second version";
}
