// SPDX-License-Identifier: GPL-2.0-only
// Operations on ranges of a file are the server's, and what is cached or in flight here never
// shows through: fallocate, copy_file_range, SEEK_DATA; and the younger ways to make and look at
// a file: O_TMPFILE and statx.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

namespace {

int allocate(int fd, int mode, off_t offset, off_t length) {
    return fallocate(fd, mode, offset, length) ? errno : 0;
}

// What a server does that can punch and zero.
void carry_out_fallocate(RawServer &server, const std::string &name, const Request &request) {
    auto in = request.as<fuse_fallocate_in>();
    std::string data = server.content(name);
    std::size_t end = in.offset + in.length;
    if (!(in.mode & FALLOC_FL_KEEP_SIZE) && data.size() < end)
        data.resize(end);
    if (in.mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        for (std::size_t at = in.offset; at < std::min(end, data.size()); at++)
            data[at] = '\0';
    server.set_content(name, data);
    server.answer(request, {});
}

std::string zeroed(std::string data, std::size_t offset, std::size_t length) {
    std::fill_n(data.begin() + static_cast<long>(offset), length, '\0');
    return data;
}

} // namespace

GUEST_TEST(Fallocate, PunchedAndZeroedRangesReadAsZeroWhateverWasCached) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        RawServer server({.writeback = writeback, .name = writeback ? "w" : "t"});
        server.on(FUSE_FALLOCATE, [&](const Request &request) {
            carry_out_fallocate(server, "f", request);
            return true;
        });
        std::string data = pattern(300000, 1);
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, data, 0);
        ASSERT_EQ(allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 70000), 0);
        data = zeroed(data, 5000, 70000);
        EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
        // Dirty again, then zeroed: what is dirty around it is kept.
        pwrite_all(file, pattern(200000, 2), 50000);
        data.replace(50000, 200000, pattern(200000, 2));
        ASSERT_EQ(allocate(file, FALLOC_FL_ZERO_RANGE, 60001, 100000), 0);
        data = zeroed(data, 60001, 100000);
        EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(data, server.content("f")), "");
        drop_pages(file);
        EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
        EXPECT_EQ(server.overlaps(), std::vector<std::string>{});
    }
}

ON_CLIENTS(PunchedHole, "fusewb", "fuse");

// They are their owner's, whatever becomes of the file below.
CLIENT_TEST(PunchedHole, LeavesPrivateCopiesToTheirOwner) {
    RawServer server({.type = client.type});
    server.on(FUSE_FALLOCATE, [&](const Request &request) {
        carry_out_fallocate(server, "f", request);
        return true;
    });
    constexpr std::size_t page = 4096, length = 4 * page;
    server.set_content("f", pattern(length, 1));
    Fd file(server.mnt("f"), O_RDWR);
    auto *mapped =
        static_cast<char *>(mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
    ASSERT_NE(mapped, MAP_FAILED);
    for (int mode : {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE}) {
        mapped[page] = 'x';
        ASSERT_EQ(allocate(file, mode, 0, length), 0);
        EXPECT_EQ(mapped[page], 'x') << mode;
        EXPECT_EQ(mapped[0], '\0') << mode;
        EXPECT_EQ(mapped[3 * page], '\0') << mode;
    }
    munmap(mapped, length);
}

GUEST_TEST(Fallocate, TheEndOfTheFileMovesUnlessItIsToStay) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        RawServer server({.writeback = writeback, .name = writeback ? "w" : "t"});
        server.on(FUSE_FALLOCATE, [&](const Request &request) {
            carry_out_fallocate(server, "f", request);
            return true;
        });
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, "data", 0);
        struct stat st;
        ASSERT_EQ(allocate(file, FALLOC_FL_KEEP_SIZE, 0, 10000), 0);
        ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(st.st_size, 4);
        ASSERT_EQ(allocate(file, 0, 100, 10000), 0);
        ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(st.st_size, 10100);
        EXPECT_EQ(
            difference(std::string("data") + std::string(10096, '\0'), pread_all(file, 20000, 0)),
            "");
        // Punched at the end, where the server had not seen any data yet: the end stays.
        pwrite_all(file, pattern(50000, 3), 20000);
        ASSERT_EQ(allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 40000, 90000), 0);
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(server.content("f").size(), 70000u);
        ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(st.st_size, 70000);
    }
}

