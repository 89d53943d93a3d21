// SPDX-License-Identifier: GPL-2.0-only
// Promise 7: what a server did not take is reported once to every open file; the rest is there.
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseNoLoss);

namespace {

constexpr std::size_t size = 24576;

// What happens to the WRITEs, and where they are when it happens.
struct Mishap {
    const char *what;
    std::function<void(RawServer &)> before; // the data is written
    std::function<void(RawServer &)> during; // a task waits in fsync
    bool ends_connection = false;
};

void refuse(RawServer &server, int error) {
    server.on(FUSE_WRITE, [&server, error](const Request &request) {
        server.answer_error(request, error);
        return true;
    });
}

// Every other WRITE is refused, so that some bytes are there and some are not.
void refuse_some(RawServer &server) {
    server.on(FUSE_WRITE, [&server, count = 0u](const Request &request) mutable {
        if (count++ % 2 == 0)
            return false;
        server.answer_error(request, EIO);
        return true;
    });
}

bool hold_first(RawServer &server, std::uint32_t opcode) { return server.wait_held(opcode, 1); }

int sync_error(int fd) { return fsync(fd) ? errno : 0; }

} // namespace

PROMISE_TEST_WITHIN(PromiseNoLoss, EveryByteIsThereOrReportedOncePerOpenFile,
                    std::chrono::seconds(100)) {
    const Mishap mishaps[] = {
        {"ENOSPC", [](RawServer &s) { refuse(s, ENOSPC); }, [](RawServer &) {}},
        {"EIO", [](RawServer &s) { refuse(s, EIO); }, [](RawServer &) {}},
        {"EIO of some", refuse_some, [](RawServer &) {}},
        {"EIO when it was out", [](RawServer &s) { s.hold(FUSE_WRITE); },
         [](RawServer &s) {
             EXPECT_TRUE(hold_first(s, FUSE_WRITE));
             refuse(s, EIO);
             s.refuse_held(FUSE_WRITE, EIO);
         }},
        {"the server dies with it in hand", [](RawServer &s) { s.hold(FUSE_WRITE); },
         [](RawServer &s) {
             EXPECT_TRUE(hold_first(s, FUSE_WRITE));
             s.die();
         },
         true},
        {"the server dies before it reads it", [](RawServer &s) { s.pause(); },
         [](RawServer &s) {
             std::this_thread::sleep_for(500ms);
             s.die();
         },
         true},
        {"an abort with it in hand", [](RawServer &s) { s.hold(FUSE_WRITE); },
         [](RawServer &s) {
             EXPECT_TRUE(hold_first(s, FUSE_WRITE));
             s.mount().abort();
         },
         true},
        {"an abort before it is read", [](RawServer &s) { s.pause(); },
         [](RawServer &s) {
             std::this_thread::sleep_for(500ms);
             s.mount().abort();
         },
         true},
        {"nothing", [](RawServer &) {}, [](RawServer &) {}},
    };
    std::set<std::string> lost;
    unsigned number = 0;
    for (const auto &mishap : mishaps) {
        RawServer server(
            {.max_write = 8192, .name = "r" + std::to_string(number++), .type = client.type});
        Fd first(server.mnt("f"), O_RDWR | O_CREAT);
        Fd second(server.mnt("f"), O_RDWR);
        std::string model = pattern(size, 1);
        // The first write asks the server for what is removed from a file that is written, and the
        // kernel's own client for attributes.
        pwrite_all(first, "x", 0);
        check(fsync(first), "fsync");
        struct stat st;
        check(fstat(first, &st), "fstat");
        mishap.before(server);
        Task writer("write(2)", [&] {
            pwrite_all(first, model, 0);
            return 0;
        });
        if (!writer.returns_within(patience(client))) {
            lost.insert(std::string(mishap.what) + ": write hangs");
            server.mount().abort();
            EXPECT_TRUE(writer.ends_within(20s)) << writer.where();
            continue;
        }
        Task waiter("fsync(2)", [&] { return sync_error(first); });
        waiter.ends_within(500ms);
        mishap.during(server);
        if (!waiter.ends_within(patience(client))) {
            lost.insert(std::string(mishap.what) + ": fsync hangs");
            server.mount().abort();
            continue;
        }
        // The waiting process shares this process's open file: it has seen its error.
        bool there = difference(model, server.content("f")).empty();
        int told = waiter.status().value_or(0);
        int other = sync_error(second), again = sync_error(first), other_again = sync_error(second);
        if (!there && !told)
            lost.insert(std::string(mishap.what) + ": fsync returned 0");
        if (!there && !other)
            lost.insert(std::string(mishap.what) + ": the other open file was not told");
        // A connection that is gone goes on to be an error, of whatever is done.
        bool gone = again == ENOTCONN || again == EIO;
        if ((again || other_again) && !(gone && mishap.ends_connection))
            lost.insert(std::string(mishap.what) + ": told twice");
        if (there && (told || other))
            lost.insert(std::string(mishap.what) + ": an error though all is there");
        server.forget_hooks();
        first.reset();
        second.reset();
    }
    std::string text;
    for (const auto &one : lost)
        text += (text.empty() ? "" : "; ") + one;
    outcome(client, 7, "each byte is with the server or reported", lost.empty(),
            lost.empty() ? "told once per open file" : text);
}
