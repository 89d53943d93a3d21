// SPDX-License-Identifier: GPL-2.0-only
#include "support/files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include <sys/sysmacros.h>
#include <unistd.h>

namespace fusewb::test {

namespace {

struct MountLine {
    dev_t dev;
    std::string path;
};

std::vector<MountLine> mount_lines() {
    std::vector<MountLine> lines;
    std::istringstream all(slurp("/proc/self/mountinfo"));
    for (std::string line; std::getline(all, line);) {
        std::istringstream fields(line);
        std::string id, parent, dev, root, path;
        fields >> id >> parent >> dev >> root >> path;
        auto colon = dev.find(':');
        if (colon == std::string::npos)
            continue;
        auto number = [](const std::string &text) {
            return static_cast<unsigned>(std::stoul(text));
        };
        lines.push_back(
            {makedev(number(dev.substr(0, colon)), number(dev.substr(colon + 1))), path});
    }
    return lines;
}

} // namespace

long check(long value, const std::string &what) {
    if (value < 0)
        throw std::system_error(errno, std::generic_category(), what);
    return value;
}

Fd::Fd(const std::filesystem::path &path, int flags, mode_t mode)
    : fd_(static_cast<int>(
          check(open(path.c_str(), flags | O_CLOEXEC, mode), "open " + path.string()))) {}

int Fd::reset() {
    int fd = std::exchange(fd_, -1);
    return fd < 0 ? 0 : close(fd);
}

std::string slurp(const std::filesystem::path &path) {
    std::ifstream file(path);
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

std::string read_file(const std::filesystem::path &path) {
    Fd fd(path, O_RDONLY);
    std::string content;
    std::vector<char> buffer(1 << 20);
    while (auto n = check(read(fd, buffer.data(), buffer.size()), "read " + path.string()))
        content.append(buffer.data(), static_cast<std::size_t>(n));
    return content;
}

void write_file(const std::filesystem::path &path, std::string_view content) {
    Fd fd(path, O_WRONLY | O_CREAT | O_TRUNC);
    pwrite_all(fd, content, 0);
    check(fd.reset(), "close " + path.string());
}

void pwrite_all(int fd, std::string_view bytes, off_t offset) {
    while (!bytes.empty()) {
        auto n = check(pwrite(fd, bytes.data(), bytes.size(), offset), "pwrite");
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += n;
    }
}

std::string pread_all(int fd, std::size_t length, off_t offset) {
    std::string bytes(length, '\0');
    std::size_t done = 0;
    while (done < length) {
        auto n =
            check(pread(fd, bytes.data() + done, length - done, offset + static_cast<off_t>(done)),
                  "pread");
        if (n == 0)
            break;
        done += static_cast<std::size_t>(n);
    }
    bytes.resize(done);
    return bytes;
}

std::string pattern(std::size_t length, std::uint64_t seed) {
    std::string bytes(length, '\0');
    std::uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
    for (std::size_t i = 0; i < length; i += sizeof(state)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::memcpy(bytes.data() + i, &state, std::min(sizeof(state), length - i));
    }
    return bytes;
}

std::string difference(std::string_view expected, std::string_view actual) {
    if (expected == actual)
        return {};
    std::size_t at = 0;
    while (at < expected.size() && at < actual.size() && expected[at] == actual[at])
        at++;
    std::size_t bytes = 0;
    for (std::size_t i = at; i < expected.size() && i < actual.size(); i++)
        bytes += expected[i] != actual[i];
    std::ostringstream text;
    text << "length " << actual.size() << " for " << expected.size() << ", first difference at "
         << at << " (page " << at / 4096 << " + " << at % 4096 << "), " << bytes
         << " bytes differ, zero there: "
         << (at < actual.size() && actual[at] == '\0' ? "yes" : "no");
    return text.str();
}

int write_setting(const std::filesystem::path &path, std::string_view value) {
    int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = write(fd, value.data(), value.size()) < 0 ? errno : 0;
    close(fd);
    return error;
}

void drop_caches() { write_setting("/proc/sys/vm/drop_caches", "3"); }

void drop_pages(int fd) { posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }

std::vector<std::filesystem::path> mounts_below(const std::filesystem::path &directory) {
    std::vector<std::filesystem::path> paths;
    for (const auto &line : mount_lines())
        if (line.path.starts_with(directory.string() + "/"))
            paths.emplace_back(line.path);
    std::reverse(paths.begin(), paths.end());
    return paths;
}

std::filesystem::path path_of(int fd) {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
}

dev_t mounted_dev(const std::filesystem::path &mount_point) {
    dev_t dev = 0;
    for (const auto &line : mount_lines())
        if (line.path == mount_point.string())
            dev = line.dev;
    return dev;
}

} // namespace fusewb::test
