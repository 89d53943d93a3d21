// SPDX-License-Identifier: GPL-2.0-only
// A server that dies: who uses the file system gets errors, and everything can be taken down.
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"
#include "support/passthrough.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr auto soon = 20s;

int stat_error(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? errno : 0;
}

void expect_not_connected(const std::filesystem::path &mnt) {
    EXPECT_EQ(stat_error(mnt / "never seen"), ENOTCONN);
    EXPECT_EQ(open((mnt / "new").c_str(), O_WRONLY | O_CREAT, 0600), -1);
    EXPECT_EQ(errno, ENOTCONN);
    EXPECT_EQ(mkdir((mnt / "directory").c_str(), 0700), -1);
    EXPECT_EQ(errno, ENOTCONN);
    EXPECT_EQ(open(mnt.c_str(), O_RDONLY | O_DIRECTORY), -1);
    EXPECT_EQ(errno, ENOTCONN);
}

int run_program(std::vector<const char *> words) {
    words.push_back(nullptr);
    pid_t pid;
    int status;
    int error = posix_spawnp(&pid, words[0], nullptr, nullptr,
                             const_cast<char *const *>(words.data()), environ);
    if (error)
        throw Skip(std::string(words[0]) + ": " + std::strerror(error));
    check(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Return: 0 or errno of delete_module(2).
int remove_module() { return syscall(SYS_delete_module, "fusewb", O_NONBLOCK) ? errno : 0; }

// The file of $FUSEWB_MODULE, or what modprobe finds.
void load_module() {
    const char *file = std::getenv("FUSEWB_MODULE");
    ASSERT_EQ(file ? run_program({"insmod", file}) : run_program({"modprobe", "fusewb"}), 0);
    ASSERT_TRUE(wait_until(soon, [] { return access("/dev/fusewb", R_OK | W_OK) == 0; }));
}

} // namespace

GUEST_TEST(ServerDeath, InTheMiddleOfAWriteGivesTheCallerAnError) {
    Passthrough server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    Fd other(server.mnt("f"), O_RDWR);
    pwrite_all(file, pattern(1 << 20, 1), 0);
    ASSERT_EQ(fsync(file), 0);
    server.stop();
    pwrite_all(file, pattern(16384, 2), 0);
    Task waiter("fsync(2)", [&] { return fsync(file) ? errno : 0; });
    EXPECT_FALSE(waiter.ends_within(1s));
    server.kill();
    ASSERT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_TRUE(waiter.status() == EIO || waiter.status() == ENOTCONN) << *waiter.status();
    // The other open file is told too.
    EXPECT_EQ(fsync(other), -1);
    EXPECT_TRUE(errno == EIO || errno == ENOTCONN) << std::strerror(errno);
    expect_not_connected(server.mnt());
    if (fs_type() == "fusewb") {
        EXPECT_GT(server.connection()[FUSEWB_A_COUNTER_WRITE_ERRORS], 0u);
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_BYTES_IN_FLIGHT], 0u);
        EXPECT_EQ(server.connection()[FUSEWB_A_COUNTER_WAITING], 0u);
        EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_ABORTED));
    }
}

GUEST_TEST(ServerDeath, WhileAWriterKeepsWritingEndsTheWriter) {
    Passthrough server;
    Task writer("writer with fsync", [&] {
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        std::string bytes = pattern(1 << 18, 1);
        for (off_t offset = 0;; offset = (offset + (1 << 18)) % (16 << 20))
            if (pwrite(file, bytes.data(), bytes.size(), offset) < 0 || fsync(file))
                return errno;
    });
    ASSERT_TRUE(wait_until(soon, [&] {
        std::error_code none;
        auto size = std::filesystem::file_size(server.backing("f"), none);
        return !none && size > 0;
    }));
    EXPECT_FALSE(writer.ends_within(500ms));
    server.kill();
    ASSERT_TRUE(writer.ends_within(soon)) << writer.where();
    EXPECT_TRUE(writer.status() == EIO || writer.status() == ENOTCONN) << *writer.status();
}

