// SPDX-License-Identifier: GPL-2.0-only
#include "support/aio.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <vector>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/files.h"

namespace fusewb::test {

Pages::Pages(std::size_t length) : length_(length) {
    memory_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory_ == MAP_FAILED ? -1 : 0, "mmap");
}

Pages::~Pages() { munmap(memory_, length_); }

Aio::Aio(unsigned most) { check(syscall(SYS_io_setup, most, &context_), "io_setup"); }

Aio::~Aio() { syscall(SYS_io_destroy, context_); }

void Aio::submit(unsigned operation, int fd, void *memory, std::size_t length, off_t offset,
                 std::uint64_t number) {
    iocb &one = submitted_.emplace_back();
    one.aio_data = number;
    one.aio_lio_opcode = static_cast<std::uint16_t>(operation);
    one.aio_fildes = static_cast<std::uint32_t>(fd);
    one.aio_buf = reinterpret_cast<std::uint64_t>(memory);
    one.aio_nbytes = length;
    one.aio_offset = offset;
    iocb *list[] = {&one};
    check(syscall(SYS_io_submit, context_, 1, list), "io_submit");
}

int Aio::cancel(std::uint64_t number) {
    auto one = std::find_if(submitted_.begin(), submitted_.end(),
                            [&](const iocb &each) { return each.aio_data == number; });
    io_event event;
    return syscall(SYS_io_cancel, context_, &*one, &event) ? errno : 0;
}

std::map<std::uint64_t, std::int64_t> Aio::wait(unsigned count, std::chrono::seconds time) {
    std::map<std::uint64_t, std::int64_t> results;
    auto until = std::chrono::steady_clock::now() + time;
    while (results.size() < count && std::chrono::steady_clock::now() < until) {
        std::vector<io_event> events(count);
        timespec second{1, 0};
        long got = syscall(SYS_io_getevents, context_, 1, events.size(), events.data(), &second);
        for (long i = 0; i < got; i++)
            results[events[i].data] = events[i].res;
    }
    return results;
}

} // namespace fusewb::test
