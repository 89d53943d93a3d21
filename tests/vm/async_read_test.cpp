// SPDX-License-Identifier: GPL-2.0-only
// A server that did not take FUSE_ASYNC_READ gets one READ of an open file at a time.
#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "support/client.h"
#include "support/files.h"
#include "support/guest_test.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

namespace {

constexpr std::size_t length = 1 << 20;

const std::string &content() {
    static const std::string bytes = pattern(length, 1);
    return bytes;
}

RawServer::Options options(bool async_read, std::size_t max_read) {
    return {.mount_options = "max_read=" + std::to_string(max_read), .async_read = async_read};
}

// Answers READs one after another, and no sooner than a next one has had the time to come.
class SlowReads {
public:
    explicit SlowReads(RawServer &server) : server_(server) {
        server.on(FUSE_READ, [this](const Request &request) {
            std::lock_guard lock(mutex_);
            offsets_.push_back(request.as<fuse_read_in>().offset);
            waiting_.push_back(request);
            return true;
        });
    }
    std::size_t waiting() {
        std::lock_guard lock(mutex_);
        return waiting_.size();
    }
    // Until the task has ended. Return: the most READs that were without an answer together.
    std::size_t serve(Task &task) {
        std::size_t most = 0;
        while (!task.ended()) {
            if (!waiting()) {
                std::this_thread::sleep_for(1ms);
                continue;
            }
            wait_until(3ms, [&] { return waiting() > 1; });
            std::lock_guard lock(mutex_);
            most = std::max(most, waiting_.size());
            server_.carry_out(waiting_.front());
            waiting_.pop_front();
        }
        return most;
    }
    std::vector<std::uint64_t> offsets() {
        std::lock_guard lock(mutex_);
        return offsets_;
    }

private:
    RawServer &server_;
    std::mutex mutex_;
    std::deque<Request> waiting_;
    std::vector<std::uint64_t> offsets_;
};

// The work of a task: a page of the file.
std::function<int()> page_reader(int file, std::size_t offset) {
    return [=] {
        std::string bytes(4096, '\0');
        if (pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)) < 0)
            return errno;
        return bytes == content().substr(offset, bytes.size()) ? 0 : 255;
    };
}

} // namespace

ON_CLIENTS(AsyncRead, "fusewb", "fuse");

CLIENT_TEST(AsyncRead, OneAtATimeInOrderWithoutTheFlag) {
    for (auto [async, max_read] : {std::pair(true, 16384), {false, 16384}, {false, 4096}}) {
        SCOPED_TRACE(std::to_string(max_read) + (async ? ", with it" : ", without it"));
        auto chosen = options(async, static_cast<std::size_t>(max_read));
        chosen.type = client.type;
        chosen.name = std::to_string(max_read) + (async ? "async" : "sync");
        RawServer server(chosen);
        server.set_content("f", content());
        SlowReads reads(server);
        Task task("read", [&] {
            return difference(content(), read_file(server.mnt("f"))).empty() ? 0 : 1;
        });
        std::size_t most = reads.serve(task);
        EXPECT_EQ(task.status(), 0);
        if (async) {
            EXPECT_GT(most, 1u);
            continue;
        }
        auto offsets = reads.offsets();
        EXPECT_EQ(most, 1u);
        EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
        EXPECT_EQ(offsets.size(), length / static_cast<std::size_t>(max_read))
            << "each of them as long as it may be";
    }
}

GUEST_TEST(AsyncRead, WhoSharesAnOpenFileWaitsForTheTurn) {
    needs_fusewb();
    RawServer server(options(false, 65536));
    server.set_content("f", content());
    Fd shared(server.mnt("f"), O_RDONLY), own(server.mnt("f"), O_RDONLY);
    server.hold(FUSE_READ);
    Task first("first", page_reader(shared, 0));
    ASSERT_TRUE(server.wait_held(FUSE_READ, 1)) << first.where();
    Task second("second", page_reader(shared, 512 << 10));
    Task killed("killed", page_reader(shared, 256 << 10));
    EXPECT_FALSE(wait_until(500ms, [&] { return server.held(FUSE_READ) > 1; }));
    EXPECT_TRUE(killed.kill_within(20s)) << killed.where();
    Task other("by a file of its own", page_reader(own, 768 << 10));
    EXPECT_TRUE(server.wait_held(FUSE_READ, 2)) << other.where();
    server.release(FUSE_READ);
    for (Task *task : {&first, &second, &other}) {
        EXPECT_TRUE(task->ends_within(20s)) << task->where();
        EXPECT_EQ(task->status(), 0);
    }
}

GUEST_TEST(AsyncRead, TheTurnOfAKilledTaskIsOver) {
    needs_fusewb();
    RawServer server(options(false, 65536));
    server.set_content("f", content());
    Fd shared(server.mnt("f"), O_RDWR);
    server.hold(FUSE_READ);
    Task writer("write of a part of a page",
                [&] { return pwrite(shared, "x", 1, 100) == 1 ? 0 : errno; });
    ASSERT_TRUE(server.wait_held(FUSE_READ, 1)) << writer.where();
    Task reader("read", page_reader(shared, 512 << 10));
    EXPECT_FALSE(wait_until(300ms, [&] { return server.held(FUSE_READ) > 1; }));
    EXPECT_TRUE(writer.kill_within(20s)) << writer.where();
    EXPECT_TRUE(server.wait_held(FUSE_READ, 2)) << reader.where();
    server.release(FUSE_READ);
    EXPECT_TRUE(reader.ends_within(20s)) << reader.where();
    EXPECT_EQ(reader.status(), 0);
}

GUEST_TEST(AsyncRead, NobodyWaitsForATurnAtAnAbortedServer) {
    needs_fusewb();
    RawServer server(options(false, 65536));
    server.set_content("f", content());
    {
        Fd shared(server.mnt("f"), O_RDONLY);
        server.hold(FUSE_READ);
        Task first("first", page_reader(shared, 0));
        ASSERT_TRUE(server.wait_held(FUSE_READ, 1)) << first.where();
        Task second("second", page_reader(shared, 512 << 10));
        EXPECT_FALSE(second.ends_within(300ms));
        server.mount().abort();
        for (Task *task : {&first, &second}) {
            EXPECT_TRUE(task->ends_within(20s)) << task->where();
            EXPECT_EQ(task->status(), ENOTCONN);
        }
    }
}
