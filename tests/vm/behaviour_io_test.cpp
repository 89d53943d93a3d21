// SPDX-License-Identifier: GPL-2.0-only
// The ways of input and output beside read(2) and write(2), and what they see of each other. The
// same tests pass on the kernel's own client with the same server and, where no server has a
// part in it, on tmpfs.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/aio.h"
#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/uring.h"

using namespace fusewb::test;

namespace {

unsigned next_random(unsigned &state) { return (state = state * 1103515245 + 12345) >> 8; }

} // namespace

ON_CLIENTS(IoBehaviour, "fusewb", "fuse", "tmpfs");

CLIENT_TEST(IoBehaviour, SendfileAndSpliceCarryTheDataBothWays) {
    Place place(client);
    std::string data = pattern(300000, 1);
    write_file(place("from"), data);
    Fd from(place("from"), O_RDONLY), to(place("to"), O_RDWR | O_CREAT);
    for (std::size_t done = 0; done < data.size();) {
        ssize_t n = sendfile(to, from, nullptr, data.size() - done);
        ASSERT_GT(n, 0) << errno;
        done += static_cast<std::size_t>(n);
    }
    EXPECT_EQ(difference(data, pread_all(to, data.size() + 1, 0)), "");
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    Fd out(ends[0]), in(ends[1]);
    Fd spliced(place("spliced"), O_RDWR | O_CREAT);
    loff_t offset = 0;
    for (;;) {
        ssize_t n = splice(from, &offset, in, nullptr, 60000, 0);
        ASSERT_GE(n, 0) << errno;
        if (!n)
            break;
        for (ssize_t left = n; left;) {
            ssize_t moved = splice(out, nullptr, spliced, nullptr, static_cast<std::size_t>(left),
                                   SPLICE_F_MOVE);
            ASSERT_GT(moved, 0) << errno;
            left -= moved;
        }
    }
    ASSERT_EQ(fsync(spliced), 0);
    EXPECT_EQ(difference(data, read_file(place.backing("spliced"))), "");
}

CLIENT_TEST(IoBehaviour, IoUringReadsWritesAndSyncs) {
    Place place(client);
    constexpr unsigned blocks = 32, size = 8192;
    Uring uring(blocks);
    Fd file(place("f"), O_RDWR | O_CREAT);
    std::string data = pattern(blocks * size, 1), back(blocks * size, '\0');
    for (unsigned i = 0; i < blocks; i++)
        uring.add(IORING_OP_WRITE, file, data.data() + i * size, size, i * size, i);
    for (auto [number, result] : uring.submit_and_wait())
        EXPECT_EQ(result, int(size)) << "write " << number;
    uring.add(IORING_OP_FSYNC, file, nullptr, 0, 0, 7);
    EXPECT_EQ(uring.submit_and_wait()[7], 0);
    EXPECT_EQ(difference(data, read_file(place.backing("f"))), "");
    drop_pages(file);
    for (unsigned i = 0; i < blocks; i++)
        uring.add(IORING_OP_READ, file, back.data() + i * size, size, i * size, i);
    for (auto [number, result] : uring.submit_and_wait())
        EXPECT_EQ(result, int(size)) << "read " << number;
    EXPECT_EQ(difference(data, back), "");
    uring.add(IORING_OP_READ, file, back.data(), size, off_t(data.size()) - 100, 1);
    uring.add(IORING_OP_WRITE, -1, data.data(), size, 0, 2);
    auto results = uring.submit_and_wait();
    EXPECT_EQ(results[1], 100);
    EXPECT_EQ(results[2], -EBADF);
}

ON_CLIENTS(DirectBehaviour, "fusewb", "fuse");

