// SPDX-License-Identifier: GPL-2.0-only
// What a server may ask for in FUSE_INIT, and what then changes: cached symbolic links, who drops
// cached data, shared mappings of direct files, direct writes side by side, the size of requests.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/capability.h"
#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/promise.h"
#include "support/protocol.h"
#include "support/raw_server.h"
#include "support/task.h"
#include "support/uring.h"

using namespace fusewb::test;
namespace fs = std::filesystem;

namespace {

// Return: whether the data was read from the server again after only mtime changed there.
bool mtime_drops_data(std::uint64_t flags, const std::string &name) {
    RawServer server({.writeback = false,
                      .valid_seconds = 0,
                      .open_flags = FOPEN_KEEP_CACHE,
                      .init_flags = flags,
                      .name = name});
    server.set_content("f", "content");
    std::atomic<std::uint64_t> mtime = 0;
    server.on(FUSE_GETATTR, [&](const Request &request) {
        if (request.header.nodeid == FUSE_ROOT_ID)
            return false;
        fuse_attr_out out{};
        out.attr = protocol::file_attributes(request.header.nodeid, 7, mtime);
        server.answer(request, bytes_of(out));
        return true;
    });
    Fd file(server.mnt("f"), O_RDONLY);
    EXPECT_EQ(pread_all(file, 7, 0), "content");
    server.set_content("f", "CHANGED");
    mtime = 1000;
    struct stat st;
    EXPECT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_mtime, 1000);
    return pread_all(file, 7, 0) == "CHANGED";
}

// Return: what is read of a file of which two pages are cached when it shrinks or grows at the
// server, where all of it is other data then.
std::string read_after_size_changed(const Client &client, std::uint64_t flags, std::size_t pages,
                                    const std::string &name) {
    RawServer server({.writeback = false,
                      .valid_seconds = 0,
                      .open_flags = FOPEN_KEEP_CACHE,
                      .init_flags = flags,
                      .name = name,
                      .type = client.type});
    server.set_content("f", std::string(8192, 'o'));
    Fd file(server.mnt("f"), O_RDONLY);
    // Page by page, so that the new end is in no folio that goes as a whole.
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    EXPECT_EQ(pread_all(file, 8192, 0), std::string(8192, 'o'));
    server.set_content("f", std::string(pages * 4096, 'n'));
    struct stat st;
    EXPECT_EQ(fstat(file, &st), 0);
    EXPECT_EQ(st.st_size, off_t(pages * 4096));
    return pread_all(file, 65536, 0);
}

// What docs/protocol.md says of each.
constexpr std::uint64_t offered_flags =
    FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC |
    FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE |
    FUSE_SPLICE_READ | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA |
    FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT |
    FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_MAX_PAGES |
    FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |
    FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | protocol::security_ctx |
    protocol::create_supp_group | protocol::has_expire_only | protocol::direct_io_allow_mmap |
    protocol::no_export_support | protocol::has_resend;

// The answer to FUSE_INIT of a server of 7.@minor: with what there was then.
std::function<std::string(fuse_init_out)> old(std::uint32_t minor) {
    return [minor](fuse_init_out out) {
        out.minor = minor;
        if (minor < 36)
            out.flags2 = 0;
        if (minor < 28)
            out.flags &= FUSE_ASYNC_READ | FUSE_BIG_WRITES;
        std::string bytes(bytes_of(out));
        if (minor < 23)
            bytes.resize(FUSE_COMPAT_22_INIT_OUT_SIZE);
        return bytes;
    };
}

// Writes one block of a file that exists.
std::function<int()> block_writer(RawServer &server, off_t offset) {
    return [&server, offset] {
        Fd file(server.mnt("f"), O_WRONLY);
        pwrite_all(file, std::string(4096, 'w'), offset);
        return 0;
    };
}

} // namespace

