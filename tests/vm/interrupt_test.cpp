// SPDX-License-Identifier: GPL-2.0-only
// A signal that a process handles: the server hears of it and decides what becomes of the request.
#include <cerrno>
#include <csignal>
#include <functional>
#include <mutex>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

int look(const std::filesystem::path &path) {
    struct stat st;
    return stat(path.c_str(), &st) ? errno : 0;
}

int open_and_close(const std::filesystem::path &path) {
    int fd = open(path.c_str(), O_RDONLY);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

int read_once(int fd) {
    char buffer[100];
    ssize_t n = pread(fd, buffer, sizeof(buffer), 0);
    return n < 0 ? errno : n == 7 ? 0 : EIO;
}

// Holds the first request of an operation back until it is interrupted.
class Interrupted {
public:
    // The answer then is an error, or, without one, the usual one.
    Interrupted(RawServer &server, std::uint32_t opcode, int error) {
        server.on(opcode, [this](const Request &request) {
            std::lock_guard lock(mutex_);
            if (asked_)
                return false;
            asked_ = request;
            return true;
        });
        server.on(FUSE_INTERRUPT, [this, &server, error](const Request &request) {
            std::lock_guard lock(mutex_);
            if (!asked_) {
                ADD_FAILURE() << "nobody had asked";
                return true;
            }
            EXPECT_EQ(request.as<fuse_interrupt_in>().unique, asked_->header.unique);
            EXPECT_NE(request.header.unique, asked_->header.unique);
            if (error)
                EXPECT_EQ(server.answer_error(*asked_, error), 0);
            else
                server.carry_out(*asked_);
            return true;
        });
    }
    bool wait_asked() {
        return wait_until(20s, [&] {
            std::lock_guard lock(mutex_);
            return asked_.has_value();
        });
    }

private:
    std::mutex mutex_;
    std::optional<Request> asked_;
};

} // namespace

ON_CLIENTS(Interrupt, "fusewb", "fuse");

CLIENT_TEST(Interrupt, IsSentForASignalAndTheAnswerIsThatOfTheCall) {
    catch_signal();
    const struct {
        const char *name;
        std::uint32_t opcode;
        std::function<int(RawServer &, int fd)> call;
    } calls[] = {
        {"lookup", FUSE_LOOKUP, [](RawServer &server, int) { return look(server.mnt("other")); }},
        {"open", FUSE_OPEN, [](RawServer &server, int) { return open_and_close(server.mnt("f")); }},
        {"read", FUSE_READ, [](RawServer &, int fd) { return read_once(fd); }},
    };
    for (const auto &[name, opcode, call] : calls)
        for (int error : {EINTR, 0}) {
            SCOPED_TRACE(std::string(name) + (error ? " refused" : " carried out"));
            RawServer server({.open_flags = FOPEN_DIRECT_IO,
                              .name = std::string(name) + (error ? "-refused" : "-carried-out"),
                              .type = client.type});
            server.set_content("f", "content");
            server.set_content("other", "content");
            Fd file(server.mnt("f"), O_RDONLY);
            Interrupted interrupted(server, opcode, error);
            Task task(name, [&, call = call] { return call(server, file); });
            ASSERT_TRUE(interrupted.wait_asked()) << task.where();
            EXPECT_FALSE(task.ends_within(100ms));
            EXPECT_EQ(server.seen(FUSE_INTERRUPT), 0u);
            kill(task.pid(), SIGUSR1);
            ASSERT_TRUE(task.ends_within(20s)) << task.where();
            EXPECT_EQ(task.status(), error);
            EXPECT_EQ(server.seen(FUSE_INTERRUPT), 1u);
            // It may be tried again.
            EXPECT_EQ(call(server, file), 0);
        }
}

// As of any file system: a read of the page cache ends with its data.
CLIENT_TEST(Interrupt, DoesNotEndAReadThroughTheCache) {
    catch_signal();
    RawServer server({.type = client.type});
    server.set_content("f", "content");
    Fd file(server.mnt("f"), O_RDONLY);
    server.hold(FUSE_READ);
    Task task("read", [&] { return read_once(file); });
    ASSERT_TRUE(server.wait_held(FUSE_READ, 1)) << task.where();
    kill(task.pid(), SIGUSR1);
    EXPECT_FALSE(task.ends_within(300ms));
    server.release(FUSE_READ);
    ASSERT_TRUE(task.ends_within(20s)) << task.where();
    EXPECT_EQ(task.status(), 0);
}
