// SPDX-License-Identifier: GPL-2.0-only
// What programs expect of any file system: what is in files, and the ways to it. Names are in
// behaviour_names_test.cpp. The same tests pass on the kernel's own client with the same server,
// and on tmpfs.
#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <list>
#include <set>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/layer_server.h"
#include "support/task.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

std::set<std::string> names_in(const fs::path &directory) {
    std::set<std::string> names;
    for (const auto &entry : fs::directory_iterator(directory))
        names.insert(entry.path().filename());
    return names;
}

// Names and masks of the events that are there, in order.
std::list<std::pair<std::string, std::uint32_t>> events(int inotify) {
    std::list<std::pair<std::string, std::uint32_t>> all;
    alignas(inotify_event) char buffer[16384];
    ssize_t n;
    while ((n = read(inotify, buffer, sizeof(buffer))) > 0)
        for (ssize_t at = 0; at < n;) {
            const auto *event = reinterpret_cast<const inotify_event *>(buffer + at);
            all.emplace_back(event->len ? event->name : "", event->mask);
            at += static_cast<ssize_t>(sizeof(*event) + event->len);
        }
    return all;
}

// Shows the layers at merged. Return: 0 or an error. Throws Skip where there is no overlayfs.
int mount_overlay(const fs::path &merged, const fs::path &lower, const fs::path &upper,
                  const fs::path &work) {
    std::string options =
        "lowerdir=" + lower.string() + ",upperdir=" + upper.string() + ",workdir=" + work.string();
    int error = mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) ? errno : 0;
    if (error == ENODEV)
        throw Skip("the kernel has no overlayfs");
    return error;
}

} // namespace

ON_CLIENTS(Behaviour, "fusewb", "fuse", "tmpfs");

CLIENT_TEST(Behaviour, AppendsOfSeveralProcessesAreAllThere) {
    Place place(client);
    write_file(place("log"), "");
    std::list<Task> writers;
    for (char letter : {'a', 'b', 'c', 'd'})
        writers.emplace_back("append", [&, letter] {
            Fd file(place("log"), O_WRONLY | O_APPEND);
            for (int i = 0; i < 200; i++)
                if (write(file, std::string(100, letter).data(), 100) != 100)
                    return errno;
            return 0;
        });
    for (auto &writer : writers) {
        ASSERT_TRUE(writer.ends_within(60s)) << writer.where();
        EXPECT_EQ(writer.status(), 0);
    }
    std::string log = read_file(place("log"));
    ASSERT_EQ(log.size(), 80000u);
    for (std::size_t at = 0; at < log.size(); at += 100)
        EXPECT_EQ(log.substr(at, 100), std::string(100, log[at])) << at;
    for (char letter : {'a', 'b', 'c', 'd'})
        EXPECT_EQ(std::count(log.begin(), log.end(), letter), 20000);
    EXPECT_EQ(difference(log, read_file(place.backing("log"))), "");
}

CLIENT_TEST(Behaviour, AFileOfFiveGibibytesHoldsWhatIsAtItsEnds) {
    Place place(client);
    constexpr off_t end = off_t(5) << 30;
    Fd file(place("big"), O_RDWR | O_CREAT);
    pwrite_all(file, "first", 0);
    pwrite_all(file, "over 4 GiB", (off_t(4) << 30) - 5);
    pwrite_all(file, "last", end - 4);
    ASSERT_EQ(fsync(file), 0);
    drop_pages(file);
    EXPECT_EQ(pread_all(file, 5, 0), "first");
    EXPECT_EQ(pread_all(file, 10, (off_t(4) << 30) - 5), "over 4 GiB");
    EXPECT_EQ(pread_all(file, 100, end - 4), "last");
    EXPECT_EQ(pread_all(file, 4096, off_t(3) << 30), std::string(4096, '\0'));
    struct stat st;
    ASSERT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_size, end);
    EXPECT_LT(st.st_blocks, 1 << 20) << "it is not sparse";
}