GUEST_TEST(Fallocate, AZeroedRangeMovesTheEndOfTheFileUnlessItIsToStay) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        RawServer server({.writeback = writeback, .name = writeback ? "w" : "t"});
        std::uint32_t mode = 0;
        server.on(FUSE_FALLOCATE, [&](const Request &request) {
            mode = request.as<fuse_fallocate_in>().mode;
            carry_out_fallocate(server, "f", request);
            return true;
        });
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        auto expect_data = [&](const std::string &data) {
            struct stat st;
            ASSERT_EQ(fstat(file, &st), 0);
            EXPECT_EQ(st.st_size, off_t(data.size()));
            EXPECT_EQ(difference(data, pread_all(file, data.size() + 100, 0)), "");
            ASSERT_EQ(fsync(file), 0);
            EXPECT_EQ(difference(data, server.content("f")), "");
        };
        std::string data = pattern(10000, 1);
        pwrite_all(file, data, 0);
        ASSERT_EQ(allocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 5000, 20000), 0);
        EXPECT_EQ(mode, unsigned(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE));
        data = zeroed(data, 5000, 5000);
        expect_data(data);
        // Behind the end as a whole.
        ASSERT_EQ(allocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 50000, 5000), 0);
        expect_data(data);
        data.replace(5000, 5000, pattern(5000, 2));
        pwrite_all(file, pattern(5000, 2), 5000);
        ASSERT_EQ(allocate(file, FALLOC_FL_ZERO_RANGE, 8000, 20000), 0);
        EXPECT_EQ(mode, unsigned(FALLOC_FL_ZERO_RANGE));
        data.resize(8000);
        data.resize(28000, '\0');
        EXPECT_EQ(server.content("f").size(), data.size()) << "before any fsync";
        expect_data(data);
        ASSERT_EQ(allocate(file, FALLOC_FL_ZERO_RANGE, 40000, 1000), 0);
        data.resize(41000, '\0');
        EXPECT_EQ(server.content("f").size(), data.size()) << "before any fsync";
        expect_data(data);
    }
}