GUEST_TEST(Negotiated, SymbolicLinksAreKeptIfTheServerSaysSo) {
    needs_fusewb();
    for (bool cache : {true, false}) {
        RawServer server({.init_flags = cache ? std::uint64_t(FUSE_CACHE_SYMLINKS) : 0,
                          .name = cache ? "cache" : "ask"});
        std::string target = "somewhere";
        server.on(FUSE_LOOKUP, [&](const Request &request) {
            fuse_entry_out out{};
            out.nodeid = 99;
            out.attr_valid = out.entry_valid = 1000;
            out.attr = protocol::file_attributes(99, 9);
            out.attr.mode = S_IFLNK | 0777;
            server.answer(request, bytes_of(out));
            return true;
        });
        server.on(FUSE_READLINK, [&](const Request &request) {
            server.answer(request, target);
            return true;
        });
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(fs::read_symlink(server.mnt("link")), "somewhere");
        EXPECT_EQ(server.seen(FUSE_READLINK), cache ? 1u : 3u);
        target = "elsewhere";
        fuse_notify_inval_inode_out changed{99, 0, 0};
        EXPECT_EQ(server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(changed)), 0);
        server.on(FUSE_GETATTR, [&](const Request &request) {
            fuse_attr_out out{};
            out.attr = protocol::file_attributes(99, 9);
            out.attr.mode = S_IFLNK | 0777;
            server.answer(request, bytes_of(out));
            return true;
        });
        EXPECT_EQ(fs::read_symlink(server.mnt("link")), "elsewhere");
    }
}

GUEST_TEST(Negotiated, DataIsDroppedWithMtimeIfTheServerSaysSo) {
    needs_fusewb();
    EXPECT_TRUE(mtime_drops_data(FUSE_AUTO_INVAL_DATA, "auto"));
    EXPECT_FALSE(mtime_drops_data(0, "none"));
    EXPECT_FALSE(mtime_drops_data(FUSE_EXPLICIT_INVAL_DATA, "explicit"));
}

ON_CLIENTS(NegotiatedData, "fusewb", "fuse");

CLIENT_TEST(NegotiatedData, IsDroppedWithTheSizeOnlyBehindTheEndIfTheServerTellsWhatChanged) {
    auto read = [&](std::uint64_t flags, std::size_t pages, const char *name) {
        return read_after_size_changed(client, flags, pages, name);
    };
    std::string kept(8192, 'o');
    EXPECT_EQ(difference(kept + std::string(8192, 'n'),
                         read(FUSE_EXPLICIT_INVAL_DATA, 4, "explicit-grown")),
              "");
    EXPECT_EQ(difference(kept.substr(4096), read(FUSE_EXPLICIT_INVAL_DATA, 1, "explicit-shrunk")),
              "");
    EXPECT_EQ(difference(std::string(16384, 'n'), read(0, 4, "grown")), "");
    EXPECT_EQ(difference(std::string(4096, 'n'), read(0, 1, "shrunk")), "");
}

GUEST_TEST(Negotiated, SharedMappingsOfDirectFilesNeedTheServersWord) {
    needs_fusewb();
    for (bool allowed : {true, false}) {
        RawServer server({.open_flags = FOPEN_DIRECT_IO,
                          .init_flags = allowed ? protocol::direct_io_allow_mmap : 0,
                          .name = allowed ? "allowed" : "refused"});
        server.set_content("f", std::string(8192, 'x'));
        Fd file(server.mnt("f"), O_RDWR);
        void *map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        EXPECT_EQ(map != MAP_FAILED, allowed);
        if (map == MAP_FAILED) {
            EXPECT_EQ(errno, ENODEV);
            continue;
        }
        static_cast<char *>(map)[5000] = 'y';
        EXPECT_EQ(msync(map, 8192, MS_SYNC), 0);
        EXPECT_EQ(server.content("f")[5000], 'y');
        munmap(map, 8192);
    }
}

GUEST_TEST(Negotiated, TheseFlagsAreOfferedAndNoOthers) {
    needs_fusewb();
    RawServer server;
    ASSERT_TRUE(wait_until(10s, [&] { return server.offered() != 0; }));
    EXPECT_EQ(server.offered() & ~offered_flags, 0u) << std::hex << server.offered();
    EXPECT_EQ(offered_flags & ~server.offered(), 0u) << std::hex << server.offered();
}

