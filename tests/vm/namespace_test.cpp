// SPDX-License-Identifier: GPL-2.0-only
// Names, attributes and directories: what is done through the mount is what the backing directory
// then shows, and the other way round.
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

struct stat lstat_of(const fs::path &path) {
    struct stat st;
    check(lstat(path.c_str(), &st), "lstat " + path.string());
    return st;
}

int lstat_error(const fs::path &path) {
    struct stat st;
    return lstat(path.c_str(), &st) ? errno : 0;
}

std::set<std::string> names_in(const fs::path &directory) {
    std::set<std::string> names;
    for (const auto &entry : fs::directory_iterator(directory)) {
        EXPECT_TRUE(names.insert(entry.path().filename()).second)
            << entry.path() << " is listed twice";
    }
    return names;
}

// Everything but what belongs to the other file system (device, inode number) and the times, which
// the server has after fsync(2) only.
void expect_same_attributes(const fs::path &through, const fs::path &backing) {
    struct stat a = lstat_of(through), b = lstat_of(backing);
    EXPECT_EQ(a.st_mode, b.st_mode) << through;
    EXPECT_EQ(a.st_nlink, b.st_nlink) << through;
    EXPECT_EQ(a.st_uid, b.st_uid) << through;
    EXPECT_EQ(a.st_gid, b.st_gid) << through;
    EXPECT_EQ(a.st_rdev, b.st_rdev) << through;
    EXPECT_EQ(a.st_size, b.st_size) << through;
}

void expect_same_mtime(const fs::path &through, const fs::path &backing) {
    struct stat a = lstat_of(through), b = lstat_of(backing);
    EXPECT_EQ(a.st_mtim.tv_sec, b.st_mtim.tv_sec) << through;
    EXPECT_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec) << through;
}

std::string link_target(const fs::path &path) { return fs::read_symlink(path); }

} // namespace

GUEST_TEST(Namespace, CreatedFilesAreInTheBackingDirectory) {
    Passthrough server;
    umask(0);
    { Fd file(server.mnt("plain"), O_WRONLY | O_CREAT | O_EXCL, 0640); }
    EXPECT_EQ(lstat_of(server.backing("plain")).st_mode, mode_t(S_IFREG | 0640));
    EXPECT_EQ(open(server.mnt("plain").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0640), -1);
    EXPECT_EQ(errno, EEXIST);
    umask(027);
    { Fd file(server.mnt("masked"), O_WRONLY | O_CREAT, 0666); }
    EXPECT_EQ(lstat_of(server.backing("masked")).st_mode, mode_t(S_IFREG | 0640));
    EXPECT_EQ(open(server.mnt("absent/x").c_str(), O_WRONLY | O_CREAT, 0600), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(names_in(server.mnt()), names_in(server.backing()));
}

GUEST_TEST(Namespace, AFileOpenedWithTruncLosesItsContent) {
    Passthrough server;
    write_file(server.mnt("f"), "old and long");
    { Fd file(server.mnt("f"), O_WRONLY | O_TRUNC); }
    EXPECT_EQ(lstat_of(server.mnt("f")).st_size, 0);
    EXPECT_EQ(read_file(server.backing("f")), "");
}

GUEST_TEST(Namespace, UnlinkedFilesAreGoneAndOpenOnesLiveOn) {
    Passthrough server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "before", 0);
    ASSERT_EQ(unlink(server.mnt("f").c_str()), 0);
    EXPECT_EQ(lstat_error(server.mnt("f")), ENOENT);
    EXPECT_EQ(lstat_error(server.backing("f")), ENOENT);
    pwrite_all(file, "after!", 6);
    EXPECT_EQ(pread_all(file, 100, 0), "beforeafter!");
    struct stat st;
    ASSERT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_size, 12);
    EXPECT_EQ(st.st_nlink, 0u);
    EXPECT_EQ(fsync(file), 0);
    // A new file of that name is another one.
    write_file(server.mnt("f"), "new");
    EXPECT_EQ(pread_all(file, 100, 0), "beforeafter!");
    EXPECT_EQ(read_file(server.mnt("f")), "new");
}

