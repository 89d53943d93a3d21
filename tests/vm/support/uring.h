// SPDX-License-Identifier: GPL-2.0-only
// io_uring by its system calls, so that the guest tests need no library for it.
#pragma once

#include <map>

#include <linux/io_uring.h>

#include "support/files.h"

namespace fusewb::test {

class Uring {
public:
    // Throws Skip where the kernel has none, or does not let it be used.
    explicit Uring(unsigned entries);
    ~Uring();
    Uring(const Uring &) = delete;
    Uring &operator=(const Uring &) = delete;

    // Up to `entries` of them before submit_and_wait(). IORING_OP_READ, _WRITE, _FSYNC; the number
    // comes back with the result.
    void add(unsigned operation, int fd, void *memory, unsigned length, off_t offset,
             std::uint64_t number);
    // Return: the result of each operation, by its number.
    std::map<std::uint64_t, int> submit_and_wait();

private:
    struct Ring {
        void *memory = nullptr;
        std::size_t length = 0;
    };
    void map(Ring &ring, std::size_t length, off_t offset);
    unsigned *word(unsigned offset) const;

    Fd fd_;
    io_uring_params params_{};
    Ring rings_, entries_;
    unsigned added_ = 0;
};

} // namespace fusewb::test