GUEST_TEST(Negotiated, FlagsThatWereNotOfferedHaveNoEffect) {
    needs_fusewb();
    RawServer server({.valid_seconds = 0,
                      // FOPEN_PASSTHROUGH and what may follow it.
                      .open_flags = FOPEN_KEEP_CACHE | ~0xffu | 1u << 7,
                      .init = [](fuse_init_out out) {
                          std::size_t known = offsetof(fuse_init_out, flags2) + sizeof(out.flags2);
                          out.flags = out.flags2 = UINT32_MAX;
                          out.map_alignment = UINT16_MAX;
                          std::string bytes(bytes_of(out));
                          return bytes.replace(known, std::string::npos, bytes.size() - known,
                                               '\xff');
                      }});
    // A directory that is another mount there, of files that are mapped: DAX and SUBMOUNT.
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        if (request.name(0) != "below")
            return false;
        fuse_entry_out out{};
        out.nodeid = 99;
        out.attr_valid = 3600;
        out.attr = protocol::directory_attributes(99);
        out.attr.flags = UINT32_MAX;
        server.answer(request, bytes_of(out));
        return true;
    });
    server.on(FUSE_READDIRPLUS, [&](const Request &request) {
        fuse_direntplus entry{};
        entry.dirent.ino = 2;
        entry.dirent.off = entry.dirent.namelen = 1;
        entry.dirent.type = DT_REG;
        std::string bytes(bytes_of(entry));
        bytes.resize(FUSE_NAME_OFFSET_DIRENTPLUS);
        bytes += std::string("f\0\0\0\0\0\0\0", 8);
        server.answer(request, request.as<fuse_read_in>().offset ? std::string() : bytes);
        return true;
    });
    write_file(server.mnt("f"), "content");
    {
        Fd file(server.mnt("f"), O_RDWR);
        pwrite_all(file, "CON", 0);
        ASSERT_EQ(fsync(file), 0);
        drop_pages(file);
        EXPECT_EQ(pread_all(file, 7, 0), "CONtent");
        EXPECT_GE(server.seen(FUSE_READ), 1u) << "read past the server";
    }
    EXPECT_EQ(server.content("f"), "CONtent");
    std::vector<std::string> names;
    for (const auto &entry : fs::directory_iterator(server.mnt()))
        names.push_back(entry.path().filename());
    EXPECT_EQ(names, std::vector<std::string>{"f"});
    struct stat root, below;
    ASSERT_EQ(stat(server.mnt().c_str(), &root), 0);
    ASSERT_EQ(lstat(server.mnt("below").c_str(), &below), 0);
    EXPECT_EQ(root.st_dev, below.st_dev);
    struct statx stx;
    ASSERT_EQ(statx(AT_FDCWD, server.mnt("f").c_str(), 0, STATX_BASIC_STATS, &stx), 0);
    EXPECT_EQ(stx.stx_attributes & STATX_ATTR_DAX, 0u);
    EXPECT_NE(server.connection().writeback, unsigned(FUSEWB_WRITEBACK_THROUGH));
    ASSERT_EQ(unlink(server.mnt("f").c_str()), 0);
    // SETUPMAPPING, REMOVEMAPPING, SYNCFS.
    for (std::uint32_t opcode : {48, 49, 50})
        EXPECT_EQ(server.seen(opcode), 0u) << opcode;
    // ABORT_ERROR would be ECONNABORTED.
    server.mount().abort();
    std::string large(1 << 20, '\0');
    EXPECT_EQ(read(server.device(), large.data(), large.size()), -1);
    EXPECT_EQ(errno, ENODEV);
}

GUEST_TEST(Negotiated, LimitsThatCannotBeAreBroughtIntoRange) {
    needs_fusewb();
    struct {
        const char *name;
        std::function<void(fuse_init_out &)> spoil;
        std::uint32_t most;
        long nanoseconds;
    } cases[] = {
        {"write", [](fuse_init_out &out) { out.max_write = 0; }, 4096, 123456789},
        {"pages", [](fuse_init_out &out) { out.max_pages = 0; }, 4096, 123456789},
        {"most",
         [](fuse_init_out &out) {
             out.max_write = UINT32_MAX;
             out.max_pages = UINT16_MAX;
         },
         4 << 20, 123456789},
        {"second", [](fuse_init_out &out) { out.time_gran = 1000000000; }, 4 << 20, 0},
        {"time", [](fuse_init_out &out) { out.time_gran = 1000000001; }, 4 << 20, 123456789},
    };
    for (const auto &one : cases) {
        SCOPED_TRACE(one.name);
        RawServer server({.max_write = 4 << 20, .name = one.name, .init = [&](fuse_init_out out) {
                              one.spoil(out);
                              return std::string(bytes_of(out));
                          }});
        std::atomic<std::uint32_t> largest = 0;
        server.on(FUSE_WRITE, [&](const Request &request) {
            largest = std::max(largest.load(), request.as<fuse_write_in>().size);
            return false;
        });
        std::string data = pattern(65536, 1);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, data, 0);
        struct timespec times[2] = {{1, 123456789}, {1, 123456789}};
        ASSERT_EQ(futimens(file, times), 0);
        ASSERT_EQ(fsync(file), 0);
        drop_pages(file);
        EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
        EXPECT_EQ(difference(data, server.content("f")), "");
        EXPECT_EQ(server.connection().max_write, one.most);
        EXPECT_LE(largest, one.most);
        struct stat st;
        ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(st.st_mtim.tv_nsec, one.nanoseconds);
    }
}