CLIENT_TEST(DirectBehaviour, MappingsReadWriteAndDirectAgree) {
    RawServer server({.type = client.type});
    constexpr std::size_t pages = 24, size = pages * 4096;
    std::string model(size, '\0');
    server.set_content("f", model);
    Fd cached(server.mnt("f"), O_RDWR), direct(server.mnt("f"), O_RDWR | O_DIRECT);
    auto *mapped =
        static_cast<char *>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0));
    ASSERT_NE(static_cast<void *>(mapped), MAP_FAILED);
    Pages buffer(size);
    unsigned random = 7;
    for (unsigned step = 0; step < 250; step++) {
        std::size_t page = next_random(random) % pages;
        std::size_t count = 1 + next_random(random) % std::min<std::size_t>(4, pages - page);
        std::size_t from = page * 4096 + next_random(random) % 4096;
        std::size_t length = std::min<std::size_t>(1 + next_random(random) % 9000, size - from);
        std::string bytes = pattern(16384, step);
        switch (next_random(random) % 6) {
        case 0:
            pwrite_all(cached, std::string_view(bytes).substr(0, length), off_t(from));
            model.replace(from, length, bytes, 0, length);
            break;
        case 1:
            std::memcpy(mapped + from, bytes.data(), length);
            model.replace(from, length, bytes, 0, length);
            break;
        case 2:
            std::memcpy(buffer.at(), bytes.data(), count * 4096);
            ASSERT_EQ(pwrite(direct, buffer.at(), count * 4096, off_t(page * 4096)),
                      ssize_t(count * 4096));
            model.replace(page * 4096, count * 4096, bytes, 0, count * 4096);
            break;
        case 3:
            ASSERT_EQ(pread(direct, buffer.at(), count * 4096, off_t(page * 4096)),
                      ssize_t(count * 4096));
            ASSERT_EQ(difference(std::string_view(model).substr(page * 4096, count * 4096),
                                 buffer.view(count * 4096)),
                      "")
                << "direct read in step " << step;
            break;
        case 4:
            ASSERT_EQ(difference(std::string_view(model).substr(from, length),
                                 pread_all(cached, length, off_t(from))),
                      "")
                << "read in step " << step;
            break;
        default:
            ASSERT_EQ(difference(std::string_view(model).substr(from, length),
                                 std::string_view(mapped + from, length)),
                      "")
                << "mapping in step " << step;
        }
    }
    EXPECT_EQ(msync(mapped, size, MS_SYNC), 0);
    munmap(mapped, size);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

// By a descriptor of O_DIRECT, and of a file that the server has read directly.
CLIENT_TEST(DirectBehaviour, SendfileAndSpliceCarryTheData) {
    for (std::uint32_t open_flags : {0u, std::uint32_t(FOPEN_DIRECT_IO)}) {
        RawServer server({.open_flags = open_flags, .type = client.type});
        std::string data = pattern(25 * 4096, 1);
        server.set_content("f", data);
        Fd from(server.mnt("f"), open_flags ? O_RDONLY : O_RDONLY | O_DIRECT);
        Fd to(memfd_create("to", 0));
        for (std::size_t done = 0; done < data.size();) {
            ssize_t n = sendfile(to, from, nullptr, data.size() - done);
            ASSERT_GT(n, 0) << errno;
            done += static_cast<std::size_t>(n);
        }
        EXPECT_EQ(difference(data, pread_all(to, data.size(), 0)), "");
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        Fd out(ends[0]), in(ends[1]);
        loff_t offset = 4096;
        ASSERT_EQ(splice(from, &offset, in, nullptr, 3 * 4096, 0), 3 * 4096);
        std::string got(3 * 4096, '\0');
        ASSERT_EQ(read(out, got.data(), got.size()), ssize_t(got.size()));
        EXPECT_EQ(difference(data.substr(4096, got.size()), got), "");
    }
}

CLIENT_TEST(DirectBehaviour, AsynchronousDirectIoIsCarriedOut) {
    RawServer server({.type = client.type, .threads = 2});
    constexpr unsigned blocks = 16, size = 4096;
    std::string data = pattern(blocks * size, 3);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT | O_DIRECT);
    Pages buffer(blocks * size);
    Aio aio(blocks);
    auto run = [&](unsigned operation) {
        for (unsigned i = 0; i < blocks; i++)
            aio.submit(operation, file, buffer.at(i * size), size, off_t(i * size), i);
        auto results = aio.wait(blocks);
        EXPECT_EQ(results.size(), blocks);
        for (auto [number, result] : results)
            EXPECT_EQ(result, int(size)) << "call " << number;
    };
    std::memcpy(buffer.at(), data.data(), data.size());
    run(IOCB_CMD_PWRITE);
    EXPECT_EQ(difference(data, server.content("f")), "");
    std::memset(buffer.at(), 0, data.size());
    run(IOCB_CMD_PREAD);
    EXPECT_EQ(difference(data, buffer.view(data.size())), "");
}
