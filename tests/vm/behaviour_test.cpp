// SPDX-License-Identifier: GPL-2.0-only
// What programs expect of any file system. The same tests pass on the in-tree client
// (FUSEWB_TEST_FS=fuse) with the same server.
#include <algorithm>
#include <cerrno>
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
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
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

} // namespace

GUEST_TEST(Behaviour, AppendsOfSeveralProcessesAreAllThere) {
    Passthrough server;
    write_file(server.mnt("log"), "");
    std::list<Task> writers;
    for (char letter : {'a', 'b', 'c', 'd'})
        writers.emplace_back("append", [&, letter] {
            Fd file(server.mnt("log"), O_WRONLY | O_APPEND);
            for (int i = 0; i < 200; i++)
                if (write(file, std::string(100, letter).data(), 100) != 100)
                    return errno;
            return 0;
        });
    for (auto &writer : writers) {
        ASSERT_TRUE(writer.ends_within(60s)) << writer.where();
        EXPECT_EQ(writer.status(), 0);
    }
    std::string log = read_file(server.mnt("log"));
    ASSERT_EQ(log.size(), 80000u);
    for (std::size_t at = 0; at < log.size(); at += 100)
        EXPECT_EQ(log.substr(at, 100), std::string(100, log[at])) << at;
    for (char letter : {'a', 'b', 'c', 'd'})
        EXPECT_EQ(std::count(log.begin(), log.end(), letter), 20000);
    EXPECT_EQ(difference(log, read_file(server.backing("log"))), "");
}

