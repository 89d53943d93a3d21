// SPDX-License-Identifier: GPL-2.0-only
// mount(2) of the file system type: what it takes, what it refuses and with which errno, and that a
// refused mount leaves nothing behind.
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/guest_test.h"
#include "support/mount.h"
#include "support/netlink.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

// What a mount adds to the machine: lines of the mount table, connections.
struct Traces {
    std::size_t mounts = mounts_below(scratch()).size();
    std::uint32_t connections = Netlink().info().connections;
    bool operator==(const Traces &) const = default;
};

std::filesystem::path empty_directory(const char *name) {
    auto path = scratch() / name;
    std::filesystem::create_directory(path);
    return path;
}

std::string mount_line(const std::filesystem::path &mount_point) {
    std::string all = slurp("/proc/self/mountinfo");
    auto at = all.find(" " + mount_point.string() + " ");
    return at == std::string::npos ? "" : all.substr(at, all.find('\n', at) - at);
}

} // namespace

GUEST_TEST(MountOptions, BadOnesAreRefusedAndLeaveNothing) {
    needs_fusewb();
    auto directory = empty_directory("mnt");
    Fd device = open_device();
    Fd other("/dev/null", O_RDWR);
    std::string fd = "fd=" + std::to_string(device.get());
    std::string good = basic_options(device);
    const Traces before;
    const struct {
        std::string options;
        int error;
    } cases[] = {
        {"", EINVAL},
        {"rootmode=40000,user_id=0,group_id=0", EINVAL},
        {fd + ",user_id=0,group_id=0", EINVAL},
        {fd + ",rootmode=40000,group_id=0", EINVAL},
        {fd + ",rootmode=40000,user_id=0", EINVAL},
        {"fd=9999,rootmode=40000,user_id=0,group_id=0", EBADF},
        {"fd=x,rootmode=40000,user_id=0,group_id=0", EINVAL},
        {"fd=-1,rootmode=40000,user_id=0,group_id=0", EINVAL},
        {basic_options(other), EINVAL},
        {good + "," + fd, EINVAL},
        {fd + ",rootmode=0,user_id=0,group_id=0", EINVAL},
        {fd + ",rootmode=9,user_id=0,group_id=0", EINVAL},
        {fd + ",rootmode=777777,user_id=0,group_id=0", EINVAL},
        {fd + ",rootmode=40000,user_id=-1,group_id=0", EINVAL},
        {fd + ",rootmode=40000,user_id=0,group_id=4294967295", EINVAL},
        {good + ",writeback=sometimes", EINVAL},
        {good + ",writeback=", EINVAL},
        {good + ",blksize=1000", EINVAL},
        {good + ",blksize=1073741824", EINVAL},
        {good + ",max_read=many", EINVAL},
        {good + ",subtype=" + std::string(300, 's'), EINVAL},
        {good + ",allow_other=1", EINVAL},
        {good + ",unheard_of", EINVAL},
        {good + ",dax", EINVAL},
        {good + ",dax=always", EINVAL},
        {good + ",dax=inode", EINVAL},
    };
    for (const auto &bad : cases) {
        EXPECT_EQ(try_mount(directory, bad.options), bad.error)
            << bad.options << " " << std::strerror(bad.error);
        EXPECT_EQ(before, Traces()) << bad.options;
        umount2(directory.c_str(), MNT_DETACH);
    }
    EXPECT_EQ(try_mount(scratch() / "absent", good), ENOENT);
    // After all that the descriptor is as good as new.
    Mount mount(directory, device, "");
    EXPECT_EQ(mount.unmount(), 0);
    EXPECT_EQ(before, Traces());
}

