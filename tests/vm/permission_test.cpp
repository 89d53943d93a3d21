// SPDX-License-Identifier: GPL-2.0-only
// Who may use a mount, and who is asked what for. The same tests pass on the kernel's own client.
#include <cerrno>

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
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