// The answer was 24 bytes long before 7.23; what it lacks is zero.
GUEST_TEST(Negotiated, AnAnswerThatEndsEarlyIsTakenIfItHasWhatOldServersGave) {
    needs_fusewb();
    constexpr std::size_t most = sizeof(fuse_init_out);
    for (std::size_t size : {0ul, 8ul, 23ul, 24ul, 25ul, 63ul, most, most + 1}) {
        SCOPED_TRACE(size);
        RawServer server({.name = std::to_string(size), .init = [size](fuse_init_out out) {
                              std::string bytes(bytes_of(out));
                              bytes.resize(size);
                              return bytes;
                          }});
        struct stat st;
        EXPECT_EQ(stat(server.mnt("f").c_str(), &st), -1);
        EXPECT_EQ(errno, size < 24 || size > most ? ENOTCONN : ENOENT);
        if (errno == ENOTCONN)
            continue;
        write_file(server.mnt("f"), "content");
        EXPECT_EQ(server.content("f"), "content");
    }
}

GUEST_TEST(Negotiated, AVersionThatIsNotServedIsRefused) {
    needs_fusewb();
    for (auto [major, minor] : {std::pair{6u, 45u}, {8u, 0u}, {7u, 0u}, {7u, 11u}}) {
        SCOPED_TRACE(std::to_string(major) + "." + std::to_string(minor));
        RawServer server({.name = std::to_string(major) + "." + std::to_string(minor),
                          .init = [major, minor](fuse_init_out out) {
                              out.major = major;
                              out.minor = minor;
                              return std::string(bytes_of(out));
                          }});
        struct stat st;
        EXPECT_EQ(stat(server.mnt("f").c_str(), &st), -1);
        EXPECT_EQ(errno, ENOTCONN);
    }
}

GUEST_TEST(Negotiated, ServersOfOlderVersionsAreServed) {
    needs_fusewb();
    for (std::uint32_t minor : {12u, 15u, 16u, 22u, 38u}) {
        SCOPED_TRACE(minor);
        RawServer server({.writeback = false, .name = std::to_string(minor), .init = old(minor)});
        std::mutex mutex;
        std::map<std::uint64_t, std::uint64_t> forgotten;
        server.on(FUSE_FORGET, [&](const Request &request) {
            EXPECT_EQ(request.body.size(), sizeof(fuse_forget_in));
            std::lock_guard lock(mutex);
            forgotten[request.header.nodeid] += request.as<fuse_forget_in>().nlookup;
            return true;
        });
        constexpr unsigned files = 5;
        std::set<std::uint64_t> nodes;
        std::string data = pattern(300000, minor);
        for (unsigned i = 0; i < files; i++) {
            std::string name = "f" + std::to_string(i);
            Fd file(server.mnt(name), O_RDWR | O_CREAT);
            nodes.insert(server.node_of(name));
            pwrite_all(file, data, 0);
            ASSERT_EQ(fsync(file), 0);
            drop_pages(file);
            EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
            ASSERT_EQ(ftruncate(file, 100), 0);
            struct stat st;
            ASSERT_EQ(fstat(file, &st), 0);
            EXPECT_EQ(st.st_size, 100);
            EXPECT_EQ(file.reset(), 0);
            ASSERT_EQ(rename(server.mnt(name).c_str(), server.mnt("g").c_str()), 0);
            EXPECT_EQ(server.content("g"), data.substr(0, 100));
            ASSERT_EQ(unlink(server.mnt("g").c_str()), 0);
        }
        EXPECT_EQ(server.names(), std::set<std::string>{});
        EXPECT_EQ(server.connection().protocol_minor, minor);
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_MALFORMED], 0u);
        if (minor >= 16) {
            EXPECT_TRUE(wait_until(10s, [&] { return server.seen(FUSE_BATCH_FORGET) > 0; }));
            EXPECT_EQ(server.seen(FUSE_FORGET), 0u);
            continue;
        }
        EXPECT_TRUE(wait_until(10s, [&] {
            std::lock_guard lock(mutex);
            return forgotten.size() == files;
        }));
        EXPECT_EQ(server.seen(FUSE_BATCH_FORGET), 0u);
        std::lock_guard lock(mutex);
        for (auto node : nodes)
            EXPECT_EQ(forgotten[node], 1u) << "lookups of node " << node;
    }
}