GUEST_TEST(MountOptions, ARefusedValueLeavesNoTraceForWhoGoesOn) {
    needs_fusewb();
    Fd device = open_device();
    Fd other("/dev/null", O_RDWR);
    const std::string number = std::to_string(device.get());
    const Traces before;
    const struct {
        const char *key;
        std::string value;
        int refused;
        int created;
    } cases[] = {
        {"fd", "9999", EBADF, EINVAL},
        {"fd", std::to_string(other.get()), EINVAL, EINVAL},
        {"rootmode", "0", EINVAL, EINVAL},
        {"user_id", "4294967295", EINVAL, EINVAL},
        {"group_id", "4294967295", EINVAL, EINVAL},
        // What is no option that a mount needs is as if it had not been given.
        {"blksize", "0", EINVAL, 0},
    };
    for (const auto &bad : cases) {
        Fd context(fsopen("fusewb", FSOPEN_CLOEXEC));
        check(context, "fsopen");
        auto set = [&](const char *key, const std::string &value) {
            return fsconfig(context, FSCONFIG_SET_STRING, key, value.c_str(), 0) ? errno : 0;
        };
        for (auto [key, value] : {std::pair<const char *, std::string>{"fd", number},
                                  {"rootmode", "40000"},
                                  {"user_id", "0"},
                                  {"group_id", "0"}}) {
            if (std::string(key) != bad.key) {
                ASSERT_EQ(set(key, value), 0) << key;
            }
        }
        EXPECT_EQ(set(bad.key, bad.value), bad.refused) << bad.key << "=" << bad.value;
        EXPECT_EQ(fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) ? errno : 0,
                  bad.created)
            << bad.key << "=" << bad.value;
        context.reset();
        EXPECT_TRUE(wait_until(10s, [&] { return before == Traces(); })) << bad.key;
    }
}

GUEST_TEST(MountOptions, ThereIsNoTypeForBlockDevices) {
    needs_fusewb();
    std::istringstream types(read_file("/proc/filesystems"));
    std::vector<std::string> ours;
    for (std::string line; std::getline(types, line);)
        if (line.find("fusewb") != std::string::npos)
            ours.push_back(line);
    EXPECT_EQ(ours, std::vector<std::string>{"nodev\tfusewb"});
}

