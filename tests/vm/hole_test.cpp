// SPDX-License-Identifier: GPL-2.0-only
// What the server was never given is not asked for.
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t before = 64 * 1024;
constexpr std::size_t size = 1 << 20;

// A file of the server's that was made longer here.
struct Grown {
    explicit Grown(std::uint32_t open_flags = FOPEN_KEEP_CACHE)
        : server({.open_flags = open_flags}) {
        needs_fusewb();
        server.set_content("f", model);
        file = Fd(server.mnt("f"), O_RDWR);
        check(ftruncate(file, size), "ftruncate");
        model.resize(size);
    }
    void expect_model() { EXPECT_EQ(difference(model, pread_all(file, size, 0)), ""); }

    std::string model = pattern(before, 1);
    RawServer server;
    Fd file;
};

} // namespace

GUEST_TEST(Hole, IsReadWithoutTheServer) {
    Grown f;
    EXPECT_EQ(pread_all(f.file, size - before, before), f.model.substr(before));
    EXPECT_EQ(f.server.seen(FUSE_READ), 0u);
    f.expect_model();
    EXPECT_GT(f.server.seen(FUSE_READ), 0u);
}

GUEST_TEST(Hole, IsWrittenInAMappingWithoutTheServer) {
    Grown f;
    auto *mapped =
        static_cast<char *>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, f.file, 0));
    check(mapped == MAP_FAILED ? -1 : 0, "mmap");
    mapped[size / 2] = 'x';
    f.model[size / 2] = 'x';
    EXPECT_EQ(f.server.seen(FUSE_READ), 0u);
    EXPECT_EQ(msync(mapped, size, MS_SYNC), 0);
    munmap(mapped, size);
    EXPECT_EQ(difference(f.model, f.server.content("f")), "");
}

GUEST_TEST(Hole, WhatWasWrittenIntoItIsAskedFor) {
    Grown f;
    std::string fresh = pattern(page + 100, 2);
    pwrite_all(f.file, fresh, size / 2);
    f.model.replace(size / 2, fresh.size(), fresh);
    ASSERT_EQ(fsync(f.file), 0);
    EXPECT_EQ(f.server.seen(FUSE_READ), 0u);
    drop_pages(f.file);
    f.expect_model();
    EXPECT_EQ(difference(f.model, f.server.content("f")), "");
}

GUEST_TEST(Hole, IsWhereATruncationWasEvenIfThereWasDataBefore) {
    Grown f;
    pwrite_all(f.file, pattern(size, 3), 0);
    ASSERT_EQ(fsync(f.file), 0);
    check(ftruncate(f.file, before + 100), "ftruncate");
    check(ftruncate(f.file, size), "ftruncate");
    drop_pages(f.file);
    std::size_t asked = f.server.seen(FUSE_READ);
    f.model = pattern(size, 3).substr(0, before + 100);
    f.model.resize(size);
    EXPECT_EQ(pread_all(f.file, size / 2, size / 2), std::string(size / 2, '\0'));
    EXPECT_EQ(f.server.seen(FUSE_READ), asked);
    f.expect_model();
}

GUEST_TEST(Hole, IsWhereAnOpenTruncated) {
    needs_fusewb();
    RawServer server({.open_flags = FOPEN_KEEP_CACHE, .init_flags = FUSE_ATOMIC_O_TRUNC});
    server.set_content("f", pattern(before, 1));
    server.on(FUSE_OPEN, [&](const Request &request) {
        if (request.as<fuse_open_in>().flags & O_TRUNC)
            server.set_content("f", "");
        return false;
    });
    EXPECT_EQ(read_file(server.mnt("f")).size(), before);
    std::size_t asked = server.seen(FUSE_READ);
    Fd file(server.mnt("f"), O_RDWR | O_TRUNC);
    check(ftruncate(file, size), "ftruncate");
    EXPECT_EQ(difference(pread_all(file, size, 0), std::string(size, '\0')), "");
    EXPECT_EQ(server.seen(FUSE_READ), asked);
}

GUEST_TEST(Hole, IsBelievedNoLongerThanTheCache) {
    Grown f(0);
    EXPECT_EQ(pread_all(f.file, page, size / 2), std::string(page, '\0'));
    // Somebody else writes, where this mount has left a hole.
    f.model.replace(size / 2, page, pattern(page, 4));
    f.server.set_content("f", f.model);
    Fd again(f.server.mnt("f"), O_RDONLY);
    EXPECT_EQ(difference(f.model, pread_all(again, size, 0)), "");
}

GUEST_TEST(Hole, WhatWasWrittenDirectlyIsAskedFor) {
    Grown f;
    Fd direct(f.server.mnt("f"), O_RDWR | O_DIRECT);
    auto *buffer = static_cast<char *>(
        mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    check(buffer == MAP_FAILED ? -1 : 0, "mmap");
    pattern(page, 5).copy(buffer, page);
    EXPECT_EQ(pwrite(direct, buffer, page, size / 2), static_cast<ssize_t>(page));
    f.model.replace(size / 2, page, buffer, page);
    munmap(buffer, page);
    f.expect_model();
}
