// SPDX-License-Identifier: GPL-2.0-only
#include "support/missing_memory.h"

#include <cstdint>

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/guest_test.h"

namespace fusewb::test {

namespace {

uffdio_range range_of(void *start, std::size_t length) {
    return {reinterpret_cast<std::uintptr_t>(start), length};
}

} // namespace

MissingMemory::MissingMemory(std::size_t length)
    : fd_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))), length_(length) {
    if (fd_ < 0)
        throw Skip("this kernel has no userfaultfd");
    uffdio_api api{UFFD_API, 0, 0};
    check(ioctl(fd_, UFFDIO_API, &api), "UFFDIO_API");
    start_ = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffdio_register missing{range_of(start_, length), UFFDIO_REGISTER_MODE_MISSING, 0};
    check(ioctl(fd_, UFFDIO_REGISTER, &missing), "UFFDIO_REGISTER");
}

MissingMemory::~MissingMemory() { munmap(start_, length_); }

bool MissingMemory::wait_wanted(std::chrono::milliseconds time) {
    pollfd fault{fd_, POLLIN, 0};
    return poll(&fault, 1, static_cast<int>(time.count())) == 1;
}

void MissingMemory::fill() {
    uffdio_range all = range_of(start_, length_);
    check(ioctl(fd_, UFFDIO_UNREGISTER, &all), "UFFDIO_UNREGISTER");
}

} // namespace fusewb::test
