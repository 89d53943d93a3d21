// SPDX-License-Identifier: GPL-2.0-only
// Servers that splice(2) the device: the folios themselves are in the pipe then, and nobody can do
// with them what a copy would not allow.
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/spliced.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t head = sizeof(fuse_in_header) + sizeof(fuse_write_in);

// A file of a paused server, and its WRITE waiting to be read.
struct Waiting {
    explicit Waiting(std::size_t size, bool live = true) : model(pattern(size, 1)) {
        needs_fusewb();
        server = std::make_unique<RawServer>(
            RawServer::Options{.mount_options = "writeback=direct", .max_write = 512 * 1024});
        Netlink().set_policy(server->connection().id,
                             {{FUSEWB_A_POLICY_SPLICE_FOLIOS, live ? 1u : 0u}});
        file = Fd(server->mnt("f"), O_RDWR | O_CREAT);
        // The first write asks the server for what is removed from a file that is written.
        pwrite_all(file, "x", 0);
        check(fsync(file), "fsync");
        server->pause();
        write(model, 0);
    }
    void write(std::string_view bytes, std::size_t pos) {
        pwrite_all(file, bytes, static_cast<off_t>(pos));
        model.resize(std::max(model.size(), pos + bytes.size()));
        model.replace(pos, bytes.size(), bytes);
        issue();
    }
    void issue() { check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range"); }

    // Pages of the file in memory, of those that are clean, after they were let go.
    std::size_t kept() {
        drop_pages(file);
        std::size_t pages = (model.size() + page - 1) / page, count = 0;
        void *bytes = mmap(nullptr, pages * page, PROT_READ, MAP_SHARED, file, 0);
        check(bytes == MAP_FAILED ? -1 : 0, "mmap");
        std::vector<unsigned char> in_memory(pages);
        check(mincore(bytes, pages * page, in_memory.data()), "mincore");
        munmap(bytes, pages * page);
        for (auto state : in_memory)
            count += state & 1;
        return count;
    }

    void expect_model() {
        EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
        server->resume();
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, server->content("f")), "");
        EXPECT_TRUE(server->overlaps().empty());
        drop_pages(file);
        EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
    }

    std::unique_ptr<RawServer> server;
    std::string model;
    Fd file;
};

// Everything in the pipe goes on to a file, by splice(2), moved if the kernel finds that it can.
std::string on_to_a_file(Spliced &spliced, std::size_t count, Fd &target) {
    target = Fd(scratch() / "target", O_RDWR | O_CREAT | O_TRUNC);
    for (std::size_t done = 0; done < count;) {
        long n =
            check(splice(spliced.read_end, nullptr, target, nullptr, count - done, SPLICE_F_MOVE),
                  "splice to a file");
        if (!n)
            throw std::runtime_error("the pipe ends early");
        done += static_cast<std::size_t>(n);
    }
    return pread_all(target, count, 0);
}

} // namespace

GUEST_TEST(Splice, AMessageArrivesWhole) {
    for (bool live : {true, false}) {
        for (std::size_t size : {std::size_t{1}, page, page + 100, 5 * page - 1, 16 * page,
                                 std::size_t{300000}, std::size_t{512 * 1024}}) {
            Waiting f(size, live);
            Spliced spliced(*f.server);
            ASSERT_EQ(spliced.length(), head + size) << "live " << live;
            Request request{};
            std::string fixed = spliced.take(head);
            std::memcpy(&request.header, fixed.data(), sizeof(request.header));
            ASSERT_EQ(request.header.opcode, static_cast<std::uint32_t>(FUSE_WRITE));
            ASSERT_EQ(request.header.len, head + size);
            Fd target;
            std::string data = on_to_a_file(spliced, size, target);
            EXPECT_EQ(difference(f.model, data), "") << size << " bytes, live " << live;
            request.body = fixed.substr(sizeof(request.header)) + data;
            f.server->carry_out(request);
            f.expect_model();
        }
    }
}