CLIENT_TEST(Behaviour, MappingsOfTwoProcessesAreOneMemoryUnlessTheyArePrivate) {
    Place place(client);
    write_file(place("f"), std::string(8192, 'x'));
    Fd file(place("f"), O_RDWR);
    auto map = [&](int flags) {
        void *memory = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, flags, file, 0);
        EXPECT_NE(memory, MAP_FAILED);
        return static_cast<char *>(memory);
    };
    char *shared = map(MAP_SHARED), *mine = map(MAP_PRIVATE);
    mine[1] = 'p';
    Task other("store to a mapping", [&] {
        Fd again(place("f"), O_RDWR);
        void *memory = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
        if (memory == MAP_FAILED)
            return errno;
        static_cast<char *>(memory)[0] = 's';
        static_cast<char *>(memory)[5000] = 's';
        return 0;
    });
    ASSERT_TRUE(other.ends_within(20s)) << other.where();
    ASSERT_EQ(other.status(), 0);
    EXPECT_EQ(shared[0], 's');
    EXPECT_EQ(shared[1], 'x');
    EXPECT_EQ(mine[1], 'p');
    EXPECT_EQ(pread_all(file, 1, 5000), "s");
    // write(2) shows in the mapping.
    pwrite_all(file, "w", 4096);
    EXPECT_EQ(shared[4096], 'w');
    ASSERT_EQ(msync(shared, 8192, MS_SYNC), 0);
    EXPECT_EQ(read_file(place.backing("f"))[5000], 's');
    munmap(shared, 8192);
    munmap(mine, 8192);
}

CLIENT_TEST(Behaviour, WatchersHearOfWhatIsDoneThroughTheMount) {
    Place place(client);
    Fd inotify(inotify_init1(IN_NONBLOCK));
    ASSERT_GE(inotify_add_watch(inotify, place().c_str(),
                                IN_CREATE | IN_MODIFY | IN_MOVE | IN_DELETE | IN_ATTRIB),
              0);
    write_file(place("a"), "x");
    ASSERT_EQ(chmod(place("a").c_str(), 0600), 0);
    fs::rename(place("a"), place("b"));
    fs::remove(place("b"));
    auto all = events(inotify);
    auto heard = [&](const std::string &name, std::uint32_t mask) {
        return std::any_of(all.begin(), all.end(), [&](const auto &event) {
            return event.first == name && event.second & mask;
        });
    };
    EXPECT_TRUE(heard("a", IN_CREATE));
    EXPECT_TRUE(heard("a", IN_MODIFY));
    EXPECT_TRUE(heard("a", IN_ATTRIB));
    EXPECT_TRUE(heard("a", IN_MOVED_FROM));
    EXPECT_TRUE(heard("b", IN_MOVED_TO));
    EXPECT_TRUE(heard("b", IN_DELETE));
}

CLIENT_TEST(Behaviour, LeasesAreBrokenByWhoOpensTheFile) {
    Place place(client);
    write_file(place("f"), "x");
    Fd file(place("f"), O_RDONLY);
    signal(SIGIO, SIG_IGN);
    ASSERT_EQ(fcntl(file, F_SETLEASE, F_RDLCK), 0) << errno;
    EXPECT_EQ(fcntl(file, F_GETLEASE), F_RDLCK);
    Task other("open for writing", [&] {
        int fd = open(place("f").c_str(), O_WRONLY | O_NONBLOCK);
        return fd < 0 ? errno : 0;
    });
    ASSERT_TRUE(other.ends_within(20s)) << other.where();
    EXPECT_EQ(other.status(), EWOULDBLOCK);
    ASSERT_EQ(fcntl(file, F_SETLEASE, F_UNLCK), 0);
}