GUEST_TEST(Fallocate, ModesAndServersWithoutItAreRefused) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    EXPECT_EQ(allocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(allocate(file, FALLOC_FL_INSERT_RANGE, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(allocate(file, FALLOC_FL_UNSHARE_RANGE, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(allocate(file, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(server.seen(FUSE_FALLOCATE), 0u);
    EXPECT_EQ(allocate(file, 0, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(allocate(file, 0, 0, 4096), EOPNOTSUPP);
    EXPECT_EQ(server.seen(FUSE_FALLOCATE), 1u);
}

GUEST_TEST(Fallocate, IsNotTakenForMissingWhenAnotherOperationIs) {
    needs_fusewb();
    for (std::uint32_t missing : {FUSE_SETATTR, FUSE_GETATTR}) {
        SCOPED_TRACE(missing);
        RawServer server({.writeback = false,
                          .mount_options = "allow_other",
                          .valid_seconds = 0,
                          .name = std::to_string(missing)});
        server.set_content("f", "content");
        server.set_content("g", "content");
        ASSERT_EQ(chmod(server.mnt("f").c_str(), 04777), 0);
        server.on(FUSE_FALLOCATE, [&](const Request &request) {
            server.answer(request, {});
            return true;
        });
        Fd file(server.mnt("f"), O_RDWR), other(server.mnt("g"), O_RDWR);
        server.on(missing, [&](const Request &request) {
            server.answer_error(request, ENOSYS);
            return true;
        });
        Task task("fallocate as nobody", [&] {
            become_nobody();
            return allocate(file, FALLOC_FL_KEEP_SIZE, 0, 4096);
        });
        ASSERT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), ENOSYS);
        EXPECT_EQ(server.seen(FUSE_FALLOCATE), 0u);
        server.on(missing, [](const Request &) { return false; });
        EXPECT_EQ(allocate(other, FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
        EXPECT_EQ(server.seen(FUSE_FALLOCATE), 1u);
    }
}

GUEST_TEST(Fallocate, WritesOfTheRangeComeAfterIt) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string data = pattern(65536, 1);
    pwrite_all(file, data, 0);
    ASSERT_EQ(fsync(file), 0);
    server.hold(FUSE_FALLOCATE);
    Task punch("fallocate", [&] {
        return allocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 32768);
    });
    ASSERT_TRUE(server.wait_held(FUSE_FALLOCATE, 1)) << punch.where();
    std::size_t writes = server.seen(FUSE_WRITE);
    // Killed, it is still with the server, which may carry it out at any time.
    ASSERT_TRUE(punch.kill_within(20s)) << punch.where();
    Task rewrite("write and fsync", [&] {
        Fd again(server.mnt("f"), O_RDWR);
        pwrite_all(again, pattern(4096, 2), 4096);
        return fsync(again) ? errno : 0;
    });
    EXPECT_FALSE(rewrite.ends_within(500ms)) << "did not wait for the FALLOCATE";
    EXPECT_EQ(server.seen(FUSE_WRITE), writes);
    server.on(FUSE_FALLOCATE, [](const Request &) { return false; });
    server.release(FUSE_FALLOCATE);
    ASSERT_TRUE(rewrite.ends_within(20s)) << rewrite.where();
    EXPECT_EQ(rewrite.status(), 0);
    EXPECT_EQ(server.content("f").substr(4096, 4096), pattern(4096, 2));
}

GUEST_TEST(Truncate, WhatIsWrittenAfterAKilledOneIsNotCutOff) {
    needs_fusewb();
    for (bool opening : {true, false}) {
        std::uint32_t opcode = opening ? FUSE_OPEN : FUSE_SETATTR;
        RawServer server({.init_flags = opening ? std::uint64_t(FUSE_ATOMIC_O_TRUNC) : 0,
                          .name = opening ? "open" : "truncate"});
        server.set_content("f", pattern(65536, 1));
        Fd again(server.mnt("f"), O_RDWR);
        server.hold(opcode);
        Task truncating("truncation", [&] {
            if (!opening)
                return ftruncate(again, 0) ? errno : 0;
            Fd file(server.mnt("f"), O_RDWR | O_TRUNC);
            return 0;
        });
        ASSERT_TRUE(server.wait_held(opcode, 1)) << truncating.where();
        // Killed, it is still with the server, which may carry it out at any time.
        ASSERT_TRUE(truncating.kill_within(20s)) << truncating.where();
        Task rewrite("write and fsync", [&] {
            pwrite_all(again, pattern(4096, 2), 4096);
            return fdatasync(again) ? errno : 0;
        });
        EXPECT_FALSE(rewrite.ends_within(500ms)) << "did not wait for the truncation";
        EXPECT_EQ(server.seen(FUSE_WRITE), 0u);
        if (opening)
            server.set_content("f", "");
        server.release(opcode);
        ASSERT_TRUE(rewrite.ends_within(20s)) << rewrite.where();
        EXPECT_EQ(rewrite.status(), 0);
        EXPECT_EQ(difference(server.content("f"), std::string(4096, '\0') + pattern(4096, 2)), "");
        struct stat st;
        ASSERT_EQ(fstat(again, &st), 0);
        EXPECT_EQ(st.st_size, 8192);
        drop_pages(again);
        EXPECT_EQ(difference(pread_all(again, 8192, 0), server.content("f")), "");
        if (opening) {
            EXPECT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_RELEASE) == 1; }))
                << "what the late answer opened stays open";
        }
    }
}

GUEST_TEST(Truncate, MovesTheEndThoughItsTaskWasKilled) {
    needs_fusewb();
    struct {
        const char *what;
        bool opening;
        off_t end;
        bool refused = false;
    } ways[] = {{"open", true, 0},
                {"down", false, 5000},
                {"up", false, 90000},
                {"refused", false, 0, true}};
    for (const auto &way : ways) {
        SCOPED_TRACE(way.what);
        std::uint32_t opcode = way.opening ? FUSE_OPEN : FUSE_SETATTR;
        RawServer server(
            {.init_flags = way.opening ? std::uint64_t(FUSE_ATOMIC_O_TRUNC) : 0, .name = way.what});
        std::string model = pattern(65536, 1);
        server.set_content("f", model);
        Fd file(server.mnt("f"), O_RDWR), appending(server.mnt("f"), O_WRONLY | O_APPEND);
        EXPECT_EQ(pread_all(file, model.size(), 0), model);
        server.hold(opcode);
        Task truncating("truncation", [&] {
            if (!way.opening)
                return ftruncate(file, way.end) ? errno : 0;
            Fd again(server.mnt("f"), O_RDWR | O_TRUNC);
            return 0;
        });
        ASSERT_TRUE(server.wait_held(opcode, 1)) << truncating.where();
        ASSERT_TRUE(truncating.kill_within(20s)) << truncating.where();
        auto size = [&] {
            struct stat st;
            check(fstat(file, &st), "fstat");
            return std::size_t(st.st_size);
        };
        EXPECT_EQ(size(), model.size());
        if (way.refused)
            server.refuse_held(opcode, EPERM);
        else
            model.resize(way.end);
        if (way.opening)
            server.set_content("f", "");
        server.release(opcode);
        EXPECT_TRUE(wait_until(10s, [&] { return size() == model.size(); })) << size();
        EXPECT_EQ(difference(model, pread_all(file, 100000, 0)), "");
        model += "appended";
        ASSERT_EQ(write(appending, "appended", 8), 8);
        EXPECT_EQ(size(), model.size());
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, server.content("f")), "");
        drop_pages(file);
        EXPECT_EQ(difference(model, pread_all(file, 100000, 0)), "");
    }
}

