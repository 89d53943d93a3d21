// SPDX-License-Identifier: GPL-2.0-only
// What is cached, or being read in, when the server's file changes: nobody waits for a READ in
// order to drop it, and nobody gets what was there before.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

ON_CLIENTS(ShortRead, "fusewb", "fuse");

// The file became shorter at the server, and the attributes that are cached do not say so.
CLIENT_TEST(ShortRead, EndsWhereTheServersFileEnds) {
    for (std::size_t before : {1000u, 100'000u}) {
        RawServer server({.writeback = false, .type = client.type});
        std::string data = pattern(before, 1);
        server.set_content("f", data);
        Fd file(server.mnt("f"), O_RDONLY);
        struct stat st;
        ASSERT_EQ(fstat(file, &st), 0);
        ASSERT_EQ(st.st_size, static_cast<off_t>(before));
        data.resize(before / 2);
        server.set_content("f", data);
        std::string buffer(before, 'x');
        ssize_t got = pread(file, buffer.data(), buffer.size(), 0);
        ASSERT_EQ(got, static_cast<ssize_t>(data.size()));
        buffer.resize(data.size());
        EXPECT_EQ(difference(data, buffer), "");
    }
}

namespace {

constexpr std::size_t length = 64 * 1024;

// A file of which a READ is with the server that was answered with what is there now only later.
class Reading {
public:
    explicit Reading(RawServer::Options options = {}) : server(options) {
        server.set_content("f", before);
        server.hold(FUSE_READ);
        reader.emplace("pread(2)", [this] {
            Fd file(server.mnt("f"), O_RDONLY);
            std::string buffer(length, '\0');
            ssize_t got = pread(file, buffer.data(), buffer.size(), 0);
            if (got < 0)
                return errno;
            buffer.resize(static_cast<std::size_t>(got));
            return buffer.find('a') == std::string::npos ? 0 : 255;
        });
        if (!server.wait_held(FUSE_READ, 1))
            ADD_FAILURE() << reader->where();
    }

    // Whoever changes the file is not held up by it.
    void expect_no_wait(const std::string &what, std::function<int()> change) {
        Task task(what, std::move(change));
        EXPECT_TRUE(task.ends_within(20s)) << task.where();
        EXPECT_EQ(task.status(), 0);
    }

    // The server says what was there before, and what is there now if it is asked again.
    void expect_new_data() {
        for (const Request &read : server.lose(FUSE_READ)) {
            auto in = read.as<fuse_read_in>();
            server.answer(read, std::string_view(before).substr(in.offset, in.size));
        }
        server.release(FUSE_READ);
        EXPECT_TRUE(reader->ends_within(20s)) << reader->where();
        EXPECT_EQ(reader->status(), 0) << "255: it got what was there before";
        std::string now = read_file(server.mnt("f"));
        EXPECT_EQ(difference(server.content("f"), now), "");
    }

    std::string before = std::string(length, 'a');
    RawServer server;
    std::optional<Task> reader;
};

} // namespace

GUEST_TEST(Stale, ATruncationDoesNotWaitForARead) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        Reading reading({.writeback = writeback});
        reading.expect_no_wait("truncate(2)", [&] {
            return truncate(reading.server.mnt("f").c_str(), 0) ? errno : 0;
        });
        reading.expect_new_data();
        ASSERT_EQ(truncate(reading.server.mnt("f").c_str(), length), 0);
        EXPECT_EQ(difference(std::string(length, '\0'), read_file(reading.server.mnt("f"))), "");
    }
}

GUEST_TEST(Stale, FallocateDoesNotWaitForARead) {
    needs_fusewb();
    Reading reading;
    reading.server.on(FUSE_FALLOCATE, [&](const Request &request) {
        reading.server.set_content("f", std::string(length, '\0'));
        reading.server.answer(request, "");
        return true;
    });
    reading.expect_no_wait("fallocate(2)", [&] {
        Fd file(reading.server.mnt("f"), O_RDWR);
        return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length) ? errno : 0;
    });
    reading.expect_new_data();
}

GUEST_TEST(Stale, ACopyDoesNotWaitForAReadOfItsTarget) {
    needs_fusewb();
    Reading reading;
    reading.server.set_content("source", std::string(length, 'b'));
    auto copy = [&](const Request &request) {
        reading.server.set_content("f", std::string(length, 'b'));
        fuse_write_out out{length, 0};
        reading.server.answer(request, bytes_of(out));
        return true;
    };
    reading.server.on(FUSE_COPY_FILE_RANGE, copy);
    reading.expect_no_wait("copy_file_range(2)", [&] {
        Fd source(reading.server.mnt("source"), O_RDONLY), target(reading.server.mnt("f"), O_RDWR);
        ssize_t copied = copy_file_range(source, nullptr, target, nullptr, length, 0);
        return copied < 0 ? errno : copied == static_cast<ssize_t>(length) ? 0 : 254;
    });
    reading.expect_new_data();
}

GUEST_TEST(Stale, AnInvalidationDoesNotWaitForARead) {
    needs_fusewb();
    Reading reading({.writeback = false, .open_flags = FOPEN_KEEP_CACHE});
    reading.server.set_content("f", std::string(length, 'b'));
    fuse_notify_inval_inode_out all{reading.server.node_of("f"), 0, 0};
    std::atomic<int> error = -1;
    std::thread notifier(
        [&] { error = reading.server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(all)); });
    EXPECT_TRUE(wait_until(20s, [&] { return error == 0; })) << error;
    reading.expect_new_data();
    notifier.join();
}