CLIENT_TEST(Behaviour, AWriteLeaseHoldsUpWhoOpensTheFileUntilItIsGivenUp) {
    Place place(client);
    write_file(place("f"), "x");
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    Fd file(place("f"), O_RDONLY);
    ASSERT_EQ(fcntl(file, F_SETSIG, SIGUSR1), 0);
    {
        Fd another(place("f"), O_RDONLY);
        EXPECT_EQ(fcntl(file, F_SETLEASE, F_WRLCK), -1) << "somebody else has it open";
        EXPECT_EQ(errno, EAGAIN);
    }
    ASSERT_EQ(fcntl(file, F_SETLEASE, F_WRLCK), 0) << errno;
    EXPECT_EQ(fcntl(file, F_GETLEASE), F_WRLCK);
    const struct {
        int flags;
        short asked; // what the holder may keep
    } openers[] = {{O_RDONLY, F_RDLCK}, {O_WRONLY, F_UNLCK}};
    for (const auto &[flags, asked] : openers) {
        SCOPED_TRACE(asked);
        Task opener("open", [&, flags = flags] {
            int fd = open(place("f").c_str(), flags);
            return fd < 0 ? errno : 0;
        });
        timespec patience{20, 0};
        siginfo_t info{};
        ASSERT_EQ(sigtimedwait(&signals, &info, &patience), SIGUSR1) << opener.where();
        EXPECT_EQ(info.si_fd, file.get());
        EXPECT_EQ(fcntl(file, F_GETLEASE), asked);
        EXPECT_FALSE(opener.ends_within(300ms));
        ASSERT_EQ(fcntl(file, F_SETLEASE, asked), 0) << errno;
        ASSERT_TRUE(opener.ends_within(20s)) << opener.where();
        EXPECT_EQ(opener.status(), 0);
        EXPECT_EQ(fcntl(file, F_GETLEASE), asked);
    }
}

CLIENT_TEST(Behaviour, PathsMayBeAsLongAsTheKernelTakesAndLonger) {
    Place place(client);
    std::vector<std::string> names; // of directories, the next in the one before
    auto name = [&](std::size_t length) {
        std::string number = std::to_string(names.size());
        return number + std::string(length - number.size(), 'd');
    };
    std::string path = place().string();
    path.resize(path.find_last_not_of('/') + 1);
    // PATH_MAX counts the zero byte.
    constexpr std::size_t longest = PATH_MAX - 1;
    while (path.size() + 1 + 200 + 1 + 10 < longest) {
        names.push_back(name(200));
        path += "/" + names.back();
        ASSERT_EQ(mkdir(path.c_str(), 0700), 0) << names.size() << " " << errno;
    }
    std::string rest(longest - path.size() - 1, 'f');
    ASSERT_LT(rest.size(), 255u);
    write_file(path + "/" + rest, "at the end");
    EXPECT_EQ(read_file(path + "/" + rest), "at the end");
    int too_long = open((path + "/" + rest + "f").c_str(), O_RDWR | O_CREAT, 0600);
    EXPECT_EQ(too_long, -1);
    EXPECT_EQ(errno, ENAMETOOLONG);

    Fd directory(path, O_RDONLY | O_DIRECTORY);
    for (int more = 0; more < 25; more++) {
        names.push_back(name(200));
        ASSERT_EQ(mkdirat(directory, names.back().c_str(), 0700), 0) << more << " " << errno;
        directory = Fd(openat(directory, names.back().c_str(), O_RDONLY | O_DIRECTORY));
        ASSERT_GE(directory.get(), 0) << more << " " << errno;
    }
    Fd file(openat(directory, "f", O_RDWR | O_CREAT, 0600));
    ASSERT_GE(file.get(), 0) << errno;
    pwrite_all(file, "behind it", 0);
    ASSERT_EQ(fsync(file), 0);
    ASSERT_EQ(renameat(directory, "f", directory, "g"), 0);
    file.reset();
    directory.reset();
    drop_caches();
    for (const auto &top : {place(), place.backing()}) {
        Fd at(top, O_RDONLY | O_DIRECTORY);
        for (const auto &next : names) {
            at = Fd(openat(at, next.c_str(), O_RDONLY | O_DIRECTORY));
            ASSERT_GE(at.get(), 0) << next << " " << errno;
        }
        Fd found(openat(at, "g", O_RDONLY));
        ASSERT_GE(found.get(), 0) << errno;
        EXPECT_EQ(pread_all(found, 100, 0), "behind it");
    }
    fs::remove_all(place(names.front()));
    EXPECT_EQ(names_in(place.backing()).size(), 0u);
}

