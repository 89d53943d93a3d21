// SPDX-License-Identifier: GPL-2.0-only
// Large folios do not make small writes large: what is sent is what was written, in whole pages.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <set>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/protocol.h"
#include "support/raw_server.h"

using namespace fusewb::test;

namespace {

constexpr std::size_t page = 4096;

// A file that was written in large pieces, and is clean and cached.
struct Cached {
    explicit Cached(std::size_t size = 4 << 20) : model(pattern(size, 1)) {
        needs_fusewb();
        file = Fd(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, model, 0);
        check(fsync(file), "fsync");
        sent();
    }

    // Bytes written back since the last call.
    std::uint64_t sent() {
        Connection connection = server.connection();
        std::uint64_t now = connection[FUSEWB_A_COUNTER_BYTES_DIRECT];
        return now - std::exchange(before, now);
    }

    void write(std::size_t pos, std::string_view bytes) {
        pwrite_all(file, bytes, pos);
        model.resize(std::max(model.size(), pos + bytes.size()));
        model.replace(pos, bytes.size(), bytes);
    }

    void expect_model() {
        EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
        EXPECT_EQ(difference(model, pread_all(file, model.size() + 1, 0)), "");
        drop_pages(file);
        EXPECT_EQ(difference(model, pread_all(file, model.size() + 1, 0)), "");
    }

    Passthrough server{{.mount_options = "writeback=direct"}};
    std::string model;
    Fd file;
    std::uint64_t before = 0;
};

// So many pages were sent; or more, if the flusher sent some that were written again after it, but
// never folios of them.
void expect_pages(std::uint64_t sent, std::size_t pages) {
    EXPECT_GE(sent, pages * page);
    EXPECT_LE(sent, 2 * pages * page);
}

} // namespace

GUEST_TEST(Blocks, ASmallWriteIntoALargeFolioSendsItsPage) {
    Cached f;
    f.write(500000, pattern(100, 2));
    ASSERT_EQ(fdatasync(f.file), 0);
    EXPECT_EQ(f.sent(), page);
    f.expect_model();
}

GUEST_TEST(Blocks, ScatteredWritesSendTheirPages) {
    Cached f;
    std::mt19937 random(20260611);
    std::set<std::size_t> pages;
    for (int i = 0; i < 200; i++) {
        std::size_t at = random() % (f.model.size() / page);
        pages.insert(at);
        f.write(at * page, pattern(page, i + 10));
    }
    ASSERT_EQ(fsync(f.file), 0);
    expect_pages(f.sent(), pages.size());
    f.expect_model();

    pages.clear();
    for (std::size_t at = 1; at < f.model.size() / page; at += 7) {
        pages.insert(at);
        f.write(at * page + 5, "x");
    }
    ASSERT_EQ(fsync(f.file), 0);
    expect_pages(f.sent(), pages.size());
    f.expect_model();
}

GUEST_TEST(Blocks, AnAppendSendsThePagesThatItTouches) {
    Cached f;
    for (int i = 0; i < 100; i++) {
        f.write(f.model.size(), pattern(100, i));
        ASSERT_EQ(fdatasync(f.file), 0);
        EXPECT_LE(f.sent(), 2 * page);
    }
    f.expect_model();
}

GUEST_TEST(Blocks, AMappedStoreSendsItsPage) {
    Cached f;
    auto *map = static_cast<char *>(
        mmap(nullptr, f.model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, f.file, 0));
    ASSERT_NE(map, MAP_FAILED);
    // What is mapped already is made writable page by page.
    ASSERT_EQ(difference(f.model, std::string(map, f.model.size())), "");
    for (std::size_t at : {page, 100 * page, 101 * page, 900 * page}) {
        map[at] ^= 1;
        f.model[at] ^= 1;
    }
    ASSERT_EQ(msync(map, f.model.size(), MS_SYNC), 0);
    // The flusher may have come between a fault and its store.
    expect_pages(f.sent(), 4);

    // The same page again, and another beside it, after the marks were taken back.
    for (std::size_t at : {100 * page + 1, 102 * page}) {
        map[at] ^= 1;
        f.model[at] ^= 1;
    }
    ASSERT_EQ(munmap(map, f.model.size()), 0);
    ASSERT_EQ(fsync(f.file), 0);
    expect_pages(f.sent(), 2);
    f.expect_model();
}

