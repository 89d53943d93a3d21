// SPDX-License-Identifier: GPL-2.0-only
#include "support/uring.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/guest_test.h"

namespace fusewb::test {

Uring::Uring(unsigned entries) {
    int fd = static_cast<int>(syscall(SYS_io_uring_setup, entries, &params_));
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        throw Skip(std::string("the kernel lets nobody use io_uring: ") + std::strerror(errno));
    fd_ = Fd(static_cast<int>(check(fd, "io_uring_setup")));
    if (!(params_.features & IORING_FEAT_SINGLE_MMAP))
        throw Skip("an io_uring with two mappings, older than any kernel of ours");
    map(rings_,
        std::max(params_.sq_off.array + params_.sq_entries * sizeof(unsigned),
                 params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe)),
        IORING_OFF_SQ_RING);
    map(entries_, params_.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
}

Uring::~Uring() {
    for (const auto &ring : {rings_, entries_})
        if (ring.memory)
            munmap(ring.memory, ring.length);
}

void Uring::map(Ring &ring, std::size_t length, off_t offset) {
    void *memory =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_, offset);
    check(memory == MAP_FAILED ? -1 : 0, "mmap of an io_uring");
    ring = {memory, length};
}

unsigned *Uring::word(unsigned offset) const {
    return reinterpret_cast<unsigned *>(static_cast<char *>(rings_.memory) + offset);
}

void Uring::add(unsigned operation, int fd, void *memory, unsigned length, off_t offset,
                std::uint64_t number) {
    unsigned tail = *word(params_.sq_off.tail), slot = tail & (params_.sq_entries - 1);
    if (added_ == params_.sq_entries)
        throw std::logic_error("more operations than the io_uring has entries");
    auto *entry = static_cast<io_uring_sqe *>(entries_.memory) + slot;
    std::memset(entry, 0, sizeof(*entry));
    entry->opcode = static_cast<std::uint8_t>(operation);
    entry->fd = fd;
    entry->addr = reinterpret_cast<std::uint64_t>(memory);
    entry->len = length;
    entry->off = static_cast<std::uint64_t>(offset);
    entry->user_data = number;
    word(params_.sq_off.array)[slot] = slot;
    std::atomic_ref(*word(params_.sq_off.tail)).store(tail + 1, std::memory_order_release);
    added_++;
}

std::map<std::uint64_t, int> Uring::submit_and_wait() {
    std::map<std::uint64_t, int> results;
    unsigned to_submit = added_;
    while (results.size() < added_) {
        auto waited_for = static_cast<unsigned>(added_ - results.size());
        long n = syscall(SYS_io_uring_enter, fd_.get(), to_submit, waited_for,
                         IORING_ENTER_GETEVENTS, nullptr, 0);
        if (n < 0 && errno == EINTR)
            continue;
        to_submit -= static_cast<unsigned>(check(n, "io_uring_enter"));
        std::atomic_ref head(*word(params_.cq_off.head));
        unsigned tail = std::atomic_ref(*word(params_.cq_off.tail)).load(std::memory_order_acquire);
        auto *done = reinterpret_cast<io_uring_cqe *>(word(params_.cq_off.cqes));
        for (unsigned at = head; at != tail; at++) {
            const auto &entry = done[at & (params_.cq_entries - 1)];
            results[entry.user_data] = entry.res;
        }
        head.store(tail, std::memory_order_release);
    }
    added_ = 0;
    return results;
}

} // namespace fusewb::test