CLIENT_TEST(Behaviour, PathsMayBeDeepAndNamesOfAnyBytes) {
    Place place(client);
    fs::path deep = place(), backing = place.backing();
    for (int depth = 0; depth < 100; depth++) {
        deep /= "level-" + std::to_string(depth);
        backing /= "level-" + std::to_string(depth);
    }
    fs::create_directories(deep);
    write_file(deep / "f", "deep");
    EXPECT_EQ(read_file(backing / "f"), "deep");
    fs::remove_all(place("level-0"));
    EXPECT_EQ(names_in(place.backing()).size(), 0u);

    std::set<std::string> names;
    for (int byte = 1; byte < 256; byte++)
        if (byte != '/' && byte != '.')
            names.insert(std::string(1, static_cast<char>(byte)));
    names.insert({"\xff\xfe\x80", "\xc3\x28", " ", "a\nb", std::string(255, '\x81')});
    for (const auto &name : names)
        write_file(place(name), name);
    EXPECT_EQ(names_in(place()), names);
    EXPECT_EQ(names_in(place.backing()), names);
    for (const auto &name : names)
        EXPECT_EQ(read_file(place(name)), name);
}

CLIENT_TEST(Behaviour, StormsOfNamesLeaveWhatTheServerHas) {
    Place place(client);
    fs::create_directory(place("d"));
    std::list<Task> storm;
    for (unsigned seed = 0; seed < 4; seed++)
        storm.emplace_back("create, rename, unlink", [&, seed] {
            unsigned random = seed + 1;
            for (int i = 0; i < 400; i++) {
                random = random * 1103515245 + 12345;
                fs::path one = place("d/" + std::to_string(random >> 16 & 15));
                fs::path two = place("d/" + std::to_string(random >> 20 & 15));
                int failed = 0;
                switch (random >> 28 & 3) {
                case 0: {
                    int fd = open(one.c_str(), O_CREAT | O_WRONLY, 0600);
                    failed = fd < 0;
                    if (fd >= 0)
                        close(fd);
                    break;
                }
                case 1:
                    failed = rename(one.c_str(), two.c_str());
                    break;
                case 2:
                    failed = unlink(one.c_str());
                    break;
                default:
                    failed = link(one.c_str(), two.c_str());
                }
                if (failed && errno != ENOENT && errno != EEXIST)
                    return errno;
            }
            return 0;
        });
    for (auto &task : storm) {
        ASSERT_TRUE(task.ends_within(100s)) << task.where();
        EXPECT_EQ(task.status(), 0);
    }
    EXPECT_EQ(names_in(place("d")), names_in(place.backing("d")));
    for (const auto &name : names_in(place.backing("d"))) {
        struct stat through, there;
        EXPECT_EQ(stat(place("d/" + name).c_str(), &through), 0) << name;
        EXPECT_EQ(stat(place.backing("d/" + name).c_str(), &there), 0) << name;
        EXPECT_EQ(through.st_ino, there.st_ino) << name;
    }
    fs::remove_all(place("d"));
    EXPECT_FALSE(fs::exists(place.backing("d")));
}