// Before 7.13 the place of it had no meaning.
GUEST_TEST(Negotiated, WhatIsNotOfTheServersVersionIsNotTaken) {
    needs_fusewb();
    for (std::uint32_t minor : {12u, 13u}) {
        SCOPED_TRACE(minor);
        RawServer server(
            {.valid_seconds = 0, .name = std::to_string(minor), .init = [minor](fuse_init_out out) {
                 out.max_background = 1;
                 return old(minor)(out);
             }});
        server.set_content("f", "content");
        server.set_content("g", "content");
        server.hold(FUSE_READ);
        auto reader = [&](const char *name) {
            return [&server, name] {
                return pread_all(Fd(server.mnt(name), O_RDONLY), 7, 0) == "content" ? 0 : 1;
            };
        };
        Task first("read", reader("f")), second("read", reader("g"));
        ASSERT_TRUE(server.wait_held(FUSE_READ, minor < 13 ? 2 : 1));
        if (minor >= 13) {
            EXPECT_FALSE(wait_until(300ms, [&] { return server.held(FUSE_READ) > 1; }));
        }
        server.release(FUSE_READ);
        for (Task *task : {&first, &second}) {
            EXPECT_TRUE(task->ends_within(20s)) << task->where();
            EXPECT_EQ(task->status(), 0);
        }
    }
}

GUEST_TEST(Negotiated, TheDeviceKnowsNoFilesToPassThrough) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    EXPECT_EQ(read_file(server.mnt("f")), "content");
    write_file(scratch() / "backing", "backing");
    Fd file(scratch() / "backing", O_RDWR);
    // As in-tree: FUSE_DEV_IOC_BACKING_OPEN and _CLOSE.
    struct {
        std::int32_t fd;
        std::uint32_t flags;
        std::uint64_t padding;
    } map{file, 0, 0};
    std::uint32_t id = 1;
    EXPECT_EQ(ioctl(server.device(), _IOW(229, 1, decltype(map)), &map), -1);
    EXPECT_EQ(errno, ENOTTY);
    EXPECT_EQ(ioctl(server.device(), _IOW(229, 2, std::uint32_t), &id), -1);
    EXPECT_EQ(errno, ENOTTY);
    // FUSE_DEV_IOC_SYNC_INIT.
    EXPECT_EQ(ioctl(server.device(), _IO(229, 3)), -1);
    EXPECT_EQ(errno, ENOTTY);
    EXPECT_EQ(read_file(server.mnt("f")), "content");
}

GUEST_TEST(Negotiated, TheDeviceTakesNoCommandsOfIoUring) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Uring uring(1);
    uring.add(IORING_OP_URING_CMD, server.device(), nullptr, 0, 0, 1);
    EXPECT_EQ(uring.submit_and_wait().at(1), -EOPNOTSUPP);
    EXPECT_EQ(read_file(server.mnt("f")), "content");
}

