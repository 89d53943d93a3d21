// SPDX-License-Identifier: GPL-2.0-only
// FUSE_DESTROY: the server hears last of all, and once, that its file system is gone.
#include <algorithm>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

// What there is to be given back: an open file that was stored to, and names that were looked up.
void use(RawServer &server) {
    struct stat st;
    for (int i = 0; i < 500; i++)
        EXPECT_NE(stat(server.mnt("f" + std::to_string(i)).c_str(), &st), -1);
    Fd file(server.mnt("f0"), O_RDWR);
    void *memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ASSERT_NE(memory, MAP_FAILED);
    static_cast<char *>(memory)[0] = 'x';
    file.reset();
    EXPECT_EQ(munmap(memory, 4096), 0);
}

} // namespace

GUEST_TEST(Destroy, ComesOnceAndLastWhenItIsUnmounted) {
    needs_fusewb();
    RawServer server;
    for (int i = 0; i < 500; i++)
        server.set_content("f" + std::to_string(i), "content");
    std::mutex mutex;
    std::vector<std::uint32_t> order;
    for (std::uint32_t opcode : {FUSE_WRITE, FUSE_FLUSH, FUSE_SETATTR, FUSE_RELEASE, FUSE_FORGET,
                                 FUSE_BATCH_FORGET, FUSE_DESTROY})
        server.on(opcode, [&](const Request &request) {
            std::lock_guard lock(mutex);
            order.push_back(request.header.opcode);
            return false;
        });
    use(server);
    // What is to be given back waits when the file system goes, and so did the last that was.
    Fd pinned(server.mnt("f1"), O_PATH);
    drop_caches();
    ASSERT_TRUE(wait_until(
        20s, [&] { return server.seen(FUSE_FORGET) + server.seen(FUSE_BATCH_FORGET) > 0; }));
    server.pause();
    pinned.reset();
    drop_caches();
    std::thread unmounting([&] { EXPECT_EQ(server.mount().unmount(), 0); });
    std::this_thread::sleep_for(300ms);
    server.resume();
    unmounting.join();
    ASSERT_TRUE(wait_until(20s, [&] { return server.seen(FUSE_DESTROY) > 0; }));
    EXPECT_FALSE(wait_until(500ms, [&] {
        std::lock_guard lock(mutex);
        return order.back() != FUSE_DESTROY;
    }));
    std::lock_guard lock(mutex);
    EXPECT_EQ(std::count(order.begin(), order.end(), FUSE_DESTROY), 1);
    EXPECT_EQ(std::count(order.begin(), order.end(), FUSE_RELEASE), 1);
    EXPECT_GE(std::count(order.begin(), order.end(), FUSE_WRITE), 1);
    EXPECT_GE(std::count(order.begin(), order.end(), FUSE_FORGET) +
                  std::count(order.begin(), order.end(), FUSE_BATCH_FORGET),
              1);
}

GUEST_TEST(Destroy, DoesNotComeAfterAnAbort) {
    needs_fusewb();
    RawServer server;
    for (int i = 0; i < 500; i++)
        server.set_content("f" + std::to_string(i), "content");
    use(server);
    server.mount().abort();
    EXPECT_EQ(server.mount().unmount(), 0);
    EXPECT_FALSE(wait_until(500ms, [&] { return server.seen(FUSE_DESTROY) > 0; }));
}