// By a task that was killed before the server had done it.
GUEST_TEST(EndOfFile, MovesWithWhatIsDoneLate) {
    needs_fusewb();
    alignas(4096) static char bytes[4096];
    struct {
        const char *what;
        std::uint32_t opcode;
        std::function<int(const RawServer &, int)> grow;
    } ways[] = {
        {"fallocate", FUSE_FALLOCATE,
         [](const RawServer &, int fd) { return allocate(fd, 0, 4096, 4096); }},
        {"zeroed", FUSE_FALLOCATE,
         [](const RawServer &, int fd) { return allocate(fd, FALLOC_FL_ZERO_RANGE, 4096, 4096); }},
        {"direct", FUSE_WRITE,
         [](const RawServer &server, int) {
             Fd direct(server.mnt("f"), O_WRONLY | O_DIRECT);
             return pwrite(direct, bytes, 4096, 4096) < 0 ? errno : 0;
         }},
        {"copy", protocol::copy_file_range_64,
         [](const RawServer &, int fd) {
             off64_t from = 0, to = 4096;
             return copy_file_range(fd, &from, fd, &to, 4096, 0) < 0 ? errno : 0;
         }},
    };
    for (const auto &way : ways) {
        SCOPED_TRACE(way.what);
        RawServer server({.name = way.what});
        std::string model = pattern(4096, 1);
        server.set_content("f", model);
        Fd file(server.mnt("f"), O_RDWR), appending(server.mnt("f"), O_WRONLY | O_APPEND);
        server.hold(way.opcode);
        Task growing("growing", [&] { return way.grow(server, file); });
        ASSERT_TRUE(server.wait_held(way.opcode, 1)) << growing.where();
        ASSERT_TRUE(growing.kill_within(20s)) << growing.where();
        model.resize(8192);
        for (const Request &request : server.lose(way.opcode)) {
            server.set_content("f", model);
            std::uint64_t count = 4096;
            fuse_write_out out{4096, 0};
            if (way.opcode == FUSE_FALLOCATE)
                server.answer(request, {});
            else if (way.opcode == FUSE_WRITE)
                server.answer(request, bytes_of(out));
            else
                server.answer(request, bytes_of(count));
        }
        struct stat st;
        EXPECT_TRUE(wait_until(10s, [&] {
            return fstat(file, &st) == 0 && std::size_t(st.st_size) == model.size();
        })) << st.st_size;
        model += "appended";
        ASSERT_EQ(write(appending, "appended", 8), 8);
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, server.content("f")), "");
        EXPECT_EQ(difference(model, pread_all(file, 100000, 0)), "");
    }
}

// The end is where the server's file ends once that is written back.
GUEST_TEST(Truncate, OfAKilledTaskLeavesWhatIsWrittenBehindTheEndMeanwhile) {
    needs_fusewb();
    for (bool mapped : {false, true}) {
        RawServer server({.name = mapped ? "mapped" : "written"});
        constexpr std::size_t page = 4096;
        std::string model = pattern(16 * page, 1);
        server.set_content("f", model);
        Fd file(server.mnt("f"), O_RDWR);
        auto *map = static_cast<char *>(
            mmap(nullptr, model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
        ASSERT_NE(map, MAP_FAILED);
        EXPECT_EQ(difference(model, {map, model.size()}), "");
        server.hold(FUSE_SETATTR);
        Task truncating("truncation", [&] { return ftruncate(file, 100) ? errno : 0; });
        ASSERT_TRUE(server.wait_held(FUSE_SETATTR, 1)) << truncating.where();
        ASSERT_TRUE(truncating.kill_within(20s)) << truncating.where();
        if (mapped)
            std::memcpy(map + 5 * page, pattern(page, 2).data(), page);
        else
            pwrite_all(file, pattern(page, 2), 5 * page);
        server.release(FUSE_SETATTR);
        model.resize(100);
        model.resize(5 * page, '\0');
        model += pattern(page, 2);
        struct stat st;
        EXPECT_TRUE(wait_until(10s, [&] {
            return fstat(file, &st) == 0 && std::size_t(st.st_size) == model.size();
        })) << st.st_size;
        EXPECT_EQ(difference(model, pread_all(file, 100000, 0)), "");
        EXPECT_EQ(difference(model, {map, model.size()}), "");
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, server.content("f")), "");
        munmap(map, 16 * page);
    }
}

namespace {

constexpr std::uint64_t created_handle = 4711;

// CREATE with O_TRUNC of a file that is there already, under a name that was not known here.
void create_is_f(RawServer &server) {
    server.on(FUSE_CREATE, [&server](const Request &request) {
        struct {
            fuse_entry_out entry;
            fuse_open_out open;
        } out{};
        server.set_content("f", "");
        out.entry.nodeid = out.entry.attr.ino = server.node_of("f");
        out.entry.generation = 1;
        out.entry.attr.mode = S_IFREG | 0644;
        out.entry.attr.nlink = 2;
        out.open.fh = created_handle;
        server.answer(request, bytes_of(out));
        return true;
    });
}

} // namespace

