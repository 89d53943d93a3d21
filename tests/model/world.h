// SPDX-License-Identifier: GPL-2.0-only
// One file of a few folios, its inode with the real in-flight ranges, a queue of WRITE requests, a
// server, and what tasks do with them: the steps of module/writeback.c and its callers, as far as
// they touch folios, ranges and requests.
//
// Every content has a number, and a later one is greater: a truncation gives the bytes that it cuts
// off a new number as a write does. So "older" is a comparison.
#pragma once

#include <cstdint>

extern "C" {
#include "inflight.h"
#include "inode.h"
}

namespace fusewb::model {

constexpr unsigned pages = 2;
constexpr unsigned frames = 8;
constexpr unsigned requests = 4;
constexpr std::uint64_t page_size = 4096;

struct Frame {
    std::uint8_t content;
    std::uint8_t references; // of requests
    std::uint8_t lock;       // task + 1
    bool used;
    bool uptodate;
    bool dirty;
    bool mapped; // is in the page cache
};

enum class State : std::uint8_t { Free, Gathered, Queued, Copying, Sent, Answering };

struct Write {
    fusewb_range range;
    State state;
    std::uint8_t first; // page
    std::uint8_t count;
    std::uint8_t frame[pages];
    std::uint8_t payload[pages];
    bool expired; // its deadline ended it for those who wait, the server still has it
};

struct World {
    fusewb_inode inode;
    Frame frame[frames];
    std::uint8_t cache[pages]; // frame + 1
    Write write[requests];
    std::uint8_t backing[pages];
    std::uint8_t newest[pages];  // of all contents ever written there
    std::uint8_t numbers;        // given out so far
    std::uint8_t errors;         // of the mapping
    std::uint8_t may_fail;       // WRITEs that the server may yet refuse
    std::uint8_t may_expire;     // requests that may yet run out of time
    std::uint8_t may_kill;       // waits that may yet be killed
    std::uint8_t clients;        // tasks that may still make requests
    std::uint8_t recalls;        // so far
    std::uint8_t holding[pages]; // a hold of the page was granted and not released
    bool wakes_get_lost;         // faults for proving the checks
    bool expiry_frees_the_range;
    bool fsync_ignores_recalls;
};

extern World world;

// A world with an empty file; its tasks are counted, for servers end after the last of them.
void begin(unsigned clients);

// Tasks. Each ends by itself; those with a page work on that one.
void writer(unsigned page);
void flush();     // the flusher, sync(2)
void fsync_all(); // checks what fsync promises
void truncate_from(unsigned page);
void direct_write(unsigned page);
void read_page(unsigned page); // checks that nothing old is read
void reclaim();
void migrate(unsigned page); // retargets a request that is queued
void recall();               // takes queued requests back
void serve();                // copies, carries out and answers, in any order with others
void expire();               // the deadline of requests that are out, action fail

// What must hold after every step, and when nobody can go on.
void check_step();
void check_end();

} // namespace fusewb::model