// Of a folio that nothing maps the first store may make every page writable.
GUEST_TEST(Blocks, EachStoreToAFolioThatOneFaultMappedIsSent) {
    for (bool unmap : {false, true}) {
        Cached f;
        auto *map = static_cast<char *>(
            mmap(nullptr, f.model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, f.file, 0));
        ASSERT_NE(map, MAP_FAILED);
        for (std::size_t at :
             {7 * page, 8 * page, std::size_t{0}, 255 * page, 300 * page, 299 * page}) {
            f.model[at] ^= 1;
            // Nothing is loaded before: that would map the page, read-only.
            map[at] = f.model[at];
        }
        if (unmap)
            munmap(map, f.model.size());
        ASSERT_EQ(fsync(f.file), 0);
        f.expect_model();
        if (!unmap)
            munmap(map, f.model.size());
    }
}

// A store to one page does not send another one of its folio, which the server has changed meanwhile.
GUEST_TEST(Blocks, WhatTheServerCopiedStaysBesideAMappedStore) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=direct"});
    std::string model = pattern(16 * page, 1);
    server.set_content("source", pattern(page, 2));
    Fd source(server.mnt("source"), O_RDONLY), file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    auto *map =
        static_cast<char *>(mmap(nullptr, model.size(), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    ASSERT_NE(map, MAP_FAILED);
    // Mapped read-only, so that a store is a fault of its page.
    ASSERT_EQ(difference(model, std::string(map, model.size())), "");
    server.on(protocol::copy_file_range_64, [&](const Request &request) {
        map[0] = model[0] ^= 1;
        model.replace(8 * page, page, pattern(page, 2));
        std::string now = server.content("f");
        now.replace(8 * page, page, pattern(page, 2));
        server.set_content("f", now);
        std::uint64_t copied = page;
        server.answer(request, bytes_of(copied));
        return true;
    });
    loff_t to = 8 * page;
    ASSERT_EQ(copy_file_range(source, nullptr, file, &to, page, 0), ssize_t(page));
    ASSERT_EQ(munmap(map, model.size()), 0);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

// Who makes one waits for READs with the locks of valid folios.
GUEST_TEST(Blocks, NoFolioIsAsLargeAsAPageTable) {
    constexpr std::size_t huge = 2 << 20;
    constexpr int madv_collapse = 25;
    Cached f(2 * huge);
    auto *map = static_cast<char *>(mmap(nullptr, 2 * huge, PROT_READ, MAP_SHARED, f.file, 0));
    ASSERT_NE(map, MAP_FAILED);
    auto begin = (reinterpret_cast<std::uintptr_t>(map) + huge - 1) / huge * huge;
    EXPECT_EQ(madvise(reinterpret_cast<void *>(begin), huge, madv_collapse), -1);
    EXPECT_EQ(errno, EINVAL);
    munmap(map, 2 * huge);
}

GUEST_TEST(Blocks, TruncationInsideALargeFolioKeepsWhatIsBeforeIt) {
    Cached f;
    std::size_t at = 700000;
    f.write(600000, pattern(5000, 3));
    f.write(800000, pattern(5000, 4));
    ASSERT_EQ(ftruncate(f.file, at), 0);
    f.model.resize(at);
    ASSERT_EQ(fsync(f.file), 0);
    f.expect_model();

    f.write(600010, pattern(10, 5));
    ASSERT_EQ(ftruncate(f.file, at + (1 << 20)), 0);
    f.model.resize(at + (1 << 20));
    ASSERT_EQ(fsync(f.file), 0);
    f.expect_model();
}

GUEST_TEST(Blocks, WritesBeyondTheEndLeaveZeroesBetween) {
    Cached f(100000);
    // Into the folio that appending would take, and behind it.
    for (std::size_t gap : {1, 5000, 70000, 300000}) {
        f.write(f.model.size() + gap, "x");
        f.write(f.model.size(), "y");
        ASSERT_EQ(fsync(f.file), 0);
    }
    f.expect_model();
}