GUEST_TEST(Truncate, ComesWithTheCreationOfAFileThatIsThereAlready) {
    needs_fusewb();
    for (std::uint64_t flags : {std::uint64_t(FUSE_ATOMIC_O_TRUNC), std::uint64_t(0)}) {
        RawServer server({.init_flags = flags, .name = flags ? "atomic" : "apart"});
        server.set_content("f", "content");
        create_is_f(server);
        Fd file(server.mnt("f"), O_RDWR);
        pwrite_all(file, pattern(8192, 1), 0);
        Fd created(server.mnt("g"), O_RDWR | O_CREAT | O_TRUNC);
        struct stat st;
        ASSERT_EQ(fstat(created, &st), 0);
        EXPECT_EQ(st.st_size, 0);
        EXPECT_EQ(pread_all(file, 8192, 0), "");
        EXPECT_EQ(fsync(file), 0);
        EXPECT_EQ(server.content("f"), "");
        pwrite_all(created, "new", 4096);
        EXPECT_EQ(fsync(created), 0);
        EXPECT_EQ(server.content("f"), std::string(4096, '\0') + "new");
    }
}

GUEST_TEST(Truncate, ByCreationWaitsForWritersUntilItIsKilled) {
    needs_fusewb();
    RawServer server({.init_flags = FUSE_ATOMIC_O_TRUNC});
    server.set_content("f", "content");
    create_is_f(server);
    std::atomic<bool> released = false;
    server.on(FUSE_RELEASE, [&](const Request &request) {
        if (request.as<fuse_release_in>().fh == created_handle)
            released = true;
        return false;
    });
    Fd file(server.mnt("f"), O_RDWR);
    pwrite_all(file, pattern(8192, 1), 0);
    server.hold(FUSE_WRITE);
    Task writer("direct write, behind that of the cached bytes", [&] {
        Fd direct(server.mnt("f"), O_WRONLY | O_DIRECT);
        alignas(4096) static char bytes[4096];
        return pwrite(direct, bytes, sizeof(bytes), 0) == sizeof(bytes) ? 0 : errno;
    });
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1)) << writer.where();
    Task creator("creation", [&] {
        return open(server.mnt("g").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644) < 0 ? errno : 0;
    });
    ASSERT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_CREATE) == 1; })) << creator.where();
    EXPECT_FALSE(creator.ends_within(500ms));
    EXPECT_TRUE(creator.kill_within(10s)) << creator.where();
    EXPECT_TRUE(wait_until(10s, [&] { return released.load(); })) << "what it opened stays open";
    server.release(FUSE_WRITE);
    EXPECT_TRUE(writer.ends_within(20s)) << writer.where();
    EXPECT_EQ(writer.status(), 0);
}

GUEST_TEST(CopyRange, TheCopyIsOfWhatWasWritten) {
    Passthrough server;
    std::string data = pattern(1000000, 1), target = pattern(1200000, 2);
    Fd in(server.mnt("in"), O_RDWR | O_CREAT), out(server.mnt("out"), O_RDWR | O_CREAT);
    pwrite_all(in, data, 0);
    pwrite_all(out, target, 0);
    off64_t from = 1001, to = 70003;
    ssize_t copied = copy_file_range(in, &from, out, &to, 500000, 0);
    ASSERT_EQ(copied, 500000) << errno;
    target.replace(70003, 500000, data, 1001, 500000);
    EXPECT_EQ(difference(target, pread_all(out, target.size(), 0)), "");
    ASSERT_EQ(fsync(out), 0);
    EXPECT_EQ(difference(target, read_file(server.backing("out"))), "");
    // Behind the end, which moves.
    from = 0, to = 1500000;
    ASSERT_EQ(copy_file_range(in, &from, out, &to, 100000, 0), 100000) << errno;
    target.resize(1500000);
    target += data.substr(0, 100000);
    EXPECT_EQ(difference(target, pread_all(out, target.size() + 10, 0)), "");
    // Within one file.
    from = 0, to = 800000;
    ASSERT_EQ(copy_file_range(in, &from, in, &to, 200000, 0), 200000) << errno;
    data.replace(800000, 200000, data, 0, 200000);
    EXPECT_EQ(difference(data, pread_all(in, data.size(), 0)), "");
}