GUEST_TEST(Namespace, RenameReplacesAndCrossesDirectories) {
    Passthrough server;
    write_file(server.mnt("a"), "a");
    write_file(server.mnt("b"), "b");
    fs::create_directories(server.mnt("d/e"));
    fs::rename(server.mnt("a"), server.mnt("b"));
    EXPECT_EQ(lstat_error(server.mnt("a")), ENOENT);
    EXPECT_EQ(read_file(server.mnt("b")), "a");
    fs::rename(server.mnt("b"), server.mnt("d/e/c"));
    EXPECT_EQ(read_file(server.backing("d/e/c")), "a");
    EXPECT_EQ(read_file(server.mnt("d/e/c")), "a");
    fs::rename(server.mnt("d"), server.mnt("moved"));
    EXPECT_EQ(read_file(server.mnt("moved/e/c")), "a");
    EXPECT_EQ(lstat_error(server.mnt("d")), ENOENT);
    fs::create_directory(server.mnt("full"));
    write_file(server.mnt("full/x"), "x");
    EXPECT_EQ(rename(server.mnt("moved").c_str(), server.mnt("full").c_str()), -1);
    EXPECT_EQ(errno, ENOTEMPTY);
    EXPECT_EQ(rename(server.mnt("moved").c_str(), server.mnt("moved/e/inside").c_str()), -1);
    EXPECT_EQ(errno, EINVAL);
}

