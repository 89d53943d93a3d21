// SPDX-License-Identifier: GPL-2.0-only
// What programs expect of the names, the directories, the times and the permissions of any file
// system. The same tests pass on the kernel's own client with the same server, and on tmpfs.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// What a system call that returns -1 on failure came to: 0 or errno. Descriptors are closed.
int outcome_of_open(const fs::path &path, int flags, mode_t mode = 0600) {
    int fd = open(path.c_str(), flags, mode);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}
int outcome_of(int result) { return result < 0 ? errno : 0; }
int outcome_of_rename(const fs::path &from, const fs::path &to) {
    return outcome_of(rename(from.c_str(), to.c_str()));
}

struct stat lstat_of(const fs::path &path) {
    struct stat st {};
    check(lstat(path.c_str(), &st), "lstat " + path.string());
    return st;
}

bool later(const timespec &a, const timespec &b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

// Times are taken from a clock that does not tick for every change.
void next_tick() { std::this_thread::sleep_for(20ms); }

// A process of an unprivileged user, whose failures count for the test.
void as_nobody(const std::function<void()> &work) {
    Task task("unprivileged user", [&] {
        become_nobody();
        work();
        return 0;
    });
    ASSERT_TRUE(task.ends_within(60s)) << task.where();
    EXPECT_EQ(task.status(), 0);
}

constexpr unsigned many = 100000;

// READDIR of a directory of many names, which exist nowhere but here.
void answer_many_names(RawServer &server, const Request &request) {
    auto in = request.as<fuse_read_in>();
    std::string out;
    for (std::uint64_t i = in.offset; i < many; i++) {
        char name[16];
        fuse_dirent entry{};
        entry.namelen = static_cast<std::uint32_t>(
            std::snprintf(name, sizeof(name), "n%06u", static_cast<unsigned>(i)));
        entry.ino = 1000 + i;
        entry.off = i + 1;
        entry.type = DT_REG;
        std::string bytes(reinterpret_cast<const char *>(&entry), FUSE_NAME_OFFSET);
        bytes.append(name, entry.namelen);
        bytes.resize(FUSE_DIRENT_ALIGN(bytes.size()));
        if (out.size() + bytes.size() > in.size)
            break;
        out += bytes;
    }
    server.answer(request, out);
}

} // namespace

ON_CLIENTS(NameBehaviour, "fusewb", "fuse", "tmpfs");