GUEST_TEST(CopyRange, TheOlderOperationAndTheKernelStandInForTheYoungerOne) {
    needs_fusewb();
    RawServer server;
    server.set_content("in", pattern(10000, 1));
    auto copy = [&](std::size_t length) {
        Fd in(server.mnt("in"), O_RDONLY), out(server.mnt("out"), O_RDWR | O_CREAT);
        ssize_t n = copy_file_range(in, nullptr, out, nullptr, length, 0);
        return n < 0 ? -errno : n;
    };
    server.on(FUSE_COPY_FILE_RANGE, [&](const Request &request) {
        fuse_write_out out{static_cast<std::uint32_t>(request.as<fuse_copy_file_range_in>().len),
                           0};
        server.answer(request, bytes_of(out));
        return true;
    });
    EXPECT_EQ(copy(10000), 10000);
    EXPECT_EQ(copy(10000), 10000);
    EXPECT_EQ(server.seen(protocol::copy_file_range_64), 1u);
    EXPECT_EQ(server.seen(FUSE_COPY_FILE_RANGE), 2u);
    server.on(FUSE_COPY_FILE_RANGE, [&](const Request &request) {
        fuse_write_out out{
            static_cast<std::uint32_t>(request.as<fuse_copy_file_range_in>().len) + 1, 0};
        server.answer(request, bytes_of(out));
        return true;
    });
    EXPECT_EQ(copy(10000), -EIO) << "more than was asked for";
    server.on(FUSE_COPY_FILE_RANGE, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    EXPECT_EQ(copy(10000), 10000);
    EXPECT_EQ(difference(pattern(10000, 1), read_file(server.mnt("out"))), "");
}

GUEST_TEST(CopyRange, TheYoungerOperationCountsBeyondFourGibibytes) {
    needs_fusewb();
    constexpr std::uint64_t five = 5ull << 30;
    RawServer server;
    server.set_content("in", "content");
    std::uint64_t copied = five;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        if (request.name(0) != "in")
            return false;
        fuse_entry_out out{};
        out.nodeid = server.node_of("in");
        out.generation = 1;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = protocol::file_attributes(out.nodeid, five);
        server.answer(request, bytes_of(out));
        return true;
    });
    fuse_copy_file_range_in asked{};
    server.on(protocol::copy_file_range_64, [&](const Request &request) {
        asked = request.as<fuse_copy_file_range_in>();
        server.answer(request, bytes_of(copied));
        return true;
    });
    Fd in(server.mnt("in"), O_RDONLY), out(server.mnt("out"), O_RDWR | O_CREAT);
    auto copy = [&] {
        off64_t from = 0, to = 0;
        ssize_t n = copy_file_range(in, &from, out, &to, five, 0);
        return n < 0 ? -errno : n;
    };
    EXPECT_EQ(copy(), ssize_t(five));
    EXPECT_EQ(asked.len, five);
    EXPECT_EQ(asked.nodeid_out, server.node_of("out"));
    struct stat st;
    ASSERT_EQ(fstat(out, &st), 0);
    EXPECT_EQ(st.st_size, off_t(five));
    copied = 4096;
    EXPECT_EQ(copy(), 4096);
    copied = five + 1;
    EXPECT_EQ(copy(), -EIO) << "more than was asked for";
    EXPECT_EQ(server.seen(FUSE_COPY_FILE_RANGE), 0u);
}

GUEST_TEST(Seek, DataAndHolesAreWhereTheServerSaysAfterItHasTheData) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::uint64_t answer = 8192;
    std::size_t size_there = 0;
    server.on(FUSE_LSEEK, [&](const Request &request) {
        fuse_lseek_out out{answer};
        size_there = server.content("f").size();
        EXPECT_EQ(request.as<fuse_lseek_in>().whence, unsigned(SEEK_DATA));
        server.answer(request, bytes_of(out));
        return true;
    });
    pwrite_all(file, pattern(4096, 1), 8192);
    EXPECT_EQ(lseek(file, 100, SEEK_DATA), 8192);
    EXPECT_EQ(size_there, 12288u) << "asked before the data was written back";
    EXPECT_EQ(lseek(file, 0, SEEK_CUR), 8192);
    for (std::uint64_t bad : {std::uint64_t(0), std::uint64_t(99), UINT64_MAX}) {
        answer = bad;
        EXPECT_EQ(lseek(file, 100, SEEK_DATA), -1);
        EXPECT_EQ(errno, EIO) << bad;
    }
    EXPECT_EQ(lseek(file, 0, SEEK_END), 12288);
    server.on(FUSE_LSEEK, [&](const Request &request) {
        server.answer_error(request, ENXIO);
        return true;
    });
    EXPECT_EQ(lseek(file, 100, SEEK_HOLE), -1);
    EXPECT_EQ(errno, ENXIO);
    // Without it the whole file is data.
    server.on(FUSE_LSEEK, [](const Request &) { return false; });
    std::size_t before = server.seen(FUSE_LSEEK);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(lseek(file, 100, SEEK_DATA), 100);
        EXPECT_EQ(lseek(file, 100, SEEK_HOLE), 12288);
    }
    EXPECT_EQ(server.seen(FUSE_LSEEK), before + 1);
}

