// SPDX-License-Identifier: GPL-2.0-only
// Promise 4: migration never waits for writeback, and loses nothing.
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/raw_server.h"
#include "support/spliced.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseMigration);

namespace {

// Not in every C library's headers.
constexpr int madv_soft_offline = 101;
constexpr std::size_t page = 4096;
constexpr std::size_t in_flight = 512 * 1024;
constexpr std::size_t file_size = 2 << 20;

// What moves pages. Return: 0, or errno: whether all could be moved is not the question.
struct Mover {
    const char *name;
    bool (*works)();
    int (*move)(char *mapped);
};

bool there(const char *path) { return access(path, W_OK) == 0; }
bool two_nodes() { return access("/sys/devices/system/node/node1", F_OK) == 0; }

// Only what a page table of the caller refers to is found by its address.
void touch(const char *mapped, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += page)
        [[maybe_unused]] char byte = *static_cast<const volatile char *>(mapped + at);
}

int compact(char *) { return write_setting("/proc/sys/vm/compact_memory", "1"); }

int reserve_huge_pages(char *) {
    int error = write_setting("/proc/sys/vm/nr_hugepages", "64");
    write_setting("/proc/sys/vm/nr_hugepages", "0");
    return error;
}

int move_to_the_other_node(char *mapped) {
    constexpr unsigned count = in_flight / page;
    void *pages[count];
    int nodes[count], status[count];
    for (int node : {1, 0}) {
        touch(mapped, in_flight);
        for (unsigned i = 0; i < count; i++) {
            pages[i] = mapped + i * page;
            nodes[i] = node;
        }
        if (syscall(SYS_move_pages, 0, static_cast<unsigned long>(count), pages, nodes, status,
                    MPOL_MF_MOVE_ALL) < 0)
            return errno;
    }
    return 0;
}

int bind_to_the_other_node(char *mapped) {
    for (unsigned long node : {2ul, 1ul}) {
        touch(mapped, in_flight);
        if (syscall(SYS_mbind, mapped, in_flight, MPOL_BIND, &node, 8ul, MPOL_MF_MOVE_ALL) < 0 &&
            errno != EIO)
            return errno;
    }
    return 0;
}

int soft_offline(char *mapped) {
    return madvise(mapped + 16 * page, page, madv_soft_offline) ? errno : 0;
}

bool can_soft_offline() { return there("/sys/devices/system/memory/soft_offline_page"); }

// The block of memory that the first page lies in.
std::string block_of(char *mapped) {
    Fd pagemap("/proc/self/pagemap", O_RDONLY);
    std::uint64_t entry = 0;
    auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(mapped) / page * 8);
    if (pread(pagemap, &entry, sizeof(entry), at) != sizeof(entry) || !(entry >> 63))
        return "";
    std::uint64_t frame = entry & ((1ull << 55) - 1);
    std::uint64_t block =
        std::stoull(slurp("/sys/devices/system/memory/block_size_bytes"), nullptr, 16);
    return "/sys/devices/system/memory/memory" + std::to_string(frame * page / block) + "/state";
}

int offline_memory(char *mapped) {
    touch(mapped, page);
    std::string state = block_of(mapped);
    if (state.empty())
        return ENOENT;
    int error = write_setting(state, "offline");
    write_setting(state, "online");
    return error;
}

const Mover movers[] = {
    {"compact_memory", [] { return there("/proc/sys/vm/compact_memory"); }, compact},
    {"huge pages", [] { return there("/proc/sys/vm/nr_hugepages"); }, reserve_huge_pages},
    {"move_pages", two_nodes, move_to_the_other_node},
    {"mbind", two_nodes, bind_to_the_other_node},
    {"soft offline", can_soft_offline, soft_offline},
    {"memory offline",
     [] {
         return there("/sys/devices/system/memory/block_size_bytes") ||
                !access("/sys/devices/system/memory/block_size_bytes", R_OK);
     },
     offline_memory},
};

enum class Where { Queued, Sent, Spliced };

void check_movers(const Client &client, Where where, const char *scenario) {
    RawServer server({.max_write = in_flight, .type = client.type});
    lift_dirty_limit(server.mount().path());
    std::string model = pattern(file_size, 1);
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, model, 0);
    check(fsync(file), "fsync");
    auto *mapped =
        static_cast<char *>(mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    check(mapped == MAP_FAILED ? -1 : 0, "mmap");

    if (where == Where::Sent)
        server.hold(FUSE_WRITE);
    else
        server.pause();
    std::string fresh = pattern(in_flight, 2);
    pwrite_all(file, fresh, 0);
    model.replace(0, in_flight, fresh);
    check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
    std::unique_ptr<Spliced> spliced;
    if (where == Where::Sent) {
        ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    } else if (where == Where::Spliced) {
        spliced = std::make_unique<Spliced>(server);
    }

    std::string waited, moved;
    std::vector<std::unique_ptr<Task>> waiting;
    for (const auto &mover : movers) {
        if (!mover.works())
            continue;
        auto task = std::make_unique<Task>(mover.name, [&] { return mover.move(mapped); });
        if (task->returns_within(patience(client))) {
            moved += std::string(moved.empty() ? "" : ", ") + mover.name;
            waiting.push_back(std::move(task));
            continue;
        }
        // Offlining memory tries again until it can, and looks for a signal each time: no wait.
        std::string where = task->where();
        if (mover.move == offline_memory && task->kill_within(5s)) {
            moved +=
                std::string(moved.empty() ? "" : ", ") + mover.name + " (tries again until killed)";
            continue;
        }
        std::cout << where << std::endl;
        waited += std::string(waited.empty() ? "" : ", ") + mover.name;
        waiting.push_back(std::move(task));
    }
    // The task that waits for the range is none of those that move it.
    if (spliced)
        server.carry_out(spliced->take());
    server.resume();
    server.release(FUSE_WRITE);
    for (auto &task : waiting)
        EXPECT_TRUE(task->ends_within(60s)) << task->where();
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model, std::string_view(mapped, file_size)), "");
    EXPECT_EQ(difference(model, server.content("f")), "");
    munmap(mapped, file_size);
    if (moved.empty() && waited.empty())
        throw Skip("nothing moves pages here");
    outcome(client, 4, scenario, waited.empty(),
            waited.empty() ? moved : "waits for the server: " + waited);
}

} // namespace

PROMISE_TEST_WITHIN(PromiseMigration, GoesOnWhileWritesAreQueued, std::chrono::seconds(400)) {
    check_movers(client, Where::Queued, "migration, writes queued");
}

PROMISE_TEST_WITHIN(PromiseMigration, GoesOnWhileWritesAreWithTheServer,
                    std::chrono::seconds(400)) {
    check_movers(client, Where::Sent, "migration, writes with the server");
}

PROMISE_TEST_WITHIN(PromiseMigration, GoesOnWhileWritesAreSpliced, std::chrono::seconds(400)) {
    check_movers(client, Where::Spliced, "migration, writes spliced and held");
}