CLIENT_TEST(Behaviour, FreezingIsRefused) {
    Place place(client);
    Fd directory(place(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ioctl(directory, FIFREEZE, 0), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
    write_file(place("f"), "x");
}

CLIENT_TEST(Behaviour, OverlayfsReadsItsLowerLayerFromIt) {
    Place place(client);
    fs::path base = scratch() / "overlay";
    for (const char *name : {"upper", "work", "merged"})
        fs::create_directories(base / name);
    write_file(place("both"), "lower");
    write_file(place("lower-only"), std::string(100000, 'l'));
    ASSERT_EQ(mount_overlay(base / "merged", place(), base / "upper", base / "work"), 0);
    EXPECT_EQ(read_file(base / "merged/lower-only"), std::string(100000, 'l'));
    write_file(base / "merged/both", "upper");
    EXPECT_EQ(read_file(base / "merged/both"), "upper");
    EXPECT_EQ(read_file(place("both")), "lower");
    fs::remove(base / "merged/lower-only");
    EXPECT_EQ(names_in(base / "merged"), (std::set<std::string>{"both"}));
    EXPECT_EQ(names_in(place()), (std::set<std::string>{"both", "lower-only"}));
    EXPECT_EQ(umount2((base / "merged").c_str(), 0), 0);
}

// But for hard links: the server is one of libfuse's upper interface, which has a node for each name.
CLIENT_TEST(Behaviour, OverlayfsHasAllItsLayersOnIt) {
    Place place(client, {.serve = serve_layers});
    fs::path merged = scratch() / "merged";
    for (const auto &directory : {merged, place("lower"), place("lower/removed"),
                                  place("lower/renewed"), place("upper"), place("work")})
        fs::create_directories(directory);
    for (const char *name : {"changed", "moved", "deleted", "kept", "removed/f", "renewed/f"})
        write_file(place("lower") / name, name);
    auto mount_it = [&] {
        return mount_overlay(merged, place("lower"), place("upper"), place("work"));
    };
    ASSERT_EQ(mount_it(), 0);
    {
        Fd append(merged / "changed", O_WRONLY | O_APPEND);
        ASSERT_EQ(write(append, " here", 5), 5);
    }
    fs::rename(merged / "moved", merged / "arrived");
    fs::remove(merged / "deleted");
    fs::remove_all(merged / "removed");
    fs::remove_all(merged / "renewed");
    fs::create_directory(merged / "renewed");
    write_file(merged / "renewed/new", std::string(100000, 'n'));
    // As it is now, and as a new mount finds it at the server.
    for (bool again : {false, true}) {
        SCOPED_TRACE(again ? "mounted again" : "");
        if (again) {
            ASSERT_EQ(umount2(merged.c_str(), 0), 0);
            ASSERT_EQ(mount_it(), 0);
        }
        EXPECT_EQ(names_in(merged),
                  (std::set<std::string>{"arrived", "changed", "kept", "renewed"}));
        EXPECT_EQ(read_file(merged / "changed"), "changed here");
        EXPECT_EQ(read_file(merged / "arrived"), "moved");
        EXPECT_EQ(names_in(merged / "renewed"), (std::set<std::string>{"new"}));
        EXPECT_EQ(read_file(merged / "renewed/new"), std::string(100000, 'n'));
    }
    ASSERT_EQ(umount2(merged.c_str(), 0), 0);
    struct stat st;
    for (const char *name : {"upper/deleted", "upper/moved", "upper/removed"}) {
        ASSERT_EQ(stat(place.backing(name).c_str(), &st), 0) << name;
        EXPECT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == 0) << name << " is no whiteout";
    }
    for (const char *name : {"changed", "moved", "deleted", "kept", "removed/f", "renewed/f"})
        EXPECT_EQ(read_file(place("lower") / name), name);
}

CLIENT_TEST(Behaviour, AServerWithoutWhiteoutsIsNoUpperLayerOfOverlayfs) {
    Place place(client, {.server_options = "xattr"});
    fs::path lower = scratch() / "lower", merged = scratch() / "merged";
    for (const auto &directory : {lower, merged, place("upper"), place("work")})
        fs::create_directories(directory);
    write_file(lower / "f", "lower");
    int error = mount_overlay(merged, lower, place("upper"), place("work"));
    // passthrough_ll knows no flags of rename.
    EXPECT_EQ(error, std::string(client.type) == "tmpfs" ? 0 : EINVAL);
    if (!error) {
        write_file(merged / "f", "upper");
        EXPECT_EQ(read_file(place("upper/f")), "upper");
        EXPECT_EQ(umount2(merged.c_str(), 0), 0);
    }
    // Refused or not, it goes on.
    write_file(place("f"), "x");
    EXPECT_EQ(read_file(place.backing("f")), "x");
}

CLIENT_TEST(Behaviour, StatfsIsThatOfTheServersFileSystem) {
    Place place(client);
    struct statvfs through, there;
    ASSERT_EQ(statvfs(place().c_str(), &through), 0);
    ASSERT_EQ(statvfs(place.backing().c_str(), &there), 0);
    EXPECT_EQ(through.f_bsize, there.f_bsize);
    EXPECT_EQ(through.f_blocks, there.f_blocks);
    EXPECT_EQ(through.f_files, there.f_files);
    EXPECT_EQ(through.f_namemax, there.f_namemax);
}

CLIENT_TEST(Behaviour, AppendingIgnoresTheOffsetAndTruncationZeroes) {
    Place place(client);
    Fd append(place("f"), O_RDWR | O_CREAT | O_APPEND);
    ASSERT_EQ(pwrite(append, "12345678", 8, 0), 8);
    ASSERT_EQ(pwrite(append, "abcd", 4, 2), 4);
    EXPECT_EQ(pread_all(append, 100, 0), "12345678abcd");
    EXPECT_EQ(lseek(append, 0, SEEK_END), 12);
    Fd file(place("f"), O_RDWR);
    ASSERT_EQ(ftruncate(file, 5), 0);
    ASSERT_EQ(ftruncate(file, 9), 0);
    EXPECT_EQ(pread_all(file, 100, 0), std::string("12345\0\0\0\0", 9));
    ASSERT_EQ(write(append, "end", 3), 3);
    EXPECT_EQ(pread_all(file, 100, 0), std::string("12345\0\0\0\0end", 12));
    { Fd empties(place("f"), O_WRONLY | O_TRUNC); }
    EXPECT_EQ(pread_all(file, 100, 0), "");
    ASSERT_EQ(write(append, "new", 3), 3);
    EXPECT_EQ(pread_all(file, 100, 0), "new");
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(read_file(place.backing("f")), "new");
}

CLIENT_TEST(Behaviour, DescriptorsAllowWhatTheyWereOpenedFor) {
    Place place(client);
    write_file(place("f"), "content");
    char byte;
    Fd reads(place("f"), O_RDONLY), writes(place("f"), O_WRONLY), names(place("f"), O_PATH);
    EXPECT_EQ(write(reads, "x", 1), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(read(writes, &byte, 1), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(read(names, &byte, 1), -1);
    EXPECT_EQ(errno, EBADF);
    EXPECT_EQ(ftruncate(reads, 0), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, writes, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    EXPECT_EQ(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, reads, 0), MAP_FAILED);
    EXPECT_EQ(errno, EACCES);
    EXPECT_EQ(lseek(reads, -1, SEEK_SET), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(pread(reads, &byte, 1, -1), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(lseek(reads, 1000, SEEK_SET), 1000);
    EXPECT_EQ(read(reads, &byte, 1), 0);
    EXPECT_EQ(pread(reads, reinterpret_cast<void *>(8), 1, 0), -1);
    EXPECT_EQ(errno, EFAULT);
    EXPECT_EQ(pwrite(writes, reinterpret_cast<void *>(8), 1, 0), -1);
    EXPECT_EQ(errno, EFAULT);
    EXPECT_EQ(read_file(place("f")), "content");
}

CLIENT_TEST(Behaviour, TheLimitOfFileSizesHolds) {
    Place place(client);
    Task writer("write beyond the limit", [&] {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit limit {
            100000, 100000
        };
        if (setrlimit(RLIMIT_FSIZE, &limit))
            return errno;
        Fd file(place("f"), O_WRONLY | O_CREAT);
        EXPECT_EQ(pwrite(file, std::string(4096, 'x').data(), 4096, 98000), 2000);
        EXPECT_EQ(pwrite(file, "x", 1, 100000), -1);
        EXPECT_EQ(errno, EFBIG);
        EXPECT_EQ(ftruncate(file, 100001), -1);
        EXPECT_EQ(errno, EFBIG);
        return 0;
    });
    ASSERT_TRUE(writer.ends_within(20s)) << writer.where();
    EXPECT_EQ(writer.status(), 0);
    EXPECT_EQ(fs::file_size(place("f")), 100000u);
}

CLIENT_TEST(Behaviour, MappingsEndWhereTheFileEnds) {
    Place place(client);
    write_file(place("f"), std::string(5000, 'x'));
    auto touch = [&](std::size_t offset) {
        Task task("touch a mapping", [&, offset] {
            Fd file(place("f"), O_RDWR);
            auto *bytes = static_cast<volatile char *>(
                mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
            if (bytes == MAP_FAILED)
                return errno;
            bytes[offset] = 'y';
            return 0;
        });
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        return task.status();
    };
    EXPECT_EQ(touch(4999), 0);
    EXPECT_EQ(touch(8191), 0) << "in the last page";
    EXPECT_EQ(touch(8192), 128 + SIGBUS);
    std::string expected(5000, 'x');
    expected[4999] = 'y';
    EXPECT_EQ(difference(expected, read_file(place("f"))), "");
    // What was stored behind the end does not come out when the file grows; tmpfs lets it.
    if (std::string(client.type) == "tmpfs")
        return;
    ASSERT_EQ(truncate(place("f").c_str(), 8192), 0);
    EXPECT_EQ(difference(expected + std::string(3192, '\0'), read_file(place("f"))), "");
}

CLIENT_TEST(Behaviour, AMappingOutlivesItsNameAndItsDescriptor) {
    Place place(client);
    Fd file(place("f"), O_RDWR | O_CREAT);
    pwrite_all(file, std::string(8192, 'x'), 0);
    auto *bytes =
        static_cast<char *>(mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ASSERT_NE(static_cast<void *>(bytes), MAP_FAILED);
    file.reset();
    fs::rename(place("f"), place("g"));
    bytes[100] = 'a';
    ASSERT_EQ(msync(bytes, 8192, MS_SYNC), 0);
    EXPECT_EQ(read_file(place.backing("g"))[100], 'a');
    fs::remove(place("g"));
    bytes[5000] = 'b';
    EXPECT_EQ(madvise(bytes, 8192, MADV_DONTNEED), 0);
    EXPECT_EQ(bytes[100], 'a');
    EXPECT_EQ(bytes[5000], 'b');
    EXPECT_EQ(munmap(bytes, 8192), 0);
}

CLIENT_TEST(Behaviour, ProgramsRunAndAreNotWrittenMeanwhile) {
    Place place(client, {.mount_options = "default_permissions"});
    fs::copy_file("/bin/sleep", place("program"));
    check(chmod(place("program").c_str(), 0755), "chmod");
    Task runs("program on the mount", [&] {
        execl(place("program").c_str(), "program", "1000", nullptr);
        return errno;
    });
    auto runs_as = [&] {
        std::error_code error;
        return fs::read_symlink("/proc/" + std::to_string(runs.pid()) + "/exe", error).filename();
    };
    ASSERT_TRUE(wait_until(20s, [&] { return runs_as() == "program"; })) << runs.where();
    EXPECT_EQ(open(place("program").c_str(), O_WRONLY), -1);
    EXPECT_EQ(errno, ETXTBSY);
    fs::remove(place("program"));
    EXPECT_FALSE(runs.ends_within(100ms)) << "a program whose name is gone runs on";
    EXPECT_EQ(runs_as(), "program (deleted)");
    EXPECT_TRUE(runs.kill_within(20s)) << runs.where();
}