GUEST_TEST(Splice, WhatIsMovedFromThePipeIsNotTheFilesAnyMore) {
    Waiting f(64 * page);
    Spliced spliced(*f.server);
    std::string fixed = spliced.take(head);
    Fd target;
    std::string data = on_to_a_file(spliced, 64 * page, target);
    // The server does with its file what it likes, through a mapping too.
    pwrite_all(target, pattern(32 * page, 7), 0);
    auto *bytes = static_cast<char *>(
        mmap(nullptr, 64 * page, PROT_READ | PROT_WRITE, MAP_SHARED, target, 0));
    ASSERT_NE(bytes, MAP_FAILED);
    std::memset(bytes + 32 * page, 'e', 32 * page);
    munmap(bytes, 64 * page);
    EXPECT_EQ(difference(f.model, pread_all(f.file, f.model.size(), 0)), "");

    Request request{};
    std::memcpy(&request.header, fixed.data(), sizeof(request.header));
    request.body = fixed.substr(sizeof(request.header)) + data;
    f.server->carry_out(request);
    f.expect_model();
}

GUEST_TEST(Splice, WhatIsWrittenToThePipeIsAppendedToNoFolio) {
    Waiting f(page + 100);
    Spliced spliced(*f.server);
    std::string more(200, 'e');
    ASSERT_EQ(write(spliced.write_end, more.data(), more.size()), 200);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    Fd copy_read(ends[0]), copy_write(ends[1]);
    // tee(2) refers to the same pages once more.
    ASSERT_GT(tee(spliced.read_end, copy_write, 1 << 20, 0), 0);
    ASSERT_EQ(write(copy_write, more.data(), more.size()), 200);

    auto *bytes = static_cast<char *>(mmap(nullptr, 2 * page, PROT_READ, MAP_SHARED, f.file, 0));
    ASSERT_NE(bytes, MAP_FAILED);
    EXPECT_EQ(std::string(bytes, page + 100), f.model);
    EXPECT_EQ(std::string(bytes + page + 100, page - 100), std::string(page - 100, '\0'))
        << "behind the end of the file";
    munmap(bytes, 2 * page);
    Request request = spliced.take();
    EXPECT_EQ(spliced.take(200), more);
    f.server->carry_out(request);
    f.expect_model();
}

GUEST_TEST(Splice, AWriterDoesNotWaitForWhatIsInThePipe) {
    Waiting f(64 * page);
    Spliced spliced(*f.server);
    std::string before = f.model, after = pattern(64 * page, 2);
    Task writer("write(2)", [&] {
        pwrite_all(f.file, after, 0);
        return 0;
    });
    ASSERT_TRUE(writer.ends_within(20s)) << writer.where();
    f.model = after;
    f.issue();

    // Of each page the server gets what was there first or what is there now.
    Request request = spliced.take();
    ASSERT_EQ(request.body.size(), sizeof(fuse_write_in) + before.size());
    for (std::size_t at = 0; at < before.size(); at += page) {
        auto got = request.body.substr(sizeof(fuse_write_in) + at, page);
        EXPECT_TRUE(got == before.substr(at, page) || got == after.substr(at, page)) << at;
    }
    // And once more what was written meanwhile, but not before the answer.
    std::size_t seen = f.server->seen(FUSE_WRITE);
    f.server->resume();
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(f.server->seen(FUSE_WRITE), seen);
    f.server->carry_out(request);
    f.expect_model();
}

GUEST_TEST(Splice, ADeadServersPipeKeepsFoliosAndGivesThemBack) {
    for (bool dies : {true, false}) {
        Waiting f(128 * page);
        auto spliced = std::make_unique<Spliced>(*f.server);
        ASSERT_EQ(f.server->connection()[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 128 * page);
        if (dies)
            f.server->die();
        else
            f.server->mount().abort();
        EXPECT_EQ(fsync(f.file), -1) << "nothing was lost";
        // Somebody may still have them: they are not used for anything else.
        EXPECT_EQ(f.kept(), 128u);
        EXPECT_EQ(difference(f.model, spliced->take().body.substr(sizeof(fuse_write_in))), "");
        spliced.reset();
        EXPECT_EQ(f.kept(), 0u);
        f.file.reset();
        EXPECT_EQ(f.server->mount().unmount(), 0);
    }
}

GUEST_TEST(Splice, APipeOutlivesTheFileSystem) {
    std::unique_ptr<Spliced> spliced;
    std::string model;
    {
        Waiting f(128 * page);
        spliced = std::make_unique<Spliced>(*f.server);
        f.server->mount().abort();
        model = f.model;
    }
    EXPECT_EQ(difference(model, spliced->take().body.substr(sizeof(fuse_write_in))), "");
}
