// SPDX-License-Identifier: GPL-2.0-only
// Writeback when nothing can be allocated: it goes on from the connection's reserve, and when a
// server that hangs has all of it, only fsync waits.
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;
constexpr auto a_while = 1s;
constexpr std::size_t page = 4096;

// One kind of allocation fails, in this kernel or in the tasks that ask for it.
class Fault {
public:
    explicit Fault(const std::string &kind) : directory_("/sys/kernel/debug/" + kind) {
        if (access(directory_.c_str(), F_OK))
            mount("none", "/sys/kernel/debug", "debugfs", 0, nullptr);
        if (access(directory_.c_str(), F_OK))
            throw Skip("this kernel has no fault injection (" + kind + ")");
        set("ignore-gfp-wait", "N");
        set("verbose", "0");
        set("interval", "1");
        set("space", "0");
        set("times", "-1");
    }
    ~Fault() { set("probability", "0"); }

    void start() { set("probability", "100"); }
    void stop() { set("probability", "0"); }
    void set(const std::string &name, const std::string &value) {
        check(-write_setting(directory_ / name, value), "fault injection: " + name);
    }

private:
    std::filesystem::path directory_;
};

// Slab allocations of requests fail, and no others.
class NoRequests : public Fault {
public:
    NoRequests() : Fault("failslab") {
        set("cache-filter", "Y");
        check(-write_setting(cache, "1"), "failslab of the cache");
    }
    ~NoRequests() { write_setting(cache, "0"); }

private:
    static constexpr auto cache = "/sys/kernel/slab/fusewb_req/failslab";
};

// Runs one system call in a task for which allocations fail, and nothing else.
template <typename Call> int failing(Call call) {
    Fd make_it_fail("/proc/self/make-it-fail", O_WRONLY);
    // Nor may a page fault of the task itself need a page then.
    check(mlockall(MCL_CURRENT), "mlockall");
    check(write(make_it_fail, "1", 1), "make-it-fail");
    int error = call() ? errno : 0;
    check(write(make_it_fail, "0", 1), "make-it-fail");
    return error;
}

// Pages with gaps between them, so that each is a WRITE of its own.
constexpr unsigned pages = 8;

std::string write_pages(int fd) {
    std::string model(2 * pages * page, '\0');
    check(ftruncate(fd, static_cast<off_t>(model.size())), "ftruncate");
    for (unsigned i = 0; i < pages; i++) {
        std::string bytes = pattern(page, i + 1);
        pwrite_all(fd, bytes, 2 * i * page);
        model.replace(2 * i * page, page, bytes);
    }
    return model;
}

} // namespace

GUEST_TEST(Reserve, WhenItIsUsedUpOnlyFsyncWaits) {
    needs_fusewb();
    RawServer server;
    NoRequests fault;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = write_pages(file);
    server.hold(FUSE_WRITE);

    fault.start();
    expect_sync_returns();
    expect_sync_returns();
    EXPECT_TRUE(server.wait_held(FUSE_WRITE, 2)) << "nothing was written from the reserve";
    Task fsyncer("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_FALSE(fsyncer.ends_within(a_while)) << "fsync did not wait";
    EXPECT_LT(server.held(FUSE_WRITE), pages) << "nothing failed";
    EXPECT_TRUE(fsyncer.kill_within(soon)) << fsyncer.where();

    fault.stop();
    server.release(FUSE_WRITE);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model, server.content("f")), "");
}

GUEST_TEST(Reserve, WritebackGoesOnFromIt) {
    needs_fusewb();
    RawServer server;
    NoRequests fault;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = write_pages(file);
    fault.start();
    EXPECT_TRUE(wait_until(soon, [&] {
        sync();
        return server.seen(FUSE_WRITE) >= pages;
    })) << server.seen(FUSE_WRITE);
    // The last one is seen before it is carried out.
    EXPECT_TRUE(wait_until(soon, [&] { return server.content("f") == model; }))
        << difference(model, server.content("f"));
    fault.stop();
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(server.seen(FUSE_WRITE), pages) << "something was written twice";
}

GUEST_TEST(Reserve, CopiesAreMadeFromIt) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=copy"});
    Fault fault("fail_page_alloc");
    fault.set("task-filter", "Y");
    fault.set("min-order", "0");
    fault.set("ignore-gfp-highmem", "N");
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(200'000, 1);
    pwrite_all(file, model, 0);
    fault.start();
    Task fsyncer("fsync(2) that gets no page",
                 [&] { return failing([&] { return fsync(file); }); });
    EXPECT_TRUE(fsyncer.ends_within(soon)) << fsyncer.where();
    // What it needs besides may have failed, but not the WRITEs.
    EXPECT_TRUE(fsyncer.status() == 0 || fsyncer.status() == ENOMEM) << *fsyncer.status();
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_DIRECT], 0u);
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_COPIED], model.size());
    ASSERT_EQ(fsync(file), 0);
}

GUEST_TEST(Reserve, WithoutItCopiesAreMadeLater) {
    needs_fusewb();
    RawServer server({.mount_options = "writeback=copy"});
    Fault fault("fail_page_alloc");
    fault.set("task-filter", "Y");
    fault.set("min-order", "0");
    fault.set("ignore-gfp-highmem", "N");
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::string model = pattern(200'000, 1);
    pwrite_all(file, model, 0);
    server.hold(FUSE_WRITE);
    // The server does not even read: what was copied keeps the reserve.
    fault.start();
    Task writer("writeback that gets no page", [&] {
        return failing([&] { return sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE); });
    });
    EXPECT_TRUE(writer.ends_within(soon)) << writer.where();
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_DIRECT], 0u);
    server.release(FUSE_WRITE);
    ASSERT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(model, server.content("f")), "");
    EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_DIRECT], 0u);
}