GUEST_TEST(Behaviour, AFileOfFiveGibibytesHoldsWhatIsAtItsEnds) {
    Passthrough server;
    constexpr off_t end = off_t(5) << 30;
    Fd file(server.mnt("big"), O_RDWR | O_CREAT);
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

GUEST_TEST(Behaviour, MappingsOfTwoProcessesAreOneMemoryUnlessTheyArePrivate) {
    Passthrough server;
    write_file(server.mnt("f"), std::string(8192, 'x'));
    Fd file(server.mnt("f"), O_RDWR);
    auto map = [&](int flags) {
        void *memory = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, flags, file, 0);
        EXPECT_NE(memory, MAP_FAILED);
        return static_cast<char *>(memory);
    };
    char *shared = map(MAP_SHARED), *mine = map(MAP_PRIVATE);
    mine[1] = 'p';
    Task other("store to a mapping", [&] {
        Fd again(server.mnt("f"), O_RDWR);
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
    EXPECT_EQ(read_file(server.backing("f"))[5000], 's');
    munmap(shared, 8192);
    munmap(mine, 8192);
}

GUEST_TEST(Behaviour, WatchersHearOfWhatIsDoneThroughTheMount) {
    Passthrough server;
    Fd inotify(inotify_init1(IN_NONBLOCK));
    ASSERT_GE(inotify_add_watch(inotify, server.mnt().c_str(),
                                IN_CREATE | IN_MODIFY | IN_MOVE | IN_DELETE | IN_ATTRIB),
              0);
    write_file(server.mnt("a"), "x");
    ASSERT_EQ(chmod(server.mnt("a").c_str(), 0600), 0);
    fs::rename(server.mnt("a"), server.mnt("b"));
    fs::remove(server.mnt("b"));
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

GUEST_TEST(Behaviour, LeasesAreBrokenByWhoOpensTheFile) {
    Passthrough server;
    write_file(server.mnt("f"), "x");
    Fd file(server.mnt("f"), O_RDONLY);
    signal(SIGIO, SIG_IGN);
    ASSERT_EQ(fcntl(file, F_SETLEASE, F_RDLCK), 0) << errno;
    EXPECT_EQ(fcntl(file, F_GETLEASE), F_RDLCK);
    Task other("open for writing", [&] {
        int fd = open(server.mnt("f").c_str(), O_WRONLY | O_NONBLOCK);
        return fd < 0 ? errno : 0;
    });
    ASSERT_TRUE(other.ends_within(20s)) << other.where();
    EXPECT_EQ(other.status(), EWOULDBLOCK);
    ASSERT_EQ(fcntl(file, F_SETLEASE, F_UNLCK), 0);
}

GUEST_TEST(Behaviour, PathsMayBeDeepAndNamesOfAnyBytes) {
    Passthrough server;
    fs::path deep = server.mnt(), backing = server.backing();
    for (int depth = 0; depth < 100; depth++) {
        deep /= "level-" + std::to_string(depth);
        backing /= "level-" + std::to_string(depth);
    }
    fs::create_directories(deep);
    write_file(deep / "f", "deep");
    EXPECT_EQ(read_file(backing / "f"), "deep");
    fs::remove_all(server.mnt("level-0"));
    EXPECT_EQ(names_in(server.backing()).size(), 0u);

    std::set<std::string> names;
    for (int byte = 1; byte < 256; byte++)
        if (byte != '/' && byte != '.')
            names.insert(std::string(1, static_cast<char>(byte)));
    names.insert({"\xff\xfe\x80", "\xc3\x28", " ", "a\nb", std::string(255, '\x81')});
    for (const auto &name : names)
        write_file(server.mnt(name), name);
    EXPECT_EQ(names_in(server.mnt()), names);
    EXPECT_EQ(names_in(server.backing()), names);
    for (const auto &name : names)
        EXPECT_EQ(read_file(server.mnt(name)), name);
}

GUEST_TEST(Behaviour, StormsOfNamesLeaveWhatTheServerHas) {
    Passthrough server;
    fs::create_directory(server.mnt("d"));
    std::list<Task> storm;
    for (unsigned seed = 0; seed < 4; seed++)
        storm.emplace_back("create, rename, unlink", [&, seed] {
            unsigned random = seed + 1;
            for (int i = 0; i < 400; i++) {
                random = random * 1103515245 + 12345;
                fs::path one = server.mnt("d/" + std::to_string(random >> 16 & 15));
                fs::path two = server.mnt("d/" + std::to_string(random >> 20 & 15));
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
    EXPECT_EQ(names_in(server.mnt("d")), names_in(server.backing("d")));
    for (const auto &name : names_in(server.backing("d"))) {
        struct stat through, there;
        EXPECT_EQ(stat(server.mnt("d/" + name).c_str(), &through), 0) << name;
        EXPECT_EQ(stat(server.backing("d/" + name).c_str(), &there), 0) << name;
        EXPECT_EQ(through.st_ino, there.st_ino) << name;
    }
    fs::remove_all(server.mnt("d"));
    EXPECT_FALSE(fs::exists(server.backing("d")));
}

GUEST_TEST(Behaviour, FreezingIsRefused) {
    Passthrough server;
    Fd directory(server.mnt(), O_RDONLY | O_DIRECTORY);
    EXPECT_EQ(ioctl(directory, FIFREEZE, 0), -1);
    EXPECT_EQ(errno, EOPNOTSUPP);
    write_file(server.mnt("f"), "x");
}

GUEST_TEST(Behaviour, OverlayfsReadsItsLowerLayerFromIt) {
    Passthrough server;
    fs::path base = scratch() / "overlay";
    for (const char *name : {"upper", "work", "merged"})
        fs::create_directories(base / name);
    write_file(server.mnt("both"), "lower");
    write_file(server.mnt("lower-only"), std::string(100000, 'l'));
    std::string options = "lowerdir=" + server.mnt().string() +
                          ",upperdir=" + (base / "upper").string() +
                          ",workdir=" + (base / "work").string();
    if (mount("overlay", (base / "merged").c_str(), "overlay", 0, options.c_str())) {
        if (errno == ENODEV)
            throw Skip("the kernel has no overlayfs");
        check(-1, "mount of the overlay");
    }
    EXPECT_EQ(read_file(base / "merged/lower-only"), std::string(100000, 'l'));
    write_file(base / "merged/both", "upper");
    EXPECT_EQ(read_file(base / "merged/both"), "upper");
    EXPECT_EQ(read_file(server.mnt("both")), "lower");
    fs::remove(base / "merged/lower-only");
    EXPECT_EQ(names_in(base / "merged"), (std::set<std::string>{"both"}));
    EXPECT_EQ(names_in(server.mnt()), (std::set<std::string>{"both", "lower-only"}));
    EXPECT_EQ(umount2((base / "merged").c_str(), 0), 0);
}
