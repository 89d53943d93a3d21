// SPDX-License-Identifier: GPL-2.0-only
// Who may use a mount, and who is asked what for. The same tests pass on the kernel's own client.
#include <cerrno>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

int outcome(int result) { return result < 0 ? errno : 0; }

struct Ids {
    const char *what;
    uid_t uid[3]; // real, effective, saved
    gid_t gid[3];
};

// Return: errno of stat(2) by a process with these.
int stat_with(const Ids &ids, const std::filesystem::path &path) {
    Task task(ids.what, [&] {
        struct stat st;
        check(setgroups(0, nullptr), "setgroups");
        check(setresgid(ids.gid[0], ids.gid[1], ids.gid[2]), "setresgid");
        check(setresuid(ids.uid[0], ids.uid[1], ids.uid[2]), "setresuid");
        return outcome(stat(path.c_str(), &st));
    });
    EXPECT_TRUE(task.ends_within(20s)) << task.where();
    return task.status().value_or(-1);
}

// User and group 0 of the new namespace are those of the old one.
void enter_user_namespace() {
    check(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
    const std::pair<const char *, const char *> settings[] = {
        {"setgroups", "deny"}, {"uid_map", "0 0 1"}, {"gid_map", "0 0 1"}};
    for (const auto &[name, value] : settings) {
        errno = write_setting(std::string("/proc/self/") + name, value);
        check(errno ? -1 : 0, name);
    }
}

} // namespace

ON_CLIENTS(Permission, "fusewb", "fuse");

CLIENT_TEST(Permission, IsOfProcessesThatAreWhollyTheOwners) {
    RawServer own({.name = "own", .type = client.type});
    RawServer all({.mount_options = "allow_other", .name = "all", .type = client.type});
    own.set_content("f", "content");
    all.set_content("f", "content");
    // The mounts are user 0's, of group 0. Who carries another id could be looked into by another
    // user, and so could the server.
    const Ids owner{"the owner", {0, 0, 0}, {0, 0, 0}};
    const Ids others[] = {
        {"another real user", {1, 0, 0}, {0, 0, 0}},
        {"another effective user", {0, 1, 0}, {0, 0, 0}},
        {"another saved user", {0, 0, 1}, {0, 0, 0}},
        {"another real group", {0, 0, 0}, {1, 0, 0}},
        {"another effective group", {0, 0, 0}, {0, 1, 0}},
        {"another saved group", {0, 0, 0}, {0, 0, 1}},
        {"another one", {1, 1, 1}, {1, 1, 1}},
    };
    EXPECT_EQ(stat_with(owner, own.mnt("f")), 0);
    for (const auto &other : others) {
        EXPECT_EQ(stat_with(other, own.mnt("f")), EACCES) << other.what;
        EXPECT_EQ(stat_with(other, all.mnt("f")), 0) << other.what;
    }
}

CLIENT_TEST(Permission, ByAllowOtherEndsWithTheUserNamespaceOfTheMount) {
    auto look = [](const std::filesystem::path &path) {
        struct stat st;
        return outcome(stat(path.c_str(), &st));
    };
    auto mounted = scratch() / "mounted";
    Task above("look from above the user namespace", [&] {
        EXPECT_TRUE(wait_until(20s, [&] { return std::filesystem::exists(mounted); }));
        // Its ids are the owner's.
        std::string root = "/proc/" + std::to_string(getppid()) + "/root" + scratch().string();
        EXPECT_EQ(look(root + "/own.mnt/f"), 0);
        EXPECT_EQ(look(root + "/all.mnt/f"), EACCES);
        return 0;
    });
    enter_user_namespace();
    RawServer own({.name = "own", .type = client.type});
    RawServer all({.mount_options = "allow_other", .name = "all", .type = client.type});
    auto expect_seen = [&] {
        EXPECT_EQ(look(own.mnt("f")), 0);
        EXPECT_EQ(look(all.mnt("f")), 0);
    };
    own.set_content("f", "content");
    all.set_content("f", "content");
    expect_seen();
    Task below("look from below the user namespace", [&] {
        enter_user_namespace();
        expect_seen();
        return 0;
    });
    EXPECT_TRUE(below.ends_within(20s)) << below.where();
    EXPECT_EQ(below.status(), 0);
    std::filesystem::create_directory(mounted);
    EXPECT_TRUE(above.ends_within(30s)) << above.where();
    EXPECT_EQ(above.status(), 0);
}