GUEST_TEST(Negotiated, TheModuleHasOneDeviceAndNoneOfCharacterDevices) {
    needs_fusewb();
    auto ours = [](const std::string &list) {
        std::istringstream lines(read_file(list));
        std::vector<std::string> names;
        for (std::string number, name; lines >> number >> name;)
            if (name.find("fusewb") != std::string::npos)
                names.push_back(name);
        return names;
    };
    EXPECT_EQ(ours("/proc/misc"), std::vector<std::string>{"fusewb"});
    std::vector<std::string> classes;
    for (const auto &of_class : fs::directory_iterator("/sys/class"))
        for (const auto &device : fs::directory_iterator(of_class))
            // A mount has one among those of writeback.
            if (device.path().filename().string().find("fusewb") != std::string::npos &&
                of_class.path().filename() != "bdi")
                classes.push_back(of_class.path().filename());
    EXPECT_EQ(classes, std::vector<std::string>{"misc"});
    EXPECT_EQ(read_file("/proc/devices").find("fusewb"), std::string::npos);
}

GUEST_TEST(Negotiated, NobodyIsToldOfBlocksOfADevice) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDONLY);
    int block = 0;
    EXPECT_EQ(ioctl(file, FIBMAP, &block), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(server.seen(FUSE_BMAP) + server.seen(FUSE_IOCTL), 0u);
}

GUEST_TEST(Negotiated, ReadingWhatIsCachedLeavesTheTimeOfTheLastRead) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    std::atomic<std::uint64_t> atime = 1000;
    server.on(FUSE_GETATTR, [&](const Request &request) {
        if (request.header.nodeid == FUSE_ROOT_ID)
            return false;
        fuse_attr_out out{};
        out.attr_valid = 3600;
        // Older than the last change, so that a mount of any options would change it.
        out.attr = protocol::file_attributes(request.header.nodeid, 7, 5000);
        out.attr.atime = atime;
        server.answer(request, bytes_of(out));
        return true;
    });
    Fd file(server.mnt("f"), O_RDWR);
    auto last_read = [&](int flags) {
        struct statx stx;
        EXPECT_EQ(statx(file, "", AT_EMPTY_PATH | flags, STATX_ATIME, &stx), 0);
        return stx.stx_atime.tv_sec;
    };
    ASSERT_EQ(last_read(AT_STATX_FORCE_SYNC), 1000);
    EXPECT_EQ(pread_all(file, 7, 0), "content");
    std::size_t asked = server.seen(FUSE_GETATTR);
    EXPECT_EQ(pread_all(file, 7, 0), "content");
    EXPECT_EQ(server.seen(FUSE_READ), 1u) << "it was not cached";
    EXPECT_EQ(last_read(0), 1000);
    EXPECT_EQ(server.seen(FUSE_GETATTR), asked);
    atime = 6000;
    EXPECT_EQ(last_read(AT_STATX_FORCE_SYNC), 6000);
    ASSERT_EQ(file.reset(), 0);
    EXPECT_EQ(server.seen(FUSE_SETATTR), 0u);
}

GUEST_TEST(Negotiated, DirectWritesRunSideBySideIfTheServerSaysSo) {
    needs_fusewb();
    for (bool parallel : {true, false}) {
        RawServer server({.open_flags = FOPEN_DIRECT_IO |
                                        (parallel ? unsigned(FOPEN_PARALLEL_DIRECT_WRITES) : 0u),
                          .name = parallel ? "parallel" : "serial"});
        server.set_content("f", std::string(65536, 'x'));
        server.hold(FUSE_WRITE);
        Task first("write", block_writer(server, 0)), second("write", block_writer(server, 8192));
        Task same("write of the same bytes", block_writer(server, 0));
        ASSERT_TRUE(server.wait_held(FUSE_WRITE, parallel ? 2 : 1));
        EXPECT_FALSE(
            wait_until(300ms, [&] { return server.held(FUSE_WRITE) > (parallel ? 2u : 1u); }));
        server.release(FUSE_WRITE);
        for (Task *task : {&first, &second, &same})
            EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(server.content("f").substr(8192, 4096), std::string(4096, 'w'));
        EXPECT_EQ(server.overlaps(), std::vector<std::string>{});
    }
}

