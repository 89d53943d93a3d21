// SPDX-License-Identifier: GPL-2.0-only
#include "support/mount.h"

#include <cerrno>
#include <cstring>

#include <sys/mount.h>

#include <gtest/gtest.h>

#include "support/guest_test.h"

namespace fusewb::test {

namespace {

std::string or_default(const std::string &type) { return type.empty() ? fs_type() : type; }

} // namespace

Fd open_device(const std::string &type) { return Fd("/dev/" + or_default(type), O_RDWR); }

std::string basic_options(int device) {
    return "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0";
}

int try_mount(const std::filesystem::path &directory, const std::string &options,
              const std::string &type) {
    return mount("test", directory.c_str(), or_default(type).c_str(), MS_NOSUID | MS_NODEV,
                 options.c_str())
               ? errno
               : 0;
}

Mount::Mount(std::filesystem::path directory, int device, const std::string &more_options,
             const std::string &type)
    : path_(std::move(directory)) {
    std::filesystem::create_directories(path_);
    std::string options = basic_options(device);
    if (!more_options.empty())
        options += "," + more_options;
    errno = try_mount(path_, options, type);
    check(errno ? -1 : 0, "mount with " + options);
    mounted_ = true;
}

Mount::~Mount() {
    int error = unmount();
    if (!mounted_)
        return;
    ADD_FAILURE() << "umount " << path_ << ": " << std::strerror(error);
    abort();
    umount2(path_.c_str(), MNT_DETACH);
}

int Mount::unmount() {
    int error = 0;
    if (!mounted_)
        return 0;
    // A close in another process may still be under way.
    wait_until(5s, [&] {
        error = umount2(path_.c_str(), 0) ? errno : 0;
        return error != EBUSY;
    });
    // EINVAL: somebody else unmounted it.
    mounted_ = error != 0 && error != EINVAL;
    return error;
}

void Mount::abort() {
    if (umount2(path_.c_str(), MNT_FORCE) == 0)
        mounted_ = false;
}

} // namespace fusewb::test