CLIENT_TEST(Permission, IsTheServersToGiveByAccessWithoutDefaultPermissions) {
    RawServer server({.type = client.type});
    server.set_content("f", "content");
    int answer = 0;
    fuse_access_in in{};
    server.on(FUSE_ACCESS, [&](const Request &request) {
        in = request.as<fuse_access_in>();
        server.answer_error(request, answer);
        return true;
    });
    auto path = server.mnt("f");
    for (int mode : {R_OK, W_OK, X_OK, R_OK | W_OK}) {
        answer = 0;
        EXPECT_EQ(outcome(access(path.c_str(), mode)), 0);
        EXPECT_EQ(in.mask, unsigned(mode));
        answer = EACCES;
        EXPECT_EQ(outcome(access(path.c_str(), mode)), EACCES);
    }
    EXPECT_EQ(outcome(chdir(server.mnt().c_str())), EACCES);
    EXPECT_EQ(in.mask, unsigned(X_OK));
    EXPECT_EQ(server.seen(FUSE_ACCESS), 9u);
    // What is opened or made is refused by its own operation, whatever ACCESS would say.
    EXPECT_EQ(read_file(path), "content");
    write_file(server.mnt("g"), "made");
    EXPECT_EQ(server.seen(FUSE_ACCESS), 9u);
}

CLIENT_TEST(Permission, ToExecuteIsAnyBitOfTheModeWithoutDefaultPermissions) {
    RawServer server({.type = client.type});
    server.set_content("f", read_file("/bin/true"));
    std::uint32_t mode = 0100644;
    server.on(FUSE_GETATTR, [&](const Request &request) {
        if (request.header.nodeid == FUSE_ROOT_ID)
            return false;
        fuse_attr_out out{};
        out.attr_valid = 3600;
        out.attr = protocol::file_attributes(request.header.nodeid, server.content("f").size());
        out.attr.mode = mode;
        server.answer(request, bytes_of(out));
        return true;
    });
    auto path = server.mnt("f");
    struct stat st;
    check(stat(path.c_str(), &st), "stat");
    ASSERT_EQ(st.st_mode, mode);
    auto execute = [&] {
        Task task("execute", [&] {
            execl(path.c_str(), "true", nullptr);
            return errno;
        });
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        return task.status().value_or(-1);
    };
    // Before it is refused the server is asked whether it changed its mind. This is user 0.
    std::size_t before = server.seen(FUSE_GETATTR);
    EXPECT_EQ(execute(), EACCES);
    EXPECT_EQ(server.seen(FUSE_GETATTR), before + 1);
    mode = 0100645;
    EXPECT_EQ(execute(), 0);
    EXPECT_EQ(server.seen(FUSE_GETATTR), before + 2);
    // The bit is known by now, and may be anybody's.
    EXPECT_EQ(execute(), 0);
    EXPECT_EQ(server.seen(FUSE_GETATTR), before + 2);
    EXPECT_EQ(server.seen(FUSE_ACCESS), 0u);
}

CLIENT_TEST(Permission, IsTheKernelsToGiveWithDefaultPermissions) {
    RawServer server({.mount_options = "allow_other,default_permissions", .type = client.type});
    server.set_content("f", "content");
    check(chmod(server.mnt("f").c_str(), 0640), "chmod");
    auto path = server.mnt("f");
    EXPECT_EQ(outcome(access(path.c_str(), R_OK | W_OK)), 0);
    EXPECT_EQ(stat_with({"another one", {1, 1, 1}, {1, 1, 1}}, path), 0);
    Task nobody("nobody", [&] {
        become_nobody();
        return outcome(access(path.c_str(), R_OK));
    });
    ASSERT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), EACCES);
    EXPECT_EQ(server.seen(FUSE_ACCESS), 0u);
}