GUEST_TEST(MountOptions, MappedIdsAreRefused) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Task sleeper("a user namespace", [] {
        check(unshare(CLONE_NEWUSER), "unshare");
        pause();
        return 0;
    });
    std::string process = "/proc/" + std::to_string(sleeper.pid()) + "/";
    auto own = std::filesystem::read_symlink("/proc/self/ns/user");
    ASSERT_TRUE(
        wait_until(10s, [&] { return std::filesystem::read_symlink(process + "ns/user") != own; }));
    for (const char *map : {"uid_map", "gid_map"})
        ASSERT_EQ(write_setting(process + map, "0 1000 10"), 0) << map;
    Fd users(process + "ns/user", O_RDONLY);
    auto map_ids = [&](const std::filesystem::path &path) {
        Fd clone(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        check(clone, "open_tree " + path.string());
        struct mount_attr attr {};
        attr.attr_set = MOUNT_ATTR_IDMAP;
        attr.userns_fd = static_cast<std::uint64_t>(users.get());
        return mount_setattr(clone, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? errno : 0;
    };
    int tmpfs = map_ids(scratch());
    if (tmpfs == EINVAL)
        throw Skip("tmpfs of this kernel takes no mapped ids, so that a refusal means nothing");
    ASSERT_EQ(tmpfs, 0);
    EXPECT_EQ(map_ids(server.mnt()), EINVAL);
    EXPECT_EQ(read_file(server.mnt("f")), "content");
}

GUEST_TEST(MountOptions, ADescriptorServesOneMount) {
    needs_fusewb();
    auto first = empty_directory("first"), second = empty_directory("second");
    Fd device = open_device();
    Mount mount(first, device, "");
    const Traces before;
    EXPECT_EQ(try_mount(second, basic_options(device)), EBUSY);
    EXPECT_EQ(before, Traces());
    EXPECT_EQ(mount.unmount(), 0);
    EXPECT_EQ(try_mount(second, basic_options(device)), EBUSY) << "served already, once";
}

GUEST_TEST(MountOptions, AreShownInTheMountTable) {
    needs_fusewb();
    Passthrough server({.mount_options = "allow_other,default_permissions,max_read=65536,"
                                         "blksize=1024,writeback=copy,subtype=shown"});
    std::string line = mount_line(server.mount().path());
    for (const char *option : {"user_id=0", "group_id=0", "allow_other", "default_permissions",
                               "max_read=65536", "blksize=1024", "writeback=copy"})
        EXPECT_NE(line.find(option), std::string::npos) << option << " is missing in " << line;
    EXPECT_NE(line.find(" fusewb.shown "), std::string::npos) << line;
    EXPECT_EQ(server.connection().max_read, 65536u);
}

GUEST_TEST(MountOptions, RemountChangesFlagsAndNothingElse) {
    needs_fusewb();
    Passthrough server;
    write_file(server.mnt("f"), "x");
    ASSERT_EQ(mount("test", server.mnt().c_str(), "fusewb", MS_REMOUNT | MS_RDONLY, ""), 0);
    EXPECT_EQ(open(server.mnt("g").c_str(), O_WRONLY | O_CREAT, 0600), -1);
    EXPECT_EQ(errno, EROFS);
    EXPECT_EQ(mount("test", server.mnt().c_str(), "fusewb", MS_REMOUNT, "allow_other"), -1);
    EXPECT_EQ(errno, EINVAL);
    ASSERT_EQ(mount("test", server.mnt().c_str(), "fusewb", MS_REMOUNT, ""), 0);
    write_file(server.mnt("g"), "y");
    EXPECT_EQ(read_file(server.backing("g")), "y");
}

GUEST_TEST(MountOptions, TwoMountsWorkBesideEachOther) {
    Passthrough first({.name = "first"}), second({.name = "second"});
    write_file(first.mnt("f"), "first");
    write_file(second.mnt("f"), "second");
    EXPECT_EQ(read_file(first.mnt("f")), "first");
    EXPECT_EQ(read_file(second.mnt("f")), "second");
    first.stop();
    write_file(second.mnt("g"), "goes on");
    EXPECT_EQ(read_file(second.backing("g")), "goes on");
    first.cont();
    if (fs_type() == "fusewb") {
        EXPECT_NE(first.connection().id, second.connection().id);
    }
    second.kill();
    EXPECT_EQ(read_file(first.mnt("f")), "first");
}

GUEST_TEST(MountOptions, OthersAreKeptOutWithoutAllowOther) {
    Passthrough alone({.name = "alone"}),
        shared({.mount_options = "allow_other", .name = "shared"});
    for (Passthrough *server : {&alone, &shared})
        write_file(server->mnt("f"), "x");
    Task nobody("unprivileged user", [&] {
        become_nobody();
        struct stat st;
        EXPECT_EQ(stat(alone.mnt("f").c_str(), &st), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(open(alone.mnt().c_str(), O_RDONLY | O_DIRECTORY), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(stat(shared.mnt("f").c_str(), &st), 0);
        EXPECT_EQ(read_file(shared.mnt("f")), "x");
        return 0;
    });
    ASSERT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
}

GUEST_TEST(MountOptions, UnprivilegedUsersCannotMount) {
    needs_fusewb();
    auto directory = empty_directory("mnt");
    Task nobody("unprivileged user", [&] {
        become_nobody();
        Fd device = open_device();
        EXPECT_EQ(try_mount(directory, basic_options(device)), EPERM);
        return 0;
    });
    ASSERT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
}

GUEST_TEST(MountOptions, ServersOfUnprivilegedUsersGetCopies) {
    needs_fusewb();
    // The opener of the descriptor is what counts, whoever mounts it.
    auto directory = empty_directory("mnt");
    check(setegid(65534), "setegid");
    check(seteuid(65534), "seteuid");
    Fd device = open_device();
    check(seteuid(0), "seteuid");
    check(setegid(0), "setegid");
    EXPECT_EQ(try_mount(directory, basic_options(device) + ",writeback=direct"), EPERM);
    Mount mount(directory, device, "writeback=auto");
    EXPECT_EQ(Netlink().mounted_at(directory).server_uid, 65534u);
}

GUEST_TEST(MountOptions, AFileCannotCoverADirectory) {
    needs_fusewb();
    Fd device = open_device();
    std::string options =
        "fd=" + std::to_string(device.get()) + ",rootmode=100000,user_id=0,group_id=0";
    EXPECT_EQ(try_mount(empty_directory("directory"), options), ENOTDIR);
}
