// SPDX-License-Identifier: GPL-2.0-only
// Promise 6: two WRITEs over the same bytes are never with the server together, and a read never
// returns data older than a WRITE that is out.
#include <atomic>
#include <condition_variable>
#include <iostream>
#include <random>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"
#include "support/promise.h"
#include "support/raw_server.h"
#include "support/task.h"

using namespace fusewb::test;

PROMISES(PromiseOrder);

namespace {

constexpr std::size_t record = 1000;
constexpr std::size_t records = 600;

// What a record holds in its n-th version.
std::string version_of(std::size_t index, unsigned version) {
    return version ? pattern(record, index * 1000 + version) : std::string(record, '\0');
}

// One of several tasks, each of which owns every records-th record: writes, stores to a mapping,
// reads, flushes, drops pages, and knows what each of its records has to be.
int work_on_own_records(const std::filesystem::path &path, unsigned task, unsigned tasks,
                        std::chrono::seconds time) {
    Fd file(path, O_RDWR);
    std::mt19937 random(task + 1);
    std::vector<unsigned> versions(records, 0);
    char *map = nullptr;
    auto end = Clock::now() + time;
    int wrong = 0;
    while (Clock::now() < end && !wrong) {
        std::size_t index = random() % (records / tasks) * tasks + task;
        auto offset = static_cast<off_t>(index * record);
        switch (unsigned what = random() % 100; what / 10) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
            pwrite_all(file, version_of(index, ++versions[index]), offset);
            break;
        case 5:
        case 6:
        case 7:
            wrong = pread_all(file, record, offset) != version_of(index, versions[index]);
            break;
        case 8: {
            if (!map)
                map = static_cast<char *>(
                    mmap(nullptr, records * record, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
            std::string bytes = version_of(index, ++versions[index]);
            bytes.copy(map + offset, record);
            if (random() % 5 == 0) {
                munmap(map, records * record);
                map = nullptr;
            }
            break;
        }
        default:
            if (what == 99)
                check(fdatasync(file), "fdatasync");
            else if (what == 98)
                drop_pages(file);
            else if (what == 97)
                drop_caches();
            else if (what == 96)
                sync();
            else
                sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
        }
    }
    check(fsync(file), "fsync");
    for (std::size_t index = task; index < records && !wrong; index += tasks)
        wrong = pread_all(file, record, static_cast<off_t>(index * record)) !=
                version_of(index, versions[index]);
    return wrong;
}

} // namespace

PROMISE_TEST(PromiseOrder, NoTwoWritesOfTheSameBytesAreOutTogether) {
    constexpr unsigned threads = 16, tasks = 4;
    RawServer server({.max_write = 32768, .type = client.type, .threads = threads});
    {
        Fd file(server.mnt("f"), O_RDWR | O_CREAT);
        check(ftruncate(file, records * record), "ftruncate");
    }
    // Answers come after a random time, so in random order.
    std::atomic<unsigned> seed = 1;
    server.on(FUSE_WRITE, [&](const Request &) {
        std::minstd_rand random(seed++ * 7919);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
        return false;
    });
    std::vector<std::unique_ptr<Task>> workers;
    for (unsigned i = 0; i < tasks; i++)
        workers.push_back(std::make_unique<Task>("worker on its own records", [&, i] {
            return work_on_own_records(server.mnt("f"), i, tasks, 15s);
        }));
    bool data = true;
    for (auto &worker : workers) {
        EXPECT_TRUE(worker->ends_within(150s)) << worker->where();
        data = data && worker->status() == 0;
    }
    // The file in the cache is what the server has.
    data = data && difference(read_file(server.mnt("f")), server.content("f")).empty();
    auto overlaps = server.overlaps();
    std::cout << server.seen(FUSE_WRITE) << " WRITEs, " << server.seen(FUSE_READ) << " READs"
              << std::endl;
    EXPECT_GT(server.seen(FUSE_WRITE), 50u);
    outcome(client, 6, "16 server threads answer in random order", overlaps.empty() && data,
            !overlaps.empty() ? std::to_string(overlaps.size()) + " overlaps, " + overlaps.front()
            : data            ? "no overlap, all data right"
                              : "wrong data");
}