GUEST_TEST(Negotiated, ADirectWriteThatTakesCapabilitiesAwayRunsAlone) {
    needs_fusewb();
    RawServer server({.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES});
    server.set_content("f", std::string(65536, 'x'));
    std::atomic<bool> capable = true;
    serve_capability(server, capable);
    server.hold(FUSE_REMOVEXATTR);
    Task first("write", block_writer(server, 0)), second("write", block_writer(server, 8192));
    ASSERT_TRUE(server.wait_held(FUSE_REMOVEXATTR, 1));
    EXPECT_FALSE(wait_until(300ms, [&] { return server.held(FUSE_REMOVEXATTR) > 1; }));
    EXPECT_EQ(server.seen(FUSE_WRITE), 0u) << "before they were gone";
    capable = false;
    server.refuse_held(FUSE_REMOVEXATTR, 0);
    for (Task *task : {&first, &second}) {
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
    EXPECT_EQ(server.seen(FUSE_REMOVEXATTR), 1u);
}

GUEST_TEST(Negotiated, OpeningTruncatesByItselfIfTheServerSaysSo) {
    needs_fusewb();
    for (bool atomic : {true, false}) {
        RawServer server({.init_flags = atomic ? std::uint64_t(FUSE_ATOMIC_O_TRUNC) : 0,
                          .name = atomic ? "atomic" : "apart"});
        server.set_content("f", "content");
        std::atomic<std::uint32_t> flags = 0;
        server.on(FUSE_OPEN, [&](const Request &request) {
            flags |= request.as<fuse_open_in>().flags;
            if (request.as<fuse_open_in>().flags & O_TRUNC)
                server.set_content("f", "");
            return false;
        });
        Fd file(server.mnt("f"), O_RDWR | O_TRUNC);
        EXPECT_EQ(!!(flags & O_TRUNC), atomic);
        EXPECT_EQ(server.seen(FUSE_SETATTR) > 0, !atomic);
        EXPECT_EQ(pread_all(file, 10, 0), "");
        EXPECT_EQ(server.content("f"), "");
    }
}

GUEST_TEST(Negotiated, RequestsAreAsLargeAsTheServerTakes) {
    needs_fusewb();
    for (std::uint32_t most : {4096u, 131072u, 1048576u, 4194304u}) {
        RawServer server({.max_write = most, .name = std::to_string(most)});
        lift_dirty_limit(server.mnt());
        std::atomic<std::uint32_t> largest = 0;
        auto note = [&](std::uint32_t size) { largest = std::max(largest.load(), size); };
        server.on(FUSE_WRITE, [&](const Request &request) {
            note(request.as<fuse_write_in>().size);
            return false;
        });
        std::string data = pattern(std::max(3u << 20, 2 * most), most);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        // What a connection may keep dirty grows with what its server answers.
        for (int i = 0; i < 100 && largest < most; i++) {
            pwrite_all(file, data, 0);
            ASSERT_EQ(fsync(file), 0);
        }
        EXPECT_EQ(largest, most);
        EXPECT_EQ(difference(data, server.content("f")), "");
    }
}

GUEST_TEST(Negotiated, ASecondDescriptorOfTheDeviceServesTheSameMount) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    ASSERT_TRUE(wait_until(10s, [&] { return server.offered() != 0; }));
    Fd clone = open_device();
    std::uint32_t original = static_cast<std::uint32_t>(server.device());
    ASSERT_EQ(ioctl(clone, FUSE_DEV_IOC_CLONE, &original), 0) << errno;
    EXPECT_EQ(ioctl(clone, FUSE_DEV_IOC_CLONE, &original), -1) << "cloned twice";
    server.pause();
    Task reader("stat", [&] {
        struct stat st;
        return stat(server.mnt("f").c_str(), &st) ? errno : 0;
    });
    // The request is read, and has to be answered, here.
    std::string buffer(1 << 20, '\0');
    ssize_t n = read(clone, buffer.data(), buffer.size());
    ASSERT_GT(n, ssize_t(sizeof(fuse_in_header))) << errno;
    fuse_in_header header;
    std::memcpy(&header, buffer.data(), sizeof(header));
    EXPECT_EQ(header.opcode, unsigned(FUSE_LOOKUP));
    struct {
        fuse_out_header header;
        fuse_entry_out entry;
    } out{};
    out.header = {sizeof(out), 0, header.unique};
    out.entry.nodeid = 100;
    out.entry.attr_valid = 3600;
    out.entry.attr = protocol::file_attributes(100, 7);
    EXPECT_EQ(write(clone, &out, sizeof(out)), ssize_t(sizeof(out))) << errno;
    EXPECT_TRUE(reader.ends_within(20s)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
    server.resume();
}
