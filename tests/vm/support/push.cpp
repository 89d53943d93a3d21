// SPDX-License-Identifier: GPL-2.0-only
#include "support/push.h"

#include <cerrno>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "support/files.h"

namespace fusewb::test {

namespace {

constexpr off_t piece = 1 << 20, page = 4096;

} // namespace

int push_by_write(int file, off_t size) {
    std::string bytes = pattern(piece, 1);
    for (off_t offset = 0; offset < size; offset += piece)
        if (pwrite(file, bytes.data(), bytes.size(), offset) < 0)
            return errno;
    return 0;
}

int push_by_mapping(int file, off_t size, off_t mapped) {
    void *map = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        return errno;
    auto *bytes = static_cast<volatile char *>(map);
    for (off_t offset = 0; offset < mapped; offset += page)
        static_cast<void>(bytes[offset]);
    for (off_t offset = 0; offset < size; offset += page)
        bytes[offset] = 'm';
    munmap(map, size);
    return 0;
}

void make_cached(int file, off_t size) {
    std::string bytes(piece, 0);
    for (off_t offset = 0; offset < size; offset += piece)
        check(pread(file, bytes.data(), bytes.size(), offset), "pread");
}

} // namespace fusewb::test
