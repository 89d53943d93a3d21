// SPDX-License-Identifier: GPL-2.0-only
// Promise 9: a server cannot harm others. What a hung one holds is bounded, and given back.
#include <cerrno>
#include <fstream>
#include <iostream>
#include <sstream>

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/push.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseBounds);

namespace {

// A number after a key of a file of keys and numbers, 0 if it is not there.
std::size_t number_in(const std::filesystem::path &path, const std::string &key) {
    std::istringstream words(slurp(path));
    for (std::string word; words >> word;)
        if (word == key || word == key + ":") {
            std::size_t value = 0;
            words >> value;
            return value;
        }
    return 0;
}

std::size_t pages_in(const char *key) {
    // What each processor has counted for itself is added up.
    write_setting("/proc/sys/vm/stat_refresh", "1");
    return number_in("/proc/vmstat", key);
}

// Objects of the module's slab caches that are in use; empty caches have given their slabs back.
std::size_t objects() {
    std::size_t all = 0;
    std::error_code ignored;
    for (const auto &cache : std::filesystem::directory_iterator("/sys/kernel/slab", ignored)) {
        if (!cache.path().filename().string().starts_with("fusewb"))
            continue;
        write_setting(cache.path() / "shrink", "1");
        all += std::strtoul(slurp(cache.path() / "objects").c_str(), nullptr, 10);
    }
    return all;
}

// Much more than any bound.
constexpr off_t pushed = 128 << 20;

void push_against_a_hung_server(const Client &client, const std::string &scenario,
                                bool by_mapping) {
    sync();
    std::size_t dirty_before = pages_in("nr_dirty"), writeback_before = pages_in("nr_writeback"),
                objects_before = objects();
    std::string text;
    bool holds = true;
    {
        Passthrough server({.type = client.type});
        dev_t dev = mounted_dev(server.mount().path());
        auto stats = std::filesystem::path("/sys/kernel/debug/bdi") /
                     (std::to_string(major(dev)) + ":" + std::to_string(minor(dev))) / "stats";
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        pwrite_all(file, "x", 0);
        check(ftruncate(file, pushed), "ftruncate");
        check(fsync(file), "fsync");
        if (by_mapping)
            make_cached(file, pushed);
        server.stop();
        Task writer("writer that pushes", [&] {
            return by_mapping ? push_by_mapping(file, pushed) : push_by_write(file, pushed);
        });
        // It was let through, or it sleeps.
        std::size_t held = 0, last = 1;
        for (unsigned i = 0; i < 20 && (held != last || (client.ours() && !held)); i++) {
            last = held;
            std::this_thread::sleep_for(2s);
            held = number_in(stats, "BdiReclaimable") + number_in(stats, "BdiWriteback");
        }
        std::size_t limit = number_in(stats, "DirtyThresh");
        if (!limit)
            throw Skip("no statistics of the bdi here");
        // On the kernel's own client he may wait for the first page that was sent.
        if (client.ours())
            EXPECT_GT(held, 0u) << writer.where();
        // One request and what a writer may add between two looks at the limit, beside it.
        std::size_t bound = limit / 50 + 4096;
        if (held > bound || writer.ended()) {
            holds = false;
            text = writer.ended() ? "nothing stops the writer, " : "";
        }
        text += std::to_string(held) + " KiB of the machine's " + std::to_string(limit) +
                " KiB of dirty data";
        bool killed = writer.kill_within(patience(client));
        if (!killed) {
            holds = false;
            text += ", the writer survives SIGKILL";
        }
        server.mount().abort();
        EXPECT_TRUE(writer.ends_within(60s)) << writer.where();
        file.reset();
    }
    bool back = wait_until(30s, [&] {
        return pages_in("nr_dirty") <= dirty_before + 64 &&
               pages_in("nr_writeback") <= writeback_before + 64 &&
               (!client.ours() || objects() <= objects_before);
    });
    if (!back) {
        holds = false;
        std::ostringstream more;
        more << ", after the abort " << pages_in("nr_dirty") << " dirty pages, "
             << pages_in("nr_writeback") << " under writeback, " << objects()
             << " objects (before: " << dirty_before << ", " << writeback_before << ", "
             << objects_before << ")";
        text += more.str();
    }
    outcome(client, 9, scenario, holds, text);
}

} // namespace

PROMISE_TEST(PromiseBounds, AHungServerHoldsNoMoreThanItsLimitAndGivesItBack) {
    push_against_a_hung_server(client, "hung server, a writer that pushes", false);
}

PROMISE_TEST(PromiseBounds, AHungServerHoldsNoMoreOfAMapping) {
    push_against_a_hung_server(client, "hung server, a mapping that is written", true);
}

PROMISE_TEST(PromiseBounds, DataInFlightAreHeldOnce) {
    constexpr std::size_t size = 64 << 10; // one request
    RawServer server({.type = client.type});
    Fd file(server.mnt("f"), O_RDWR | O_CREAT);
    std::size_t before = pages_in("nr_writeback_temp");
    // The kernel looks at a writer's limits for what ended tasks dirtied, too, and the writer would
    // sleep for a server that holds; where it slept for one that answers, nothing may be left.
    for (int i = 0; i < 5 && !server.held(FUSE_WRITE); i++) {
        pwrite_all(file, pattern(size, 1), 0);
        server.hold(FUSE_WRITE);
        check(sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range");
        if (!wait_until(2s, [&] { return server.held(FUSE_WRITE) > 0; }))
            server.release(FUSE_WRITE);
    }
    ASSERT_TRUE(server.held(FUSE_WRITE));
    std::size_t copied = (pages_in("nr_writeback_temp") - before) * sysconf(_SC_PAGESIZE);
    if (client.ours())
        copied += server.connection()[FUSEWB_A_COUNTER_BYTES_COPIED];
    std::ostringstream text;
    if (copied)
        text << copied / 1024 << " of " << size / 1024 << " KiB are held twice";
    else
        text << "no second copy";
    outcome(client, 9, "data in flight", !copied, text.str());
    if (!client.ours()) {
        server.mount().abort();
        return;
    }
    server.release(FUSE_WRITE);
    check(fsync(file), "fsync");
    EXPECT_EQ(server.content("f"), pattern(size, 1));
}
