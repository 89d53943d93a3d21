// SPDX-License-Identifier: GPL-2.0-only
// mount(2) of a FUSE file system, without any helper program.
#pragma once

#include <filesystem>
#include <string>

#include "support/files.h"

namespace fusewb::test {

// Opens the device of the file system type under test; throws if it cannot.
Fd open_device(const std::string &type = {});

// Options that every mount needs: fd, rootmode, user_id, group_id of root.
std::string basic_options(int device);

// Return: 0 or errno.
int try_mount(const std::filesystem::path &directory, const std::string &options,
              const std::string &type = {});

class Mount {
public:
    // Makes the directory and mounts on it; throws if the kernel refuses.
    Mount(std::filesystem::path directory, int device, const std::string &more_options,
          const std::string &type = {});
    // Unmounts; if that fails the connection is aborted and the failure reported.
    ~Mount();
    Mount(const Mount &) = delete;
    Mount &operator=(const Mount &) = delete;

    const std::filesystem::path &path() const { return path_; }

    // umount(2), again for a while as long as something is still open there.
    // Return: 0 or errno; 0 too if it is unmounted already.
    int unmount();
    // umount -f: whoever waits for the server is let go. The mount may stay, if it is in use.
    void abort();

private:
    std::filesystem::path path_;
    bool mounted_ = false;
};

} // namespace fusewb::test
