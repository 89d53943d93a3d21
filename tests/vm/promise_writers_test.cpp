// SPDX-License-Identifier: GPL-2.0-only
// Promise 5: write(2) and stores to a mapping never wait for the writeback of what they change.
#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <iomanip>
#include <iostream>
#include <sstream>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseWriters);

namespace {

constexpr std::size_t file_size = 1 << 20;
constexpr std::size_t piece = 4096;
constexpr auto delay = 2s;
// Of write-backs of the whole, so that several are met by rewriting.
constexpr auto running = 8s;

// Answers each WRITE when it has been out for the delay.
class LateAnswers {
public:
    explicit LateAnswers(RawServer &server) : server_(server), thread_([this] { answer(); }) {
        server_.on(FUSE_WRITE, [this](const Request &request) {
            std::lock_guard lock(mutex_);
            waiting_.emplace_back(Clock::now() + delay, request);
            changed_.notify_one();
            return true;
        });
    }
    ~LateAnswers() {
        server_.on(FUSE_WRITE, [](const Request &) { return false; });
        {
            std::lock_guard lock(mutex_);
            over_ = true;
            changed_.notify_one();
        }
        thread_.join();
    }
    LateAnswers(const LateAnswers &) = delete;
    LateAnswers &operator=(const LateAnswers &) = delete;

private:
    void answer() {
        std::unique_lock lock(mutex_);
        while (!over_ || !waiting_.empty()) {
            if (waiting_.empty()) {
                changed_.wait(lock);
                continue;
            }
            auto [when, request] = waiting_.front();
            if (!over_ && Clock::now() < when) {
                changed_.wait_until(lock, when);
                continue;
            }
            waiting_.pop_front();
            lock.unlock();
            server_.carry_out(request);
            lock.lock();
        }
    }

    RawServer &server_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::pair<Clock::time_point, Request>> waiting_;
    bool over_ = false;
    std::thread thread_;
};

struct Latencies {
    double p999 = 0; // milliseconds
    double worst = 0;
    double waited = 0; // in steps that took half of the server's delay or longer
    std::size_t count = 0;
};

double milliseconds(Clock::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

// Rewrites the file piece by piece for a while, with a writeback of it started now and then.
Latencies rewrite(int fd, bool mapped, std::chrono::seconds time) {
    char *map = nullptr;
    if (mapped) {
        map = static_cast<char *>(
            mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
        check(map == MAP_FAILED ? -1 : 0, "mmap");
    }
    std::vector<double> all;
    std::string bytes = pattern(piece, 1);
    auto end = Clock::now() + time;
    auto next = Clock::now();
    for (std::size_t at = 0; Clock::now() < end; at = (at + piece) % file_size) {
        if (Clock::now() >= next) {
            sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
            next = Clock::now() + 250ms;
        }
        auto start = Clock::now();
        if (map)
            bytes.copy(map + at, 64);
        else
            pwrite_all(fd, bytes, static_cast<off_t>(at));
        all.push_back(milliseconds(Clock::now() - start));
        // Not as fast as it goes: writeback and the server shall have their turn.
        if (all.size() % 64 == 0)
            std::this_thread::sleep_for(1ms);
    }
    if (map)
        munmap(map, file_size);
    std::sort(all.begin(), all.end());
    double waited = 0;
    for (double step : all)
        waited += step < milliseconds(delay) / 2 ? 0 : step;
    return {all[all.size() * 999 / 1000], all.back(), waited, all.size()};
}

std::string text_of(const Latencies &latencies, const Latencies &tmpfs) {
    std::ostringstream text;
    text << std::fixed << std::setprecision(2) << "p99.9 " << latencies.p999 << " ms, "
         << latencies.p999 / tmpfs.p999 << " x tmpfs; longest " << std::setprecision(0)
         << latencies.worst << " ms";
    return text.str();
}

void check_latency(const Client &client, bool mapped, const char *scenario) {
    RawServer server({.max_write = file_size, .type = client.type});
    lift_dirty_limit(server.mount().path());
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, pattern(file_size, 1), 0);
    check(fsync(file), "fsync");
    Fd plain(scratch() / "on-tmpfs", O_RDWR | O_CREAT);
    pwrite_all(plain, pattern(file_size, 1), 0);
    Latencies tmpfs = rewrite(plain, mapped, 3s), ours;
    {
        LateAnswers late(server);
        Task writer("writer", [&] {
            ours = rewrite(file, mapped, running);
            // Waiting shows as few and long steps; the machine's own jitter is in both figures,
            // and now and then it is away for as long as an answer takes.
            double limit = std::max(20 * tmpfs.p999, milliseconds(delay) / 50);
            outcome(client, 5, scenario,
                    ours.p999 < limit && ours.waited < milliseconds(running) / 2,
                    text_of(ours, tmpfs));
            return 0;
        });
        EXPECT_TRUE(writer.ends_within(120s)) << writer.where();
        EXPECT_GT(server.seen(FUSE_WRITE), 1u);
    }
    EXPECT_EQ(fsync(file), 0);
}

} // namespace

PROMISE_TEST(PromiseWriters, RewritingDataInFlightDoesNotWait) {
    check_latency(client, false, "write(2) over data in flight");
}

PROMISE_TEST(PromiseWriters, StoresToDataInFlightDoNotWait) {
    check_latency(client, true, "stores to a mapping in flight");
}

PROMISE_TEST(PromiseWriters, AHungServerWithExtendedAttributesIsNotAsked) {
    RawServer server({.type = client.type});
    // It knows them, and the file has none: no capability that a write takes away.
    server.on(FUSE_GETXATTR, [&](const Request &request) {
        server.answer_error(request, ENODATA);
        return true;
    });
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    pwrite_all(file, pattern(piece, 1), 0);
    check(fsync(file), "fsync");
    server.hold(FUSE_WRITE);
    pwrite_all(file, pattern(piece, 2), 0);
    check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
    ASSERT_TRUE(server.wait_held(FUSE_WRITE, 1));
    server.pause();
    Task writer("write(2)", [&] {
        pwrite_all(file, pattern(piece, 3), 0);
        return 0;
    });
    bool returned = writer.returns_within(patience(client));
    outcome(client, 5, "write(2), a hung server that has xattrs", returned,
            returned ? "returns" : "waits for the server");
    server.resume();
    server.release(FUSE_WRITE);
    EXPECT_TRUE(writer.ends_within(60s)) << writer.where();
    EXPECT_EQ(fsync(file), 0);
    EXPECT_EQ(difference(pattern(piece, 3), server.content("f")), "");
}
