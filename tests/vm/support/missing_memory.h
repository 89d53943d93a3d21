// SPDX-License-Identifier: GPL-2.0-only
// Memory whose first use lasts until it is filled: whoever copies from or to it waits.
#pragma once

#include <chrono>
#include <cstddef>

#include "support/files.h"

namespace fusewb::test {

class MissingMemory {
public:
    // Throws Skip where the kernel has no userfaultfd.
    explicit MissingMemory(std::size_t length);
    ~MissingMemory();
    MissingMemory(const MissingMemory &) = delete;
    MissingMemory &operator=(const MissingMemory &) = delete;

    void *start() const { return start_; }
    // Somebody has touched it.
    bool wait_wanted(std::chrono::milliseconds time);
    // From now on it is there, full of zeroes.
    void fill();

private:
    Fd fd_;
    std::size_t length_;
    void *start_;
};

} // namespace fusewb::test