CLIENT_TEST(NameBehaviour, OpeningFollowsTheRules) {
    Place place(client);
    write_file(place("f"), "content");
    fs::create_directory(place("d"));
    fs::create_symlink("f", place("link"));
    fs::create_symlink("absent", place("dangling"));
    EXPECT_EQ(outcome_of_open(place("f"), O_CREAT | O_EXCL | O_WRONLY), EEXIST);
    EXPECT_EQ(outcome_of_open(place("dangling"), O_CREAT | O_EXCL | O_WRONLY), EEXIST);
    EXPECT_EQ(outcome_of_open(place("absent"), O_RDWR), ENOENT);
    EXPECT_EQ(outcome_of_open(place("dangling"), O_RDONLY), ENOENT);
    EXPECT_EQ(outcome_of_open(place("absent/f"), O_CREAT | O_WRONLY), ENOENT);
    EXPECT_EQ(outcome_of_open(place("f/g"), O_CREAT | O_WRONLY), ENOTDIR);
    EXPECT_EQ(outcome_of_open(place("f/"), O_RDONLY), ENOTDIR);
    EXPECT_EQ(outcome_of_open(place("f"), O_RDONLY | O_DIRECTORY), ENOTDIR);
    EXPECT_EQ(outcome_of_open(place("d"), O_WRONLY), EISDIR);
    EXPECT_EQ(outcome_of_open(place("d"), O_CREAT | O_RDONLY), EISDIR);
    EXPECT_EQ(outcome_of_open(place("new/"), O_CREAT | O_WRONLY), EISDIR);
    EXPECT_EQ(outcome_of_open(place("link"), O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT_EQ(outcome_of_open(place(std::string(256, 'n')), O_CREAT | O_WRONLY), ENAMETOOLONG);
    EXPECT_EQ(outcome_of_open(place("link"), O_RDONLY), 0);
    EXPECT_EQ(outcome_of_open(place("dangling"), O_CREAT | O_WRONLY), 0);
    EXPECT_EQ(lstat_of(place("absent")).st_size, 0);
    EXPECT_EQ(read_file(place("f")), "content") << "opening changed it";
    fs::create_symlink("loop", place("loop"));
    EXPECT_EQ(outcome_of_open(place("loop"), O_RDONLY), ELOOP);
}

CLIENT_TEST(NameBehaviour, RenamingFollowsTheRules) {
    Place place(client);
    for (const char *name : {"empty", "empty2", "full", "full/sub"})
        fs::create_directory(place(name));
    for (const char *name : {"f", "g", "full/x"})
        write_file(place(name), name);
    EXPECT_EQ(outcome_of_rename(place("absent"), place("f")), ENOENT);
    EXPECT_EQ(outcome_of_rename(place("f"), place("absent/f")), ENOENT);
    EXPECT_EQ(outcome_of_rename(place("f"), place("empty")), EISDIR);
    EXPECT_EQ(outcome_of_rename(place("empty"), place("f")), ENOTDIR);
    EXPECT_EQ(outcome_of_rename(place("empty"), place("full")), ENOTEMPTY);
    EXPECT_EQ(outcome_of_rename(place("full"), place("full/sub/inside")), EINVAL);
    EXPECT_EQ(outcome_of_rename(place("f"), place(std::string(256, 'n'))), ENAMETOOLONG);
    EXPECT_EQ(outcome_of_rename(place("empty"), place("empty2")), 0);
    EXPECT_EQ(outcome_of_rename(place("f"), place("f")), 0);
    // Two names of one file: nothing happens.
    fs::create_hard_link(place("f"), place("same"));
    EXPECT_EQ(outcome_of_rename(place("f"), place("same")), 0);
    EXPECT_EQ(lstat_of(place("f")).st_nlink, 2u);
    // Who has the replaced file open keeps it.
    Fd replaced(place("g"), O_RDWR);
    EXPECT_EQ(outcome_of_rename(place("f"), place("g")), 0);
    EXPECT_EQ(read_file(place("g")), "f");
    EXPECT_EQ(pread_all(replaced, 10, 0), "g");
    struct stat st;
    ASSERT_EQ(fstat(replaced, &st), 0);
    EXPECT_EQ(st.st_nlink, 0u);
    // ".." follows a directory that moves.
    EXPECT_EQ(outcome_of_rename(place("full/sub"), place("empty2/sub")), 0);
    EXPECT_EQ(lstat_of(place("empty2/sub/..")).st_ino, lstat_of(place("empty2")).st_ino);
    EXPECT_EQ(lstat_of(place("full")).st_nlink, lstat_of(place.backing("full")).st_nlink);
}

CLIENT_TEST(NameBehaviour, UnlinkingFollowsTheRules) {
    Place place(client);
    fs::create_directories(place("d/sub"));
    write_file(place("f"), "content");
    EXPECT_EQ(outcome_of(unlink(place("d").c_str())), EISDIR);
    EXPECT_EQ(outcome_of(rmdir(place("f").c_str())), ENOTDIR);
    EXPECT_EQ(outcome_of(rmdir(place("d").c_str())), ENOTEMPTY);
    EXPECT_EQ(outcome_of(rmdir(place("d/.").c_str())), EINVAL);
    EXPECT_EQ(outcome_of(unlink(place("absent").c_str())), ENOENT);
    EXPECT_EQ(outcome_of(unlink(place("f/").c_str())), ENOTDIR);
    EXPECT_EQ(outcome_of(mkdir(place("d").c_str(), 0700)), EEXIST);
    EXPECT_EQ(outcome_of(symlink("x", place("f").c_str())), EEXIST);
    // Without a name, and as large as one likes.
    Fd file(place("f"), O_RDWR);
    ASSERT_EQ(outcome_of(unlink(place("f").c_str())), 0);
    EXPECT_EQ(outcome_of_open(place("f"), O_RDONLY), ENOENT);
    pwrite_all(file, pattern(100000, 1), 7);
    ASSERT_EQ(fsync(file), 0);
    drop_pages(file);
    EXPECT_EQ(difference("content" + pattern(100000, 1), pread_all(file, 200000, 0)), "");
    ASSERT_EQ(fchmod(file, 0640), 0);
    ASSERT_EQ(ftruncate(file, 3), 0);
    struct stat st;
    ASSERT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_nlink, 0u);
    EXPECT_EQ(st.st_size, 3);
    EXPECT_EQ(st.st_mode & 07777, 0640u);
    // A directory that somebody is in.
    Task inside("in a directory that goes", [&] {
        check(chdir(place("d/sub").c_str()), "chdir");
        check(rmdir(place("d/sub").c_str()), "rmdir");
        char name[4096];
        EXPECT_EQ(getcwd(name, sizeof(name)), nullptr);
        EXPECT_EQ(errno, ENOENT);
        EXPECT_EQ(outcome_of_open("new", O_CREAT | O_WRONLY), ENOENT);
        EXPECT_EQ(outcome_of(mkdir("new", 0700)), ENOENT);
        return 0;
    });
    ASSERT_TRUE(inside.ends_within(20s)) << inside.where();
    EXPECT_EQ(inside.status(), 0);
}

CLIENT_TEST(NameBehaviour, HardLinksAreNamesOfOneFile) {
    Place place(client);
    write_file(place("f"), "content");
    fs::create_directory(place("d"));
    EXPECT_EQ(outcome_of(link(place("d").c_str(), place("d2").c_str())), EPERM);
    EXPECT_EQ(outcome_of(link(place("absent").c_str(), place("x").c_str())), ENOENT);
    ASSERT_EQ(outcome_of(link(place("f").c_str(), place("d/g").c_str())), 0);
    EXPECT_EQ(outcome_of(link(place("f").c_str(), place("d/g").c_str())), EEXIST);
    EXPECT_EQ(lstat_of(place("f")).st_ino, lstat_of(place("d/g")).st_ino);
    EXPECT_EQ(lstat_of(place("f")).st_nlink, 2u);
    EXPECT_EQ(lstat_of(place("d/g")).st_nlink, 2u);
    Fd one(place("f"), O_RDWR), other(place("d/g"), O_RDWR);
    pwrite_all(one, "CONTENT", 0);
    EXPECT_EQ(pread_all(other, 100, 0), "CONTENT");
    ASSERT_EQ(ftruncate(other, 3), 0);
    EXPECT_EQ(pread_all(one, 100, 0), "CON");
    ASSERT_EQ(fchmod(one, 0604), 0);
    EXPECT_EQ(lstat_of(place("d/g")).st_mode & 07777, 0604u);
    ASSERT_EQ(outcome_of(unlink(place("f").c_str())), 0);
    EXPECT_EQ(lstat_of(place("d/g")).st_nlink, 1u);
    EXPECT_EQ(read_file(place("d/g")), "CON");
}

CLIENT_TEST(NameBehaviour, TimesHaveNanosecondsAndFollowChanges) {
    Place place(client);
    write_file(place("f"), "x");
    const timespec times[2] = {{1234567890, 123456789}, {987654321, 987654321}};
    ASSERT_EQ(utimensat(AT_FDCWD, place("f").c_str(), times, 0), 0);
    for (const auto &path : {place("f"), place.backing("f")}) {
        struct stat st = lstat_of(path);
        EXPECT_EQ(st.st_atim.tv_nsec, 123456789) << path;
        EXPECT_EQ(st.st_mtim.tv_sec, 987654321) << path;
        EXPECT_EQ(st.st_mtim.tv_nsec, 987654321) << path;
    }
    struct stat before = lstat_of(place("f"));
    auto mtime_moves = [&] {
        struct stat now = lstat_of(place("f"));
        bool moved = later(now.st_mtim, before.st_mtim) && later(now.st_ctim, before.st_ctim);
        before = now;
        next_tick();
        return moved;
    };
    auto only_ctime_moves = [&] {
        struct stat now = lstat_of(place("f"));
        bool moved = !later(now.st_mtim, before.st_mtim) && later(now.st_ctim, before.st_ctim);
        before = now;
        next_tick();
        return moved;
    };
    next_tick();
    {
        Fd file(place("f"), O_RDWR);
        pwrite_all(file, "y", 0);
        EXPECT_TRUE(mtime_moves()) << "write";
        ASSERT_EQ(ftruncate(file, 100), 0);
        EXPECT_TRUE(mtime_moves()) << "truncation";
    }
    check(chmod(place("f").c_str(), 0600), "chmod");
    EXPECT_TRUE(only_ctime_moves()) << "chmod";
    fs::create_hard_link(place("f"), place("g"));
    EXPECT_TRUE(only_ctime_moves()) << "link";
    fs::remove(place("g"));
    EXPECT_TRUE(only_ctime_moves()) << "unlink";
    { Fd file(place("f"), O_RDONLY); }
    EXPECT_FALSE(only_ctime_moves()) << "open";
    // Names change the directory's.
    struct stat directory = lstat_of(place());
    write_file(place("h"), "");
    struct stat now = lstat_of(place());
    EXPECT_TRUE(later(now.st_mtim, directory.st_mtim)) << "create";
    next_tick();
    fs::remove(place("h"));
    EXPECT_TRUE(later(lstat_of(place()).st_mtim, now.st_mtim)) << "unlink";
}

CLIENT_TEST(NameBehaviour, OtherUsersMayWhatTheModeSays) {
    Place place(client, {.mount_options = "allow_other,default_permissions"});
    check(chmod(place().c_str(), 0755), "chmod");
    for (const char *name : {"public", "private", "program"})
        write_file(place(name), "content");
    for (const char *name : {"closed", "sticky", "open", "search"}) {
        fs::create_directory(place(name));
        write_file(place(std::string(name) + "/f"), "content");
    }
    auto mode = [&](const char *name, mode_t bits) {
        check(chmod(place(name).c_str(), bits), "chmod");
    };
    mode("public", 0644), mode("private", 0600), mode("program", 0711);
    mode("closed", 0700), mode("sticky", 01777), mode("open", 0777), mode("search", 0711);
    as_nobody([&] {
        EXPECT_EQ(read_file(place("public")), "content");
        EXPECT_EQ(outcome_of_open(place("public"), O_WRONLY), EACCES);
        EXPECT_EQ(outcome_of_open(place("private"), O_RDONLY), EACCES);
        EXPECT_EQ(outcome_of(truncate(place("public").c_str(), 0)), EACCES);
        EXPECT_EQ(outcome_of(access(place("program").c_str(), X_OK)), 0);
        EXPECT_EQ(outcome_of(access(place("program").c_str(), R_OK)), EACCES);
        EXPECT_EQ(outcome_of(access(place("public").c_str(), X_OK)), EACCES);
        EXPECT_EQ(outcome_of(chmod(place("public").c_str(), 0777)), EPERM);
        EXPECT_EQ(outcome_of(chown(place("public").c_str(), 65534, 65534)), EPERM);
        EXPECT_EQ(outcome_of(utimensat(AT_FDCWD, place("public").c_str(), nullptr, 0)), EACCES);
        EXPECT_EQ(outcome_of_open(place("new"), O_CREAT | O_WRONLY), EACCES);
        EXPECT_EQ(outcome_of(mkdir(place("new").c_str(), 0700)), EACCES);
        EXPECT_EQ(outcome_of(unlink(place("public").c_str())), EACCES);
        EXPECT_EQ(outcome_of_rename(place("public"), place("open/g")), EACCES);
        EXPECT_EQ(outcome_of_open(place("closed/f"), O_RDONLY), EACCES);
        EXPECT_EQ(outcome_of_open(place("search"), O_RDONLY), EACCES);
        EXPECT_EQ(outcome_of_open(place("search/f"), O_RDONLY), 0);
        EXPECT_EQ(outcome_of(unlink(place("sticky/f").c_str())), EPERM);
        EXPECT_EQ(outcome_of(unlink(place("open/f").c_str())), 0);
        EXPECT_EQ(outcome_of(chdir(place("closed").c_str())), EACCES);
    });
    EXPECT_EQ(read_file(place("public")), "content");
}

CLIENT_TEST(NameBehaviour, FifosSocketsAndLocksWorkBetweenProcesses) {
    Place place(client);
    check(mkfifo(place("fifo").c_str(), 0600), "mkfifo");
    Task writer("write to a fifo", [&] {
        Fd fifo(place("fifo"), O_WRONLY);
        return write(fifo, "through", 7) == 7 ? 0 : errno;
    });
    EXPECT_EQ(read_file(place("fifo")), "through");
    ASSERT_TRUE(writer.ends_within(20s)) << writer.where();
    // The path of a socket is short.
    Fd directory(place(), O_PATH | O_DIRECTORY);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket",
                  directory.get());
    auto *generic = reinterpret_cast<const sockaddr *>(&address);
    Fd listening(socket(AF_UNIX, SOCK_STREAM, 0)), calling(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(bind(listening, generic, sizeof(address)), 0) << errno;
    ASSERT_EQ(listen(listening, 1), 0);
    EXPECT_EQ(connect(calling, generic, sizeof(address)), 0) << errno;
    // Locks exclude other processes and other descriptors, each kind by its rule.
    write_file(place("f"), "x");
    Fd file(place("f"), O_RDWR);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    ASSERT_EQ(fcntl(file, F_SETLK, &whole), 0);
    Task other("lock what is locked", [&] {
        Fd again(place("f"), O_RDWR);
        struct flock wanted {};
        wanted.l_type = F_WRLCK;
        EXPECT_EQ(fcntl(again, F_SETLK, &wanted), -1);
        EXPECT_TRUE(errno == EAGAIN || errno == EACCES);
        EXPECT_EQ(fcntl(again, F_OFD_SETLK, &wanted), -1);
        EXPECT_EQ(fcntl(again, F_GETLK, &wanted), 0);
        EXPECT_EQ(wanted.l_type, F_WRLCK);
        return 0;
    });
    ASSERT_TRUE(other.ends_within(20s)) << other.where();
}

CLIENT_TEST(NameBehaviour, DirectoriesShrinkAndGrowWhileTheyAreRead) {
    Place place(client);
    constexpr unsigned count = 300;
    for (unsigned i = 0; i < count; i++)
        write_file(place.backing("n" + std::to_string(i)), "");
    // What is there all the time is listed once, whatever else comes and goes.
    std::multiset<std::string> seen;
    DIR *directory = opendir(place().c_str());
    ASSERT_NE(directory, nullptr);
    unsigned listed = 0;
    while (struct dirent *entry = readdir(directory)) {
        seen.insert(entry->d_name);
        if (++listed % 50 == 0) {
            write_file(place("late" + std::to_string(listed)), "");
            fs::remove(place("late" + std::to_string(listed)));
        }
    }
    for (unsigned i = 0; i < count; i++)
        EXPECT_EQ(seen.count("n" + std::to_string(i)), 1u) << i;
    EXPECT_EQ(seen.count("."), 1u);
    EXPECT_EQ(seen.count(".."), 1u);
    // Back to the start, where the removed ones are gone.
    fs::remove(place("n7"));
    rewinddir(directory);
    seen.clear();
    while (struct dirent *entry = readdir(directory))
        seen.insert(entry->d_name);
    closedir(directory);
    EXPECT_EQ(seen.size(), count - 1 + 2);
    EXPECT_EQ(seen.count("n7"), 0u);
}

ON_CLIENTS(ManyNames, "fusewb", "fuse");

CLIENT_TEST(ManyNames, ADirectoryOf100000IsReadOnceAndFromEveryPlace) {
    RawServer server({.type = client.type});
    server.on(FUSE_READDIR, [&](const Request &request) {
        answer_many_names(server, request);
        return true;
    });
    DIR *directory = opendir(server.mnt().c_str());
    ASSERT_NE(directory, nullptr);
    std::vector<long> places;
    unsigned count = 0;
    for (;; count++) {
        long at = telldir(directory);
        struct dirent *entry = readdir(directory);
        if (!entry)
            break;
        if (count % 500 == 0)
            places.push_back(at);
        ASSERT_EQ(std::atoi(entry->d_name + 1), int(count)) << "out of order or twice";
    }
    EXPECT_EQ(count, many);
    for (std::size_t i = places.size(); i-- > 0;) {
        seekdir(directory, places[i]);
        struct dirent *entry = readdir(directory);
        ASSERT_NE(entry, nullptr) << i;
        EXPECT_EQ(std::atoi(entry->d_name + 1), int(i * 500));
    }
    closedir(directory);
}

CLIENT_TEST(ManyNames, ADirectoryOf100000FilesIsListedOnceAndFromEveryPlaceAndWhileSomeGo) {
    // The server has one open of what it was asked for.
    struct rlimit files {
        2 * many, 2 * many
    };
    check(setrlimit(RLIMIT_NOFILE, &files), "setrlimit");
    Place place(client);
    auto name_of = [](unsigned i) { return "n" + std::to_string(i); };
    Fd backing(place.backing(), O_RDONLY | O_DIRECTORY);
    for (unsigned i = 0; i < many; i++)
        check(mknodat(backing, name_of(i).c_str(), S_IFREG | 0600, 0), "mknod");
    DIR *directory = opendir(place().c_str());
    ASSERT_NE(directory, nullptr);
    // How often each was listed.
    std::vector<unsigned> times(many);
    auto take = [&](const struct dirent *entry) {
        if (entry->d_name[0] == 'n')
            times.at(static_cast<std::size_t>(std::atoi(entry->d_name + 1)))++;
    };
    std::map<long, std::string> sample; // the name at a place
    for (unsigned count = 0;; count++) {
        long at = telldir(directory);
        struct dirent *entry = readdir(directory);
        if (!entry)
            break;
        take(entry);
        if (count % 2500 == 1)
            sample[at] = entry->d_name;
        struct stat st;
        // So that some of it is READDIRPLUS.
        if (count % 5000 == 1)
            EXPECT_EQ(stat(place(entry->d_name).c_str(), &st), 0) << entry->d_name;
    }
    EXPECT_EQ(std::count(times.begin(), times.end(), 1u), many);
    for (auto found = sample.rbegin(); found != sample.rend(); ++found) {
        seekdir(directory, found->first);
        struct dirent *entry = readdir(directory);
        ASSERT_NE(entry, nullptr) << found->second;
        EXPECT_EQ(entry->d_name, found->second);
    }
    // What was listed goes, here and there; all of what stays is listed once.
    rewinddir(directory);
    std::fill(times.begin(), times.end(), 0u);
    std::set<std::string> gone;
    for (unsigned count = 0; struct dirent *entry = readdir(directory); count++) {
        take(entry);
        if (count % (many / 5) < 80 && entry->d_name[0] == 'n') {
            std::string name = entry->d_name;
            EXPECT_EQ(unlink(place(name).c_str()), 0) << name << " " << errno;
            gone.insert(name);
        }
    }
    EXPECT_EQ(std::count(times.begin(), times.end(), 1u), many);
    EXPECT_GE(gone.size(), 5u * 80 - 2);
    rewinddir(directory);
    std::fill(times.begin(), times.end(), 0u);
    while (struct dirent *entry = readdir(directory)) {
        take(entry);
        EXPECT_FALSE(gone.contains(entry->d_name)) << entry->d_name;
    }
    closedir(directory);
    EXPECT_EQ(std::count(times.begin(), times.end(), 1u), many - gone.size());
}