GUEST_TEST(ServerDeath, WriteThroughFailsAtOnce) {
    Passthrough server({.writeback = false});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "before", 0);
    server.kill();
    EXPECT_EQ(pwrite(file, "after", 5, 0), -1);
    EXPECT_EQ(errno, ENOTCONN);
    EXPECT_EQ(fsync(file), -1);
    EXPECT_EQ(errno, ENOTCONN);
}

GUEST_TEST(ServerDeath, CloseReturnsAndUnmountWorks) {
    Passthrough server;
    {
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, pattern(1 << 20, 1), 0);
        server.kill();
        EXPECT_EQ(file.reset(), -1) << "close(2) did not report that data was lost";
    }
    EXPECT_EQ(server.mount().unmount(), 0);
}

GUEST_TEST(ServerDeath, MappingsFaultInsteadOfHanging) {
    Passthrough server;
    write_file(server.backing("f"), pattern(100000, 1));
    Fd file(server.mnt("f"), O_RDONLY);
    server.kill();
    Task reader("reader of a mapping", [&] {
        auto *bytes = static_cast<char *>(mmap(nullptr, 100000, PROT_READ, MAP_SHARED, file, 0));
        return bytes == MAP_FAILED ? 1 : bytes[50000] == 0;
    });
    ASSERT_TRUE(reader.ends_within(soon)) << reader.where();
    EXPECT_EQ(reader.status(), 128 + SIGBUS);
}

GUEST_TEST(ServerDeath, BeforeInitFailsEveryAccess) {
    needs_fusewb();
    Fd device = open_device();
    Mount mount(scratch() / "mnt", device, "");
    Task waiter("stat(2)", [&] {
        device.reset();
        return stat_error(mount.path() / "x");
    });
    EXPECT_FALSE(waiter.ends_within(500ms)) << "did not wait for FUSE_INIT";
    device.reset();
    ASSERT_TRUE(waiter.ends_within(soon)) << waiter.where();
    EXPECT_EQ(waiter.status(), ENOTCONN);
    EXPECT_EQ(mount.unmount(), 0);
}

GUEST_TEST(ServerDeath, AnotherServerCanServeTheSameMountPointAtOnce) {
    Passthrough server;
    write_file(server.mnt("f"), "kept");
    server.kill();
    EXPECT_EQ(stat_error(server.mnt("g")), ENOTCONN);
    EXPECT_EQ(server.mount().unmount(), 0);
    Passthrough next;
    EXPECT_EQ(read_file(next.mnt("f")), "kept");
}

GUEST_TEST(ServerDeath, IsTheEndOfItsLastDescriptorAndNotEarlier) {
    needs_fusewb();
    RawServer server;
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, "x", 0);
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_READY));
    server.die();
    EXPECT_EQ(server.connection().state, unsigned(FUSEWB_CONN_ABORTED));
    EXPECT_EQ(stat_error(server.mnt("f2")), ENOTCONN);
    EXPECT_TRUE(pwrite(file, "y", 1, 0) < 0 || fsync(file) < 0) << "written to nobody";
}

GUEST_TEST(Module, CanBeRemovedWhenNothingIsMountedAndLoadedAgain) {
    needs_fusewb();
    {
        Passthrough server;
        EXPECT_EQ(remove_module(), EWOULDBLOCK) << "removed under a mounted file system";
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, pattern(1 << 20, 1), 0);
        server.kill();
        EXPECT_EQ(fsync(file), -1);
    }
    int error = 0;
    // What a process of the last mount still held goes with it.
    EXPECT_TRUE(wait_until(soon, [&] { return (error = remove_module()) == 0; }))
        << std::strerror(error);
    EXPECT_NE(access("/dev/fusewb", F_OK), 0);
    EXPECT_THROW(Netlink(), std::exception);
    load_module();
    Passthrough server;
    write_file(server.mnt("f"), "again");
    EXPECT_EQ(read_file(server.backing("f")), "again");
}