GUEST_TEST(Namespace, RenameFlagsReachTheServer) {
    RawServer server;
    server.set_content("a", "a");
    server.set_content("b", "bb");
    auto rename2 = [&](const char *from, const char *to, unsigned flags) {
        return renameat2(AT_FDCWD, server.mnt(from).c_str(), AT_FDCWD, server.mnt(to).c_str(),
                         flags)
                   ? errno
                   : 0;
    };
    EXPECT_EQ(rename2("a", "b", RENAME_NOREPLACE), EEXIST);
    EXPECT_EQ(rename2("a", "c", RENAME_NOREPLACE), 0);
    EXPECT_EQ(server.names(), (std::set<std::string>{"b", "c"}));
    EXPECT_EQ(rename2("b", "c", RENAME_EXCHANGE), 0);
    EXPECT_EQ(read_file(server.mnt("b")), "a");
    EXPECT_EQ(read_file(server.mnt("c")), "bb");
    EXPECT_EQ(rename2("b", "absent", RENAME_EXCHANGE), ENOENT);
    EXPECT_EQ(rename2("b", "c", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
}

GUEST_TEST(Namespace, ServersWithoutRenameFlagsRefuseThem) {
    Passthrough server;
    write_file(server.mnt("a"), "a");
    EXPECT_EQ(renameat2(AT_FDCWD, server.mnt("a").c_str(), AT_FDCWD, server.mnt("b").c_str(),
                        RENAME_NOREPLACE),
              -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(read_file(server.mnt("a")), "a");
}

GUEST_TEST(Namespace, HardLinksAreOneFile) {
    Passthrough server;
    write_file(server.mnt("a"), "one");
    ASSERT_EQ(link(server.mnt("a").c_str(), server.mnt("b").c_str()), 0);
    EXPECT_EQ(lstat_of(server.mnt("a")).st_ino, lstat_of(server.mnt("b")).st_ino);
    EXPECT_EQ(lstat_of(server.mnt("a")).st_nlink, 2u);
    write_file(server.mnt("b"), "changed");
    EXPECT_EQ(read_file(server.mnt("a")), "changed");
    fs::remove(server.mnt("a"));
    EXPECT_EQ(read_file(server.mnt("b")), "changed");
    EXPECT_EQ(lstat_of(server.mnt("b")).st_nlink, 1u);
    EXPECT_EQ(link(server.mnt("a").c_str(), server.mnt("c").c_str()), -1);
    EXPECT_EQ(errno, ENOENT);
}

GUEST_TEST(Namespace, SymlinksReadBack) {
    Passthrough server;
    std::string longest(4095, 'x');
    for (const auto &[name, target] : std::map<std::string, std::string>{
             {"short", "t"}, {"dangling", "no/where"}, {"long", longest}}) {
        if (symlink(target.c_str(), server.mnt(name).c_str())) {
            // The backing file system may allow less.
            ASSERT_EQ(errno, ENAMETOOLONG) << name;
            continue;
        }
        EXPECT_EQ(link_target(server.mnt(name)), target);
        EXPECT_EQ(link_target(server.backing(name)), target);
        EXPECT_EQ(lstat_of(server.mnt(name)).st_size, static_cast<off_t>(target.size()));
    }
    write_file(server.mnt("t"), "through the link");
    EXPECT_EQ(read_file(server.mnt("short")), "through the link");
    EXPECT_EQ(open(server.mnt("dangling").c_str(), O_RDONLY), -1);
    EXPECT_EQ(errno, ENOENT);
}

GUEST_TEST(Namespace, DirectoriesComeAndGo) {
    Passthrough server;
    umask(0);
    ASSERT_EQ(mkdir(server.mnt("d").c_str(), 0751), 0);
    EXPECT_EQ(lstat_of(server.backing("d")).st_mode, mode_t(S_IFDIR | 0751));
    EXPECT_EQ(mkdir(server.mnt("d").c_str(), 0751), -1);
    EXPECT_EQ(errno, EEXIST);
    fs::path deep = "d";
    for (int i = 0; i < 40; i++)
        deep /= std::to_string(i);
    fs::create_directories(server.mnt(deep));
    EXPECT_TRUE(fs::is_directory(server.backing(deep)));
    EXPECT_EQ(rmdir(server.mnt("d").c_str()), -1);
    EXPECT_EQ(errno, ENOTEMPTY);
    EXPECT_EQ(lstat_of(server.mnt("d")).st_nlink, lstat_of(server.backing("d")).st_nlink);
    fs::remove_all(server.mnt("d"));
    EXPECT_EQ(lstat_error(server.backing("d")), ENOENT);
    write_file(server.mnt("f"), "");
    EXPECT_EQ(rmdir(server.mnt("f").c_str()), -1);
    EXPECT_EQ(errno, ENOTDIR);
    ASSERT_EQ(mkdir(server.mnt("g").c_str(), 0700), 0);
    EXPECT_EQ(unlink(server.mnt("g").c_str()), -1);
    EXPECT_EQ(errno, EISDIR);
}

GUEST_TEST(Namespace, SpecialFilesKeepTheirKind) {
    Passthrough server;
    umask(0);
    ASSERT_EQ(mkfifo(server.mnt("fifo").c_str(), 0600), 0);
    ASSERT_EQ(mknod(server.mnt("socket").c_str(), S_IFSOCK | 0600, 0), 0);
    ASSERT_EQ(mknod(server.mnt("device").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
    ASSERT_EQ(mknod(server.mnt("file").c_str(), S_IFREG | 0600, 0), 0);
    for (const char *name : {"fifo", "socket", "device", "file"})
        expect_same_attributes(server.mnt(name), server.backing(name));
    EXPECT_TRUE(fs::is_fifo(server.mnt("fifo")));
    // Kernel objects, not the server's: they work as everywhere.
    Task writer("writer of the fifo", [&] {
        Fd fifo(server.mnt("fifo"), O_WRONLY);
        return write(fifo, "x", 1) == 1 ? 0 : errno;
    });
    Fd fifo(server.mnt("fifo"), O_RDONLY);
    char byte = 0;
    EXPECT_EQ(read(fifo, &byte, 1), 1);
    EXPECT_EQ(byte, 'x');
    EXPECT_TRUE(writer.ends_within(10s));
}

GUEST_TEST(Namespace, ReaddirListsThousandsOfNamesOnce) {
    Passthrough server;
    constexpr int count = 4000;
    for (int i = 0; i < count; i++)
        Fd(server.backing("name-" + std::to_string(i) +
                          std::string(static_cast<unsigned>(i) % 60, 'n')),
           O_WRONLY | O_CREAT);
    fs::create_directory(server.backing("directory"));
    fs::create_symlink("x", server.backing("symlink"));
    EXPECT_EQ(names_in(server.mnt()), names_in(server.backing()));
    DIR *dir = opendir(server.mnt().c_str());
    ASSERT_NE(dir, nullptr);
    unsigned entries = 0;
    bool dot = false, dotdot = false;
    while (dirent *entry = readdir(dir)) {
        std::string name = entry->d_name;
        dot |= name == ".";
        dotdot |= name == "..";
        entries++;
        int expected = name == "directory" || name == "." || name == ".." ? DT_DIR
                       : name == "symlink"                                ? DT_LNK
                                                                          : DT_REG;
        EXPECT_EQ(entry->d_type, expected) << name;
    }
    EXPECT_EQ(entries, unsigned(count) + 4);
    EXPECT_TRUE(dot && dotdot);
    closedir(dir);
}

GUEST_TEST(Namespace, SeekdirGoesOnWhereTelldirWas) {
    Passthrough server;
    for (int i = 0; i < 1000; i++)
        Fd(server.backing("name-" + std::to_string(i)), O_WRONLY | O_CREAT);
    DIR *dir = opendir(server.mnt().c_str());
    ASSERT_NE(dir, nullptr);
    std::vector<std::pair<long, std::string>> places;
    for (;;) {
        long place = telldir(dir);
        dirent *entry = readdir(dir);
        if (!entry)
            break;
        places.emplace_back(place, entry->d_name);
    }
    ASSERT_EQ(places.size(), 1002u);
    for (std::size_t i :
         {std::size_t(1001), std::size_t(500), std::size_t(0), std::size_t(999), std::size_t(3)}) {
        seekdir(dir, places[i].first);
        dirent *entry = readdir(dir);
        ASSERT_NE(entry, nullptr) << i;
        EXPECT_EQ(entry->d_name, places[i].second) << i;
    }
    Fd(server.mnt("late"), O_WRONLY | O_CREAT);
    rewinddir(dir);
    std::set<std::string> again;
    while (dirent *entry = readdir(dir))
        again.insert(entry->d_name);
    EXPECT_EQ(again.size(), 1003u);
    EXPECT_TRUE(again.contains("late"));
    closedir(dir);
}

GUEST_TEST(Namespace, AWholeTreeIsTheSameOnBothSides) {
    Passthrough server;
    for (int i = 0; i < 60; i++) {
        fs::path directory = std::to_string(i % 3) + "/" + std::to_string(i % 7);
        fs::create_directories(server.mnt(directory));
        fs::path file = directory / ("f" + std::to_string(i));
        write_file(server.mnt(file),
                   pattern(static_cast<std::size_t>(i) * 211, static_cast<unsigned>(i)));
        check(chmod(server.mnt(file).c_str(), static_cast<mode_t>(0400 + i)), "chmod");
    }
    Fd root(server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(syncfs(root), 0);
    for (const auto &entry : fs::recursive_directory_iterator(server.mnt())) {
        fs::path relative = entry.path().lexically_relative(server.mnt());
        if (!entry.is_regular_file())
            continue;
        Fd file(entry.path(), O_RDONLY);
        EXPECT_EQ(fsync(file), 0);
        expect_same_attributes(entry.path(), server.backing(relative));
        EXPECT_EQ(read_file(entry.path()), read_file(server.backing(relative))) << relative;
    }
}

GUEST_TEST(Namespace, StatfsIsTheServers) {
    Passthrough server;
    struct statvfs a, b;
    ASSERT_EQ(statvfs(server.mnt().c_str(), &a), 0);
    ASSERT_EQ(statvfs(server.backing().c_str(), &b), 0);
    EXPECT_EQ(a.f_bsize, b.f_bsize);
    EXPECT_EQ(a.f_frsize, b.f_frsize);
    EXPECT_EQ(a.f_blocks, b.f_blocks);
    EXPECT_EQ(a.f_files, b.f_files);
    EXPECT_EQ(a.f_namemax, b.f_namemax);
}

GUEST_TEST(Namespace, AccessFollowsTheModeWithDefaultPermissions) {
    Passthrough server({.mount_options = "allow_other,default_permissions"});
    write_file(server.mnt("public"), "x");
    write_file(server.mnt("private"), "x");
    write_file(server.mnt("program"), "x");
    check(chmod(server.mnt("public").c_str(), 0644), "chmod");
    check(chmod(server.mnt("private").c_str(), 0600), "chmod");
    check(chmod(server.mnt("program").c_str(), 0755), "chmod");
    check(chmod(server.backing().c_str(), 0755), "chmod");
    Task nobody("unprivileged user", [&] {
        become_nobody();
        EXPECT_EQ(access(server.mnt("public").c_str(), R_OK), 0);
        EXPECT_EQ(access(server.mnt("public").c_str(), W_OK), -1);
        EXPECT_EQ(access(server.mnt("program").c_str(), X_OK), 0);
        EXPECT_EQ(access(server.mnt("private").c_str(), R_OK), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(open(server.mnt("private").c_str(), O_RDONLY), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(open(server.mnt("new").c_str(), O_WRONLY | O_CREAT, 0600), -1);
        EXPECT_EQ(errno, EACCES);
        EXPECT_EQ(chmod(server.mnt("public").c_str(), 0777), -1);
        EXPECT_EQ(errno, EPERM);
        EXPECT_EQ(read_file(server.mnt("public")), "x");
        return 0;
    });
    ASSERT_TRUE(nobody.ends_within(20s)) << nobody.where();
    EXPECT_EQ(nobody.status(), 0);
}

GUEST_TEST(Namespace, TimesAreKept) {
    Passthrough server;
    write_file(server.mnt("f"), "x");
    const timespec times[2] = {{1000000001, 123456789}, {1234567890, 987654321}};
    ASSERT_EQ(utimensat(AT_FDCWD, server.mnt("f").c_str(), times, 0), 0);
    for (const auto &path : {server.mnt("f"), server.backing("f")}) {
        struct stat st = lstat_of(path);
        EXPECT_EQ(st.st_atim.tv_sec, times[0].tv_sec) << path;
        EXPECT_EQ(st.st_atim.tv_nsec, times[0].tv_nsec) << path;
        EXPECT_EQ(st.st_mtim.tv_sec, times[1].tv_sec) << path;
        EXPECT_EQ(st.st_mtim.tv_nsec, times[1].tv_nsec) << path;
    }
    // A write moves mtime on, and fsync brings it to the server.
    {
        Fd file(server.mnt("f"), O_WRONLY);
        pwrite_all(file, "y", 0);
        EXPECT_EQ(fsync(file), 0);
    }
    EXPECT_GT(lstat_of(server.mnt("f")).st_mtim.tv_sec, times[1].tv_sec);
    expect_same_mtime(server.mnt("f"), server.backing("f"));
    // UTIME_OMIT leaves one alone, UTIME_NOW takes the clock.
    const timespec some[2] = {{5, 5}, {0, UTIME_OMIT}};
    struct stat before = lstat_of(server.mnt("f"));
    ASSERT_EQ(utimensat(AT_FDCWD, server.mnt("f").c_str(), some, 0), 0);
    EXPECT_EQ(lstat_of(server.mnt("f")).st_atim.tv_sec, 5);
    EXPECT_EQ(lstat_of(server.mnt("f")).st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    ASSERT_EQ(utimensat(AT_FDCWD, server.mnt("f").c_str(), nullptr, 0), 0);
    EXPECT_GT(lstat_of(server.backing("f")).st_atim.tv_sec, times[1].tv_sec);
}

GUEST_TEST(Namespace, ModeAndOwnerChange) {
    Passthrough server;
    write_file(server.mnt("f"), "x");
    Fd file(server.mnt("f"), O_RDWR);
    ASSERT_EQ(chmod(server.mnt("f").c_str(), 04751), 0);
    expect_same_attributes(server.mnt("f"), server.backing("f"));
    EXPECT_EQ(lstat_of(server.mnt("f")).st_mode & 07777, 04751u);
    ASSERT_EQ(chown(server.mnt("f").c_str(), 1234, 4321), 0);
    expect_same_attributes(server.mnt("f"), server.backing("f"));
    EXPECT_EQ(lstat_of(server.mnt("f")).st_uid, 1234u);
    ASSERT_EQ(fchmod(file, 0604), 0);
    ASSERT_EQ(fchown(file, 7, static_cast<gid_t>(-1)), 0);
    expect_same_attributes(server.mnt("f"), server.backing("f"));
    EXPECT_EQ(lstat_of(server.backing("f")).st_gid, 4321u);
}

GUEST_TEST(Namespace, TruncateWorksByPathAndByDescriptor) {
    Passthrough server;
    write_file(server.mnt("f"), pattern(10000, 1));
    ASSERT_EQ(truncate(server.mnt("f").c_str(), 5000), 0);
    EXPECT_EQ(lstat_of(server.backing("f")).st_size, 5000);
    Fd file(server.mnt("f"), O_RDWR);
    ASSERT_EQ(ftruncate(file, 9000), 0);
    EXPECT_EQ(lstat_of(server.mnt("f")).st_size, 9000);
    EXPECT_EQ(difference(pattern(10000, 1).substr(0, 5000) + std::string(4000, '\0'),
                         read_file(server.mnt("f"))),
              "");
    EXPECT_EQ(truncate(server.mnt("f").c_str(), -1), -1);
    EXPECT_EQ(errno, EINVAL);
}

GUEST_TEST(Namespace, AbsentNamesAppearWhenTheyAreMade) {
    Passthrough server;
    EXPECT_EQ(lstat_error(server.mnt("f")), ENOENT);
    EXPECT_EQ(lstat_error(server.mnt("f")), ENOENT);
    write_file(server.mnt("f"), "x");
    EXPECT_EQ(lstat_error(server.mnt("f")), 0);
    fs::remove(server.mnt("f"));
    EXPECT_EQ(lstat_error(server.mnt("f")), ENOENT);
    // passthrough_ll allows a second of caching.
    EXPECT_EQ(lstat_error(server.mnt("g")), ENOENT);
    write_file(server.backing("g"), "made behind the mount");
    EXPECT_TRUE(wait_until(5s, [&] { return lstat_error(server.mnt("g")) == 0; }));
    EXPECT_EQ(read_file(server.mnt("g")), "made behind the mount");
    fs::remove(server.backing("g"));
    EXPECT_TRUE(wait_until(5s, [&] { return lstat_error(server.mnt("g")) == ENOENT; }));
}

// A server whose node ids are the inode numbers of another file system gives them again.
GUEST_TEST(Namespace, ANewDirectoryMayHaveTheIdOfOneThatIsGoneAndStillOpen) {
    needs_fusewb();
    RawServer server;
    server.on(FUSE_MKDIR, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = 99;
        out.entry_valid = out.attr_valid = 3600;
        out.attr = protocol::directory_attributes(out.nodeid);
        server.answer(request, bytes_of(out));
        return true;
    });
    server.on(FUSE_RMDIR, [&](const Request &request) {
        server.answer(request, {});
        return true;
    });
    server.on(FUSE_OPENDIR, [&](const Request &request) {
        server.answer(request, bytes_of(fuse_open_out{}));
        return true;
    });
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        server.answer_error(request, ENOENT);
        return true;
    });
    server.on(FUSE_CREATE, [&](const Request &request) {
        server.answer_error(request, EDQUOT);
        return true;
    });
    fs::path directory = server.mnt("d");
    ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
    Fd open_one(directory, O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(rmdir(directory.c_str()), 0);
    ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
    EXPECT_EQ(open((directory / "new").c_str(), O_CREAT | O_WRONLY, 0600), -1);
    EXPECT_EQ(errno, EDQUOT) << "it is in the new directory";
    EXPECT_EQ(openat(open_one, "new", O_CREAT | O_WRONLY, 0600), -1);
    EXPECT_EQ(errno, ENOENT) << "it is in the one that is gone";
}

ON_CLIENTS(PathOfNames, "fusewb", "fuse");

// What the VFS walks is a path, of which a name is a part.
CLIENT_TEST(PathOfNames, IsAskedForNameByName) {
    RawServer server({.type = client.type});
    std::mutex mutex;
    std::set<std::string> asked;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        {
            std::lock_guard lock(mutex);
            asked.insert(request.body);
        }
        if (request.header.nodeid != FUSE_ROOT_ID) {
            server.answer_error(request, ENOENT);
            return true;
        }
        // It is to be asked for each time.
        fuse_entry_out out{};
        out.nodeid = 99;
        out.attr = protocol::directory_attributes(out.nodeid);
        server.answer(request, bytes_of(out));
        return true;
    });
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(lstat_error(server.mnt("directory/name")), ENOENT);
    std::lock_guard lock(mutex);
    std::set<std::string> expected{std::string("directory", sizeof("directory")),
                                   std::string("name", sizeof("name"))};
    EXPECT_EQ(asked, expected);
}

GUEST_TEST(Namespace, NamesMayHave255Bytes) {
    Passthrough server;
    std::string longest(255, 'n');
    write_file(server.mnt(longest), "x");
    EXPECT_EQ(names_in(server.backing()), std::set<std::string>{longest});
    EXPECT_EQ(names_in(server.mnt()), std::set<std::string>{longest});
    EXPECT_EQ(lstat_error(server.mnt(longest + "n")), ENAMETOOLONG);
    std::string bytes = "\x01\xff \\\n*";
    write_file(server.mnt(bytes), "y");
    EXPECT_EQ(read_file(server.backing(bytes)), "y");
}

GUEST_TEST(Namespace, ForgottenInodesAreGivenBack) {
    Passthrough server;
    constexpr int count = 200;
    for (int i = 0; i < count; i++)
        write_file(server.backing(std::to_string(i)), "x");
    auto descriptors = [&] {
        auto path = "/proc/" + std::to_string(server.pid()) + "/fd";
        return std::distance(fs::directory_iterator(path), {});
    };
    auto before = descriptors();
    for (int i = 0; i < count; i++)
        lstat_of(server.mnt(std::to_string(i)));
    // The server holds a descriptor for each inode that the kernel knows.
    EXPECT_GE(descriptors(), before + count);
    EXPECT_TRUE(wait_until(20s,
                           [&] {
                               drop_caches();
                               return descriptors() < before + count / 10;
                           }))
        << descriptors() << " descriptors, " << before << " before";
}