GUEST_TEST(Seek, HolesOfTheBackingFileAreSeen) {
    Passthrough server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, pattern(65536, 1), 1 << 20);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(lseek(file, 0, SEEK_DATA), 1 << 20);
    EXPECT_EQ(lseek(file, 0, SEEK_HOLE), 0);
    EXPECT_EQ(lseek(file, 1 << 20, SEEK_HOLE), (1 << 20) + 65536);
}

GUEST_TEST(Tmpfile, IsAFileWithoutAName) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt(), O_RDWR | O_TMPFILE, 0600);
    pwrite_all(file, "content", 0);
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(pread_all(file, 100, 0), "content");
    EXPECT_EQ(server.seen(FUSE_TMPFILE), 1u);
    EXPECT_EQ(server.seen(FUSE_CREATE) + server.seen(FUSE_MKNOD), 0u) << "it has got a name";
    server.on(FUSE_TMPFILE, [&](const Request &request) {
        server.answer_error(request, ENOSYS);
        return true;
    });
    std::size_t before = server.seen(FUSE_TMPFILE);
    for (int i = 0; i < 2; i++) {
        EXPECT_EQ(open(server.mnt().c_str(), O_RDWR | O_TMPFILE, 0600), -1);
        EXPECT_EQ(errno, EOPNOTSUPP);
    }
    EXPECT_EQ(server.seen(FUSE_TMPFILE), before + 1);
}

GUEST_TEST(Tmpfile, GetsANameUnlessItIsExclusive) {
    needs_fusewb();
    RawServer server;
    std::uint64_t node = 0;
    auto entry = [&](std::uint32_t links) {
        fuse_entry_out out{};
        out.nodeid = node;
        out.generation = 1;
        out.attr_valid = out.entry_valid = 3600;
        out.attr = protocol::file_attributes(node, 7);
        out.attr.nlink = links;
        return out;
    };
    // Without a name it has no link either.
    server.on(FUSE_TMPFILE, [&](const Request &request) {
        server.set_content("hidden", "content");
        node = server.node_of("hidden");
        server.answer(request,
                      std::string(bytes_of(entry(0))) + std::string(bytes_of(fuse_open_out{})));
        return true;
    });
    server.on(FUSE_LINK, [&](const Request &request) {
        EXPECT_EQ(request.as<fuse_link_in>().oldnodeid, node);
        EXPECT_EQ(request.name(sizeof(fuse_link_in)), "named");
        server.answer(request, bytes_of(entry(1)));
        return true;
    });
    auto link_to = [&](int fd, const char *name) {
        return linkat(fd, "", AT_FDCWD, server.mnt(name).c_str(), AT_EMPTY_PATH) ? errno : 0;
    };
    Fd exclusive(server.mnt(), O_RDWR | O_TMPFILE | O_EXCL, 0600);
    EXPECT_EQ(link_to(exclusive, "named"), ENOENT);
    EXPECT_EQ(server.seen(FUSE_LINK), 0u);
    exclusive.reset();
    Fd file(server.mnt(), O_RDWR | O_TMPFILE, 0600);
    ASSERT_EQ(link_to(file, "named"), 0);
    struct stat st;
    ASSERT_EQ(stat(server.mnt("named").c_str(), &st), 0);
    EXPECT_EQ(st.st_ino, node);
    EXPECT_EQ(st.st_nlink, 1u);
    EXPECT_EQ(read_file(server.mnt("named")), "content");
}

GUEST_TEST(Statx, TellsWhenAFileWasMadeIfTheServerKnows) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    protocol::StatxOut answer{};
    server.on(protocol::statx, [&](const Request &request) {
        answer.ino = request.header.nodeid;
        server.answer(request, bytes_of(answer));
        return true;
    });
    answer.attr_valid = 1000;
    answer.mask = STATX_BASIC_STATS | STATX_BTIME;
    answer.mode = S_IFREG | 0640;
    answer.nlink = 1;
    answer.btime = {1234567, 89, 0};
    auto look = [&](unsigned mask, struct statx *stx) {
        return statx(AT_FDCWD, server.mnt("f").c_str(), 0, mask, stx) ? errno : 0;
    };
    struct statx stx;
    ASSERT_EQ(look(STATX_BASIC_STATS | STATX_BTIME, &stx), 0);
    EXPECT_TRUE(stx.stx_mask & STATX_BTIME);
    EXPECT_EQ(stx.stx_btime.tv_sec, 1234567);
    EXPECT_EQ(stx.stx_btime.tv_nsec, 89u);
    EXPECT_EQ(stx.stx_mode, S_IFREG | 0640);
    ASSERT_EQ(look(STATX_BTIME, &stx), 0);
    EXPECT_EQ(server.seen(protocol::statx), 1u) << "asked again although it is known";
    auto forced = [&] {
        return statx(AT_FDCWD, server.mnt("f").c_str(), AT_STATX_FORCE_SYNC, STATX_BTIME, &stx)
                   ? errno
                   : 0;
    };
    answer.size = UINT64_MAX;
    EXPECT_EQ(forced(), EIO) << "an impossible size";
    answer.size = 7;
    answer.mode = 0600;
    EXPECT_EQ(forced(), EIO) << "an impossible type";
    answer.mode = S_IFDIR | 0600;
    EXPECT_EQ(forced(), ESTALE) << "another type";
    // A server without it.
    server.on(protocol::statx, [](const Request &) { return false; });
    std::size_t before = server.seen(protocol::statx);
    EXPECT_EQ(forced(), 0);
    EXPECT_EQ(forced(), 0);
    EXPECT_EQ(server.seen(protocol::statx), before + 1);
}

