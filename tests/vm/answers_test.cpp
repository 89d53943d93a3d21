// SPDX-License-Identifier: GPL-2.0-only
// What an answer says beside the result: the flags of a file that was opened, and for how long
// names and attributes may be believed.
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/protocol.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

int stat_error(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? errno : 0;
}

} // namespace

GUEST_TEST(OpenFlags, CachedDataStaysWithKeepCacheOnly) {
    needs_fusewb();
    for (bool keep : {true, false}) {
        RawServer server({.writeback = false,
                          .open_flags = keep ? unsigned(FOPEN_KEEP_CACHE) : 0u,
                          .name = keep ? "keep" : "drop"});
        server.set_content("f", "content");
        for (int i = 0; i < 3; i++)
            EXPECT_EQ(read_file(server.mnt("f")), "content");
        EXPECT_EQ(server.seen(FUSE_READ), keep ? 1u : 3u);
    }
}

GUEST_TEST(OpenFlags, FilesWithoutPlacesCannotBeSought) {
    needs_fusewb();
    for (unsigned flag : {FOPEN_NONSEEKABLE, FOPEN_STREAM}) {
        RawServer server({.open_flags = flag | FOPEN_DIRECT_IO, .name = std::to_string(flag)});
        server.set_content("f", "content");
        Fd file(server.mnt("f"), O_RDWR);
        char bytes[4];
        EXPECT_EQ(lseek(file, 1, SEEK_SET), -1);
        EXPECT_EQ(errno, ESPIPE);
        EXPECT_EQ(pread(file, bytes, 4, 1), -1);
        EXPECT_EQ(errno, ESPIPE);
        ASSERT_EQ(read(file, bytes, 4), 4) << errno;
        EXPECT_EQ(std::string(bytes, 4), "cont");
    }
}

GUEST_TEST(OpenFlags, NoFlushSparesItWhereNothingIsHeldBack) {
    needs_fusewb();
    for (bool writeback : {true, false}) {
        RawServer server(
            {.writeback = writeback, .open_flags = FOPEN_NOFLUSH, .name = writeback ? "w" : "t"});
        server.set_content("f", "content");
        {
            Fd file(server.mnt("f"), O_RDWR);
            pwrite_all(file, "x", 0);
            ASSERT_EQ(file.reset(), 0);
        }
        EXPECT_EQ(server.seen(FUSE_FLUSH), writeback ? 1u : 0u);
        EXPECT_EQ(server.content("f"), "xontent");
    }
}

GUEST_TEST(OpenFlags, WhatWasNotOfferedIsIgnored) {
    needs_fusewb();
    // FOPEN_PASSTHROUGH, and one that means nothing yet.
    RawServer server({.open_flags = 1u << 7 | 1u << 30});
    server.set_content("f", "content");
    EXPECT_EQ(read_file(server.mnt("f")), "content");
    write_file(server.mnt("f"), "written");
    Fd file(server.mnt("f"), O_RDONLY);
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(server.content("f"), "written");
}

ON_CLIENTS(BlockSize, "fusewb", "fuse");

CLIENT_TEST(BlockSize, IsAPowerOfTwo) {
    RawServer server({.valid_seconds = 0, .type = client.type});
    server.set_content("f", "content");
    server.on(FUSE_GETATTR, [&](const Request &request) {
        fuse_attr_out out{};
        out.attr = request.header.nodeid == FUSE_ROOT_ID
                       ? protocol::directory_attributes(FUSE_ROOT_ID)
                       : protocol::file_attributes(request.header.nodeid, 7);
        out.attr.blksize = 5000;
        server.answer(request, bytes_of(out));
        return true;
    });
    struct stat st;
    ASSERT_EQ(stat(server.mnt("f").c_str(), &st), 0);
    EXPECT_EQ(st.st_blksize, 4096);
}

GUEST_TEST(Timeouts, AttributesAndNamesAreBelievedForAsLongAsTheAnswerSays) {
    needs_fusewb();
    for (std::uint64_t seconds : {0u, 3600u}) {
        RawServer server({.valid_seconds = seconds, .name = "for-" + std::to_string(seconds)});
        server.set_content("f", "content");
        ASSERT_EQ(stat_error(server.mnt("f")), 0);
        std::size_t lookups = server.seen(FUSE_LOOKUP), asked = server.seen(FUSE_GETATTR);
        for (int i = 0; i < 3; i++)
            ASSERT_EQ(stat_error(server.mnt("f")), 0);
        EXPECT_EQ(server.seen(FUSE_LOOKUP) - lookups, seconds ? 0u : 3u);
        Fd file(server.mnt("f"), O_RDONLY);
        asked = server.seen(FUSE_GETATTR);
        struct stat st;
        for (int i = 0; i < 3; i++)
            ASSERT_EQ(fstat(file, &st), 0);
        EXPECT_EQ(server.seen(FUSE_GETATTR) - asked, seconds ? 0u : 3u);
    }
}

GUEST_TEST(Timeouts, NanosecondsCountAndNamesExpire) {
    needs_fusewb();
    RawServer server;
    server.set_content("f", "content");
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{};
        out.nodeid = server.node_of("f");
        out.generation = 1;
        out.entry_valid_nsec = 300000000;
        out.attr_valid = 3600;
        out.attr.ino = out.nodeid;
        out.attr.mode = S_IFREG | 0644;
        out.attr.nlink = 1;
        server.answer(request, bytes_of(out));
        return true;
    });
    auto start = Clock::now();
    ASSERT_EQ(stat_error(server.mnt("f")), 0);
    ASSERT_EQ(stat_error(server.mnt("f")), 0);
    if (Clock::now() - start < 250ms) {
        EXPECT_EQ(server.seen(FUSE_LOOKUP), 1u);
    }
    EXPECT_TRUE(wait_until(
        10s, [&] { return !stat_error(server.mnt("f")) && server.seen(FUSE_LOOKUP) > 1; }));
}

GUEST_TEST(Timeouts, NamesThatAreNotThereAreRememberedIfTheAnswerSaysHowLong) {
    needs_fusewb();
    RawServer server;
    std::atomic<bool> remember = true;
    server.on(FUSE_LOOKUP, [&](const Request &request) {
        fuse_entry_out out{}; // node 0
        out.entry_valid = 3600;
        if (remember)
            server.answer(request, bytes_of(out));
        else
            server.answer_error(request, ENOENT);
        return true;
    });
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(stat_error(server.mnt("absent")), ENOENT);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 1u);
    remember = false;
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(stat_error(server.mnt("other")), ENOENT);
    EXPECT_EQ(server.seen(FUSE_LOOKUP), 4u);
    // It may be made all the same.
    server.on(FUSE_LOOKUP, [](const Request &) { return false; });
    write_file(server.mnt("absent"), "content");
    EXPECT_EQ(server.content("absent"), "content");
}