// Its WRITE is carried out when nobody waits for it any more.
GUEST_TEST(Stale, WhatAKilledWriterWroteIsReadLater) {
    needs_fusewb();
    RawServer server({.writeback = false, .open_flags = FOPEN_KEEP_CACHE});
    server.set_content("f", std::string(length, 'a'));
    Fd file(server.mnt("f"), O_RDWR);
    server.hold(FUSE_WRITE);
    Task writer("pwrite(2)", [&] {
        pwrite_all(file, std::string(4096, 'b'), 4096);
        return 0;
    });
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1)) << writer.where();
    EXPECT_EQ(pread_all(file, length, 0), std::string(length, 'a'));
    ASSERT_TRUE(writer.kill_within(20s)) << writer.where();
    server.release(FUSE_WRITE);
    EXPECT_EQ(difference(server.content("f"), pread_all(file, length, 0)), "");
    EXPECT_EQ(server.content("f").substr(4096, 4096), std::string(4096, 'b'));
}

// The server's file was cut off and grows again: what it had there once is not what it has now.
GUEST_TEST(Stale, WhatTheServerCutOffIsAHoleWhenTheFileGrows) {
    needs_fusewb();
    constexpr std::size_t page = 4096;
    RawServer server({.writeback = false, .open_flags = FOPEN_KEEP_CACHE});
    std::string data = pattern(5 * page, 1);
    server.set_content("f", data);
    Fd file(server.mnt("f"), O_RDWR);
    // Its first page only has to be asked for yet.
    ASSERT_EQ(posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM), 0);
    ASSERT_EQ(difference(data.substr(page), pread_all(file, data.size() - page, page)), "");
    data.resize(1000);
    server.set_content("f", data);
    std::string buffer(page, 'x');
    ASSERT_EQ(pread(file, buffer.data(), page, 0), 1000);
    ASSERT_EQ(pwrite(file, "y", 1, 30'000), 1);
    data.resize(30'000);
    data += 'y';
    EXPECT_EQ(difference(data, server.content("f")), "");
    EXPECT_EQ(difference(data, pread_all(file, data.size(), 0)), "");
}

namespace {

// A file that is cached in large folios, of which one page was written here and the rest by the
// server, who said so; and how it is looked at then.
struct Beside {
    static constexpr std::size_t page = 4096, written = 3 * page + 100;

    explicit Beside(const std::string &type)
        : server({.open_flags = FOPEN_KEEP_CACHE, .type = type}) {
        expected = pattern(16 * page, 1);
        pwrite_all(file, expected, 0);
        check(fsync(file), "fsync");
        // The flusher may begin at any time.
        server.hold(FUSE_WRITE);
        pwrite_all(file, "x", written);
        std::string ours = expected.substr(3 * page, page);
        ours[100] = 'x';
        expected = pattern(16 * page, 2);
        server.set_content("f", expected);
        expected.replace(3 * page, page, ours);
        fuse_notify_inval_inode_out all{server.node_of("f"), 0, 0};
        // The in-tree client writes back first, and its server waits for that.
        std::thread notifier(
            [&] { error = server.notify(FUSE_NOTIFY_INVAL_INODE, bytes_of(all)); });
        server.release(FUSE_WRITE);
        notifier.join();
    }
    void expect_all() {
        EXPECT_EQ(error, 0);
        EXPECT_EQ(difference(expected, pread_all(file, expected.size(), 0)), "");
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(expected, server.content("f")), "");
    }

    RawServer server;
    Fd file{server.mnt("f"), O_RDWR | O_CREAT};
    std::string expected;
    int error = -1;
};

} // namespace

ON_CLIENTS(InvalidBesideDirty, "fusewb", "fuse");

CLIENT_TEST(InvalidBesideDirty, IsReadAgain) {
    Beside f(client.type);
    f.expect_all();
}

CLIENT_TEST(InvalidBesideDirty, IsMappedAgain) {
    Beside f(client.type);
    auto *map = static_cast<char *>(
        mmap(nullptr, f.expected.size(), PROT_READ | PROT_WRITE, MAP_SHARED, f.file, 0));
    ASSERT_NE(map, MAP_FAILED);
    map[10 * Beside::page] = 'y';
    f.expected[10 * Beside::page] = 'y';
    EXPECT_EQ(difference(f.expected, std::string(map, f.expected.size())), "");
    munmap(map, f.expected.size());
    f.expect_all();
}

CLIENT_TEST(InvalidBesideDirty, IsWrittenToAgain) {
    Beside f(client.type);
    pwrite_all(f.file, "y", 5 * Beside::page + 7);
    f.expected[5 * Beside::page + 7] = 'y';
    f.expect_all();
}

CLIENT_TEST(InvalidBesideDirty, IsSplicedAgain) {
    Beside f(client.type);
    int pipes[2];
    ASSERT_EQ(pipe(pipes), 0);
    Fd out(pipes[0]), in(pipes[1]);
    off_t at = 0;
    ASSERT_EQ(splice(f.file, &at, in, nullptr, Beside::page, 0), 4096);
    std::string got(Beside::page, '\0');
    ASSERT_EQ(read(out, got.data(), got.size()), 4096);
    EXPECT_EQ(difference(f.expected.substr(0, Beside::page), got), "");
    f.expect_all();
}