GUEST_TEST(Statx, WhatItsAnswerLeavesOutIsAskedForOtherwise) {
    needs_fusewb();
    RawServer server({.writeback = false});
    server.set_content("f", "content");
    protocol::StatxOut answer{};
    answer.attr_valid = 1000;
    answer.mode = S_IFREG | 0600;
    answer.nlink = 1;
    answer.size = 4711;
    answer.btime = {1234567, 89, 0};
    // No size, which is as good as nothing.
    answer.mask = (STATX_BASIC_STATS & ~STATX_SIZE) | STATX_BTIME;
    server.on(protocol::statx, [&](const Request &request) {
        answer.ino = request.header.nodeid;
        server.answer(request, bytes_of(answer));
        return true;
    });
    struct statx stx;
    auto look = [&](int flags) {
        return statx(AT_FDCWD, server.mnt("f").c_str(), flags, STATX_BASIC_STATS | STATX_BTIME,
                     &stx)
                   ? errno
                   : 0;
    };
    ASSERT_EQ(look(0), 0);
    EXPECT_EQ(server.seen(protocol::statx), 1u);
    EXPECT_EQ(stx.stx_size, 7u);
    EXPECT_EQ(stx.stx_mode, S_IFREG | 0644);
    EXPECT_TRUE(stx.stx_mask & STATX_BTIME);
    EXPECT_EQ(stx.stx_btime.tv_sec, 1234567);
    // Attributes that are believed, and somebody who does not believe them.
    server.set_content("f", "more content");
    std::size_t before = server.seen(FUSE_GETATTR);
    ASSERT_EQ(look(0), 0);
    EXPECT_EQ(stx.stx_size, 7u);
    EXPECT_EQ(server.seen(FUSE_GETATTR), before);
    ASSERT_EQ(look(AT_STATX_FORCE_SYNC), 0);
    EXPECT_EQ(stx.stx_size, 12u);
    EXPECT_EQ(stx.stx_mode, S_IFREG | 0644);
    EXPECT_EQ(server.seen(FUSE_GETATTR), before + 1);
    // Not even when it was made.
    answer.mask = 0;
    answer.btime = {};
    server.set_content("f", "content");
    ASSERT_EQ(look(AT_STATX_FORCE_SYNC), 0);
    EXPECT_EQ(stx.stx_size, 7u);
    EXPECT_FALSE(stx.stx_mask & STATX_BTIME);
}

ON_CLIENTS(StatxSync, "fusewb", "fuse");

CLIENT_TEST(StatxSync, SaysWhetherTheServerIsAsked) {
    for (std::uint64_t seconds : {0, 3600}) {
        SCOPED_TRACE(seconds);
        RawServer server({.writeback = false,
                          .valid_seconds = seconds,
                          .name = seconds ? "valid" : "expired",
                          .type = client.type});
        server.set_content("f", "content");
        Fd file(server.mnt("f"), O_RDONLY);
        struct statx stx;
        auto size = [&](int flags) {
            EXPECT_EQ(statx(file, "", AT_EMPTY_PATH | flags, STATX_BASIC_STATS, &stx), 0) << errno;
            return stx.stx_size;
        };
        auto asked = [&] { return server.seen(FUSE_GETATTR) + server.seen(protocol::statx); };
        ASSERT_EQ(size(AT_STATX_FORCE_SYNC), 7u);
        server.set_content("f", "more content");
        std::size_t before = asked();
        EXPECT_EQ(size(AT_STATX_DONT_SYNC), 7u);
        EXPECT_EQ(asked(), before);
        EXPECT_EQ(size(AT_STATX_SYNC_AS_STAT), seconds ? 7u : 12u);
        EXPECT_EQ(asked(), before + (seconds ? 0 : 1));
        server.set_content("f", "the most of content");
        EXPECT_EQ(size(AT_STATX_FORCE_SYNC), 19u);
        EXPECT_EQ(asked(), before + (seconds ? 1 : 2));
    }
}
