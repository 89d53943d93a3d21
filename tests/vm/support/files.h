// SPDX-License-Identifier: GPL-2.0-only
// Small helpers around descriptors and file contents. What fails throws std::system_error, which
// ends the test as failed, with the path in its text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

namespace fusewb::test {

// Throws std::system_error with errno and the text if the value is negative.
long check(long value, const std::string &what);

class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(const std::filesystem::path &path, int flags, mode_t mode = 0644);
    Fd(Fd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd &operator=(Fd &&other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() { reset(); }

    int get() const { return fd_; }
    operator int() const { return fd_; }
    // Return: what close(2) returned, -1 with errno set on failure; 0 if nothing was open.
    int reset();

private:
    int fd_ = -1;
};

// Whole content of a file, empty if it cannot be read. For /proc and the like.
std::string slurp(const std::filesystem::path &path);

// Whole content of a file; throws if it cannot be read.
std::string read_file(const std::filesystem::path &path);
void write_file(const std::filesystem::path &path, std::string_view content);

// All of it, or an exception.
void pwrite_all(int fd, std::string_view bytes, off_t offset);
std::string pread_all(int fd, std::size_t length, off_t offset);

// Bytes that differ from place to place and from seed to seed, so that a page at the wrong place
// or from the wrong time is seen.
std::string pattern(std::size_t length, std::uint64_t seed);

// Names the first difference; empty if there is none. Contents of megabytes make no useful message.
std::string difference(std::string_view expected, std::string_view actual);

// Writes to files below /proc and /sys.
// Return: 0 or errno.
int write_setting(const std::filesystem::path &path, std::string_view value);

// Writes back nothing, drops the clean part of the caches.
void drop_caches();

// What an open descriptor is of, by the name that the kernel has for it now.
std::filesystem::path path_of(int fd);

// Drops the clean pages of one file.
void drop_pages(int fd);

// Mount points below a directory, the innermost first.
std::vector<std::filesystem::path> mounts_below(const std::filesystem::path &directory);

// st_dev of a mount point as /proc/self/mountinfo has it: asks no server. 0 if nothing is mounted.
dev_t mounted_dev(const std::filesystem::path &mount_point);

} // namespace fusewb::test
