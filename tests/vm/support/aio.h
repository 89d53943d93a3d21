// SPDX-License-Identifier: GPL-2.0-only
// aio by its system calls, so that the guest tests need no library for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <string_view>

#include <linux/aio_abi.h>

namespace fusewb::test {

// Memory as O_DIRECT needs it.
class Pages {
public:
    explicit Pages(std::size_t length);
    ~Pages();
    Pages(const Pages &) = delete;
    Pages &operator=(const Pages &) = delete;
    char *at(std::size_t offset = 0) const { return static_cast<char *>(memory_) + offset; }
    std::string_view view(std::size_t length) const { return {at(), length}; }

private:
    void *memory_;
    std::size_t length_;
};

class Aio {
public:
    explicit Aio(unsigned most);
    ~Aio();
    Aio(const Aio &) = delete;
    Aio &operator=(const Aio &) = delete;

    // Submits IOCB_CMD_PREAD or IOCB_CMD_PWRITE. The number comes back with the result.
    void submit(unsigned operation, int fd, void *memory, std::size_t length, off_t offset,
                std::uint64_t number);
    // io_cancel(2) of what was submitted with the number. Return: 0 or errno.
    int cancel(std::uint64_t number);
    // Waits for so many. Return: the result of each by its number, fewer after the time.
    std::map<std::uint64_t, std::int64_t>
    wait(unsigned count, std::chrono::seconds time = std::chrono::seconds(20));

private:
    aio_context_t context_ = 0;
    std::list<iocb> submitted_;
};

} // namespace fusewb::test
