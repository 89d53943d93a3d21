// SPDX-License-Identifier: GPL-2.0-only
#include "world.h"

#include <cstring>
#include <string>

#include "explorer.h"

bool model_tree_is_blind;

namespace fusewb::model {

World world;

namespace {

std::string number(unsigned value) { return std::to_string(value); }

bool is_free(const void *lock) { return !static_cast<const spinlock *>(lock)->held; }
bool has_no_writer(const void *lock) { return !static_cast<const rw_semaphore *>(lock)->writer; }

void lock_inode() {
    Explorer::wait_for("inode lock", has_no_writer, &world.inode.inode.i_rwsem);
    world.inode.inode.i_rwsem.writer = 1;
}

void unlock_inode() { world.inode.inode.i_rwsem.writer = 0; }

bool is_unlocked(const void *frame) { return !static_cast<const Frame *>(frame)->lock; }

// Frames -----------------------------------------------------------------------------------------

Frame *cached(unsigned page) {
    return world.cache[page] ? &world.frame[world.cache[page] - 1] : nullptr;
}

std::uint8_t index_of(const Frame *frame) { return static_cast<std::uint8_t>(frame - world.frame); }

Frame *take_frame() {
    for (auto &frame : world.frame) {
        if (frame.used)
            continue;
        frame = Frame{};
        frame.used = true;
        return &frame;
    }
    Explorer::fail("the world has too few frames");
    return nullptr;
}

void drop_if_unused(Frame *frame) {
    if (!frame->mapped && !frame->references && !frame->lock)
        *frame = Frame{};
}

void lock(Frame *frame, const char *where) {
    Explorer::wait_for(where, is_unlocked, frame);
    frame->lock = static_cast<std::uint8_t>(Explorer::self() + 1);
}

bool try_lock(Frame *frame) {
    if (frame->lock)
        return false;
    frame->lock = static_cast<std::uint8_t>(Explorer::self() + 1);
    return true;
}

void unlock(Frame *frame) {
    frame->lock = 0;
    drop_if_unused(frame);
}

// The folio of the page, locked; one that was not there is new and not up to date.
Frame *lock_or_create(unsigned page) {
    for (;;) {
        Frame *frame = cached(page);
        if (!frame) {
            frame = take_frame();
            frame->mapped = true;
            frame->lock = static_cast<std::uint8_t>(Explorer::self() + 1);
            world.cache[page] = static_cast<std::uint8_t>(index_of(frame) + 1);
            return frame;
        }
        lock(frame, "folio lock");
        if (cached(page) == frame)
            return frame;
        unlock(frame);
    }
}

void remove_from_cache(unsigned page) {
    Frame *frame = cached(page);
    frame->mapped = false;
    frame->dirty = false;
    world.cache[page] = 0;
}

std::uint8_t new_content(unsigned page) { return world.newest[page] = ++world.numbers; }

std::uint64_t first_byte(unsigned page) { return page * page_size; }
std::uint64_t last_byte(unsigned page) { return (page + 1) * page_size - 1; }

// Requests ---------------------------------------------------------------------------------------

Write *take_write() {
    for (auto &write : world.write) {
        if (write.state == State::Free) {
            write.state = State::Gathered;
            return &write;
        }
    }
    Explorer::fail("the world has too few requests");
    return nullptr;
}

void drop_references(Write &write) {
    for (unsigned i = 0; i < write.count; i++) {
        if (write.frame[i] == frames)
            continue;
        Frame &frame = world.frame[write.frame[i]];
        write.frame[i] = frames;
        frame.references--;
        drop_if_unused(&frame);
    }
}

void end(Write &write) {
    drop_references(write);
    if (!write.expired || !world.expiry_frees_the_range)
        fusewb_inflight_remove(&world.inode, &write.range);
    write = Write{};
}

// One pass of writeback over the file.
struct Issue {
    Write *gathered;
    bool wait;
};

void submit(Issue &issue) {
    if (!issue.gathered)
        return;
    Explorer::yield("submit");
    issue.gathered->state = State::Queued;
    issue.gathered = nullptr;
}

bool claim(Issue &issue, unsigned page) {
    Write *write = issue.gathered;
    if (write && write->range.last + 1 == first_byte(page))
        return fusewb_inflight_extend(&world.inode, &write->range, last_byte(page));
    submit(issue);
    write = take_write();
    if (!fusewb_inflight_add(&world.inode, &write->range, first_byte(page), last_byte(page))) {
        *write = Write{};
        return false;
    }
    write->first = static_cast<std::uint8_t>(page);
    issue.gathered = write;
    return true;
}

// Return: false if the bytes are in flight or held.
bool issue_locked(Issue &issue, Frame *frame, unsigned page) {
    if (cached(page) != frame || !frame->dirty)
        return true;
    if (!claim(issue, page))
        return false;
    frame->dirty = false;
    frame->references++;
    Write &write = *issue.gathered;
    write.frame[write.count++] = index_of(frame);
    return true;
}

// Return: false if killed.
bool issue_page(Issue &issue, unsigned page) {
    for (;;) {
        Explorer::yield("look at the folio");
        Frame *frame = cached(page);
        if (!frame || !frame->dirty)
            return true;
        if (!try_lock(frame)) {
            if (!issue.wait)
                return true;
            // Nobody shall wait for what is not even queued.
            submit(issue);
            lock(frame, "folio lock");
        }
        bool done = issue_locked(issue, frame, page);
        unlock(frame);
        if (done || !issue.wait)
            return true;
        submit(issue);
        if (fusewb_inflight_wait_free(&world.inode, first_byte(page), last_byte(page)))
            return false;
    }
}

bool issue_all(bool wait) {
    Issue issue{nullptr, wait};
    bool all = true;
    for (unsigned page = 0; page < pages && all; page++)
        all = issue_page(issue, page);
    submit(issue);
    return all;
}

bool work_for_the_server(const void *) {
    if (!world.clients)
        return true;
    for (const auto &write : world.write)
        if (write.state == State::Queued)
            return true;
    return false;
}

// The task makes no more requests.
void client_is_done() { world.clients--; }

} // namespace

void begin(unsigned clients) {
    std::memset(static_cast<void *>(&world), 0, sizeof(world));
    fusewb_inflight_init(&world.inode);
    world.clients = static_cast<std::uint8_t>(clients);
    model_tree_is_blind = false;
}

// Tasks ------------------------------------------------------------------------------------------

void writer(unsigned page) {
    lock_inode();
    Frame *frame = lock_or_create(page);
    frame->content = new_content(page);
    frame->uptodate = true;
    frame->dirty = true;
    unlock(frame);
    unlock_inode();
    client_is_done();
}

void flush() {
    issue_all(false);
    client_is_done();
}

void fsync_all() {
    // Of a file that was opened before all of this: it is told of every error.
    std::uint8_t asked[pages];
    std::memcpy(asked, world.newest, sizeof(asked));
    // What is recalled while fsync waits for it is dirty again, and fsync has to send it once more.
    bool done;
    std::uint8_t recalls;
    do {
        recalls = world.recalls;
        done = issue_all(true) &&
               !fusewb_inflight_wait_unexpired(&world.inode, 0, last_byte(pages - 1));
    } while (done && recalls != world.recalls && !world.fsync_ignores_recalls);
    Explorer::yield("fsync has waited");
    if (done && !world.errors)
        for (unsigned page = 0; page < pages; page++)
            if (world.backing[page] < asked[page])
                Explorer::fail("fsync returned 0 and the server has content " +
                               number(world.backing[page]) + ", not " + number(asked[page]));
    client_is_done();
}

void truncate_from(unsigned page) {
    fusewb_range range{};
    lock_inode();
    if (!fusewb_inflight_hold(&world.inode, &range, first_byte(page), UINT64_MAX)) {
        for (unsigned p = page; p < pages; p++)
            world.holding[p]++;
        Explorer::yield("SETATTR");
        for (unsigned p = page; p < pages; p++)
            world.backing[p] = new_content(p);
        for (unsigned p = page; p < pages; p++) {
            Explorer::yield("drop the folio");
            Frame *frame = cached(p);
            if (!frame)
                continue;
            lock(frame, "folio lock");
            if (cached(p) == frame)
                remove_from_cache(p);
            unlock(frame);
        }
        for (unsigned p = page; p < pages; p++)
            world.holding[p]--;
        fusewb_inflight_release(&world.inode, &range);
    }
    unlock_inode();
    client_is_done();
}

void direct_write(unsigned page) {
    fusewb_range range{};
    lock_inode();
    if (!fusewb_inflight_hold(&world.inode, &range, first_byte(page), last_byte(page))) {
        world.holding[page]++;
        Explorer::yield("WRITE of a direct write");
        world.backing[page] = new_content(page);
        Explorer::yield("invalidate the folio");
        Frame *frame = cached(page);
        if (frame) {
            lock(frame, "folio lock");
            if (cached(page) == frame)
                remove_from_cache(page);
            unlock(frame);
        }
        world.holding[page]--;
        fusewb_inflight_release(&world.inode, &range);
    }
    unlock_inode();
    client_is_done();
}

void read_page(unsigned page) {
    Explorer::yield("read");
    std::uint8_t known = world.newest[page];
    // Who cuts off or writes around the cache at the same time is not ordered with a read.
    bool unordered = world.holding[page];
    Frame *frame = lock_or_create(page);
    if (!frame->uptodate) {
        if (fusewb_inflight_wait(&world.inode, first_byte(page), last_byte(page))) {
            remove_from_cache(page);
            unlock(frame);
            client_is_done();
            return;
        }
        Explorer::yield("READ");
        frame->content = world.backing[page];
        Explorer::yield("the answer to READ");
        frame->uptodate = true;
    }
    if (!unordered && frame->content < known && !world.errors)
        Explorer::fail("read content " + number(frame->content) + " after " + number(known) +
                       " had been written");
    unlock(frame);
    client_is_done();
}

void reclaim() {
    for (unsigned page = 0; page < pages; page++) {
        Explorer::yield("reclaim");
        Frame *frame = cached(page);
        if (!frame || frame->lock || frame->dirty || frame->references)
            continue;
        remove_from_cache(page);
        drop_if_unused(frame);
    }
    client_is_done();
}

void migrate(unsigned page) {
    Explorer::yield("migrate");
    Frame *from = cached(page);
    if (!from || !try_lock(from)) {
        client_is_done();
        return;
    }
    // Under the queue's lock: what is copied or was spliced cannot be moved.
    Write *holder = nullptr;
    bool can = cached(page) == from;
    for (auto &write : world.write)
        for (unsigned i = 0; i < write.count; i++)
            if (write.frame[i] == index_of(from)) {
                can = can && write.state == State::Queued && !holder;
                holder = &write;
            }
    if (can) {
        Frame *to = take_frame();
        *to = *from;
        to->lock = 0;
        if (holder)
            for (unsigned i = 0; i < holder->count; i++)
                if (holder->frame[i] == index_of(from))
                    holder->frame[i] = index_of(to);
        world.cache[page] = static_cast<std::uint8_t>(index_of(to) + 1);
        from->mapped = false;
        from->dirty = false;
        from->references = 0;
    }
    unlock(from);
    client_is_done();
}

void recall() {
    for (auto &write : world.write) {
        Explorer::yield("recall");
        if (write.state != State::Queued)
            continue;
        // Off the queue first: nobody hands it over any more.
        write.state = State::Answering;
        for (unsigned i = 0; i < write.count; i++) {
            Frame *frame = &world.frame[write.frame[i]];
            lock(frame, "folio lock");
            if (frame->mapped)
                frame->dirty = true;
            unlock(frame);
        }
        world.recalls++;
        end(write);
    }
    client_is_done();
}

void serve() {
    for (;;) {
        Explorer::wait_for("the server's read", work_for_the_server, nullptr);
        Write *write = nullptr;
        for (auto &queued : world.write)
            if (queued.state == State::Queued && !write)
                write = &queued;
        if (!write)
            return;
        write->state = State::Copying;
        for (unsigned i = 0; i < write->count; i++) {
            Explorer::yield("copy a folio");
            write->payload[i] = world.frame[write->frame[i]].content;
        }
        Explorer::yield("hand over");
        write->state = State::Sent;
        drop_references(*write);
        bool refuse = world.may_fail && Explorer::choose("the server refuses", 2);
        if (refuse) {
            world.may_fail--;
        } else {
            Explorer::yield("the server writes");
            for (unsigned i = 0; i < write->count; i++)
                world.backing[write->first + i] = write->payload[i];
        }
        Explorer::yield("answer");
        write->state = State::Answering;
        // The error is there before who waits is woken.
        if (refuse && !write->expired)
            world.errors++;
        end(*write);
    }
}

void expire() {
    for (auto &write : world.write) {
        Explorer::yield("deadline");
        if (!world.may_expire || write.state != State::Sent || write.expired)
            continue;
        world.may_expire--;
        world.errors++;
        write.expired = true;
        // Who waits in fsync is told at once. The range stays until the server has answered or is
        // gone: what it may still do must not meet a newer WRITE.
        if (world.expiry_frees_the_range)
            fusewb_inflight_remove(&world.inode, &write.range);
        else
            fusewb_inflight_expire(&world.inode, &write.range);
    }
    client_is_done();
}

// Checks -----------------------------------------------------------------------------------------

void check_step() {
    unsigned sent[pages] = {};
    for (const auto &write : world.write) {
        bool out = write.state == State::Sent;
        for (unsigned i = 0; i < write.count && out; i++) {
            unsigned page = write.first + i;
            if (++sent[page] > 1)
                Explorer::fail("two WRITEs of page " + number(page) + " are with the server");
            if (world.holding[page])
                Explorer::fail("a WRITE of page " + number(page) +
                               " is with the server while the page is held");
        }
    }
}

void check_end() {
    if (world.inode.inflight.first)
        Explorer::fail("a range is left in the tree");
    for (unsigned page = 0; page < pages; page++) {
        const Frame *frame = cached(page);
        if (frame && frame->dirty)
            continue; // kept for a later pass
        if (world.backing[page] != world.newest[page] && !world.errors)
            Explorer::fail("page " + number(page) + " is clean, no error was reported, and the " +
                           "server has content " + number(world.backing[page]) + " instead of " +
                           number(world.newest[page]));
    }
    for (const auto &frame : world.frame)
        if (frame.references || frame.lock)
            Explorer::fail("a folio is still held");
}

} // namespace fusewb::model

// What the code under test calls ------------------------------------------------------------------

using fusewb::model::Explorer;
using fusewb::model::world;

namespace {

bool is_done(const void *argument) {
    return static_cast<const completion *>(argument)->done || world.may_kill;
}

} // namespace

extern "C" {

void model_spin_lock(spinlock_t *lock) {
    Explorer::wait_for("spinlock", fusewb::model::is_free, lock);
    lock->held = 1;
}

void model_spin_unlock(spinlock_t *lock) { lock->held = 0; }

int model_wait_for_completion(struct completion *completion) {
    Explorer::wait_for("sleep", is_done, completion);
    if (completion->done) {
        completion->done--;
        return 0;
    }
    world.may_kill--;
    return -EINTR;
}

void model_complete(struct completion *completion) {
    if (!world.wakes_get_lost)
        completion->done++;
}

void model_assert_held(const spinlock_t *lock) {
    if (!lock->held)
        Explorer::fail("a lock that has to be held is not");
}

void model_assert_held_write(const struct rw_semaphore *lock) {
    if (!lock->writer)
        Explorer::fail("the inode lock has to be held and is not");
}
}
