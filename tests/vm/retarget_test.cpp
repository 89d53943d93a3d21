// SPDX-License-Identifier: GPL-2.0-only
// A folio whose WRITE waits to be read by the server moves, and the WRITE moves with it.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/spliced.h"

using namespace fusewb::test;

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t pages = 64;

// A file whose pages are in a queued WRITE, and mapped here.
struct Queued {
    explicit Queued(std::size_t chunk) {
        needs_fusewb();
        if (access("/sys/devices/system/node/node1", F_OK))
            throw Skip("there is no other node to move memory to");
        // The first write asks the server for what is removed from a file that is written.
        pwrite_all(file, "x", 0);
        check(fsync(file), "fsync");
        server.pause();
        for (std::size_t at = 0; at < model.size(); at += chunk)
            pwrite_all(file, std::string_view(model).substr(at, chunk), static_cast<off_t>(at));
        check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
        mapped = static_cast<char *>(mmap(nullptr, model.size(), PROT_READ, MAP_SHARED, file, 0));
        check(mapped == MAP_FAILED ? -1 : 0, "mmap");
    }
    ~Queued() { munmap(mapped, model.size()); }

    // Asks for all pages to be on the node. Return: how many are there then.
    std::size_t move_to(int node) {
        std::vector<void *> addresses(pages);
        std::vector<int> nodes(pages, node), status(pages, -1);
        // Only what a page table refers to is found.
        for (std::size_t i = 0; i < pages; i++) {
            addresses[i] = mapped + i * page;
            [[maybe_unused]] char byte = *static_cast<volatile char *>(addresses[i]);
        }
        check(syscall(SYS_move_pages, 0, pages, addresses.data(), nodes.data(), status.data(),
                      MPOL_MF_MOVE_ALL),
              "move_pages");
        // Where they are, asked anew.
        check(syscall(SYS_move_pages, 0, pages, addresses.data(), nullptr, status.data(), 0),
              "move_pages");
        return static_cast<std::size_t>(std::count(status.begin(), status.end(), node));
    }
    std::uint64_t retargets() { return server.connection()[FUSEWB_A_COUNTER_RETARGETS]; }
    std::uint64_t refused() { return server.connection()[FUSEWB_A_COUNTER_MIGRATE_AGAIN]; }

    void expect_model() {
        EXPECT_EQ(difference(model, std::string_view(mapped, model.size())), "");
        server.resume();
        ASSERT_EQ(fsync(file), 0);
        EXPECT_EQ(difference(model, server.content("f")), "");
        drop_pages(file);
        EXPECT_EQ(difference(model, pread_all(file, model.size(), 0)), "");
    }

    RawServer server{{.mount_options = "writeback=direct", .max_write = pages * page}};
    std::string model = pattern(pages * page, 1);
    Fd file{server.mnt("f"), O_RDWR | O_CREAT};
    char *mapped = nullptr;
};

void check_retarget(std::size_t chunk) {
    Queued f(chunk);
    for (int node : {1, 0, 1}) {
        std::uint64_t before = f.retargets();
        EXPECT_EQ(f.move_to(node), pages) << "node " << node;
        if (node == 0)
            EXPECT_GT(f.retargets(), before);
    }
    EXPECT_GT(f.retargets(), 0u);
    // What is rewritten after the move is in the folio that the WRITE has now.
    std::string fresh = pattern(page, 9);
    pwrite_all(f.file, fresh, 3 * page);
    f.model.replace(3 * page, page, fresh);
    f.expect_model();
}

} // namespace

GUEST_TEST(Retarget, SmallFoliosOfAQueuedWriteMove) { check_retarget(page); }

GUEST_TEST(Retarget, LargeFoliosOfAQueuedWriteMove) { check_retarget(pages * page); }

GUEST_TEST(Retarget, FoliosInAPipeStayWhereTheyAre) {
    Queued f(page);
    std::uint64_t moved = f.retargets();
    Spliced spliced(f.server);
    std::size_t there[2] = {f.move_to(0), f.move_to(1)};
    // They are on one of the two, and stay.
    EXPECT_EQ(there[0] + there[1], pages);
    EXPECT_EQ(f.retargets(), moved);
    EXPECT_GT(f.refused(), 0u);
    f.server.carry_out(spliced.take());
    f.expect_model();
}
