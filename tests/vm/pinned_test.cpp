// SPDX-License-Identifier: GPL-2.0-only
// Pages that somebody has pinned while they are written back.
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/missing_memory.h"
#include "support/passthrough.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;
constexpr std::size_t page = 4096;

} // namespace

// The kernel lets pages be written by whoever pinned them, without a fault that would tell.
GUEST_TEST(Pinned, FoliosAreSentAsCopies) {
    needs_fusewb();
    Passthrough server({.mount_options = "writeback=direct"});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(page, 1);
    pwrite_all(file, model, 0);
    ASSERT_EQ(fsync(file), 0);
    ASSERT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_COPIED], 0u);
    void *mapped = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(mapped, MAP_FAILED);

    // It pins the destination, then faults in the source.
    const std::filesystem::path pinned = scratch() / "pinned";
    Task pinner("process_vm_writev(2)", [&] {
        MissingMemory source(page);
        iovec local{source.start(), page}, remote{mapped, page};
        std::thread watch([&] {
            if (source.wait_wanted(soon))
                write_file(pinned, "");
        });
        watch.detach();
        return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) < 0 ? errno : 0;
    });
    ASSERT_TRUE(wait_until(soon, [&] { return exists(pinned); })) << pinner.where();
    ASSERT_FALSE(pinner.ended()) << "nothing was pinned: " << *pinner.status();
    ASSERT_EQ(fsync(file), 0);
    EXPECT_GE(server.connection()[FUSEWB_A_COUNTER_BYTES_COPIED], page);
    EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
    EXPECT_TRUE(pinner.kill_within(soon)) << pinner.where();
    munmap(mapped, page);
    // Whoever unpins it makes it dirty: the same again, from the page itself.
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model, read_file(server.backing("f"))), "");
}
