// SPDX-License-Identifier: GPL-2.0-only
// libfuse's passthrough_ll, unmodified, or another server of a directory, on a mount that the test
// made itself.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "support/mount.h"
#include "support/netlink.h"

namespace fusewb::test {

class Passthrough {
public:
    struct Options {
        bool writeback = true;
        std::string mount_options{};  // beside the basic ones
        std::string server_options{}; // for -o, beside source and writeback
        std::string type{};           // file system type; empty: the one under test
        std::string name = "p";       // of the directories below scratch()
        // Instead of passthrough_ll: the status of the server's process. The options for -o and
        // writeback are not for it.
        std::function<int(const std::string &directory, const std::string &mount_point)> serve{};
    };

    // Mounts, starts the server and waits until it serves. Throws Skip if there is no server: it is
    // $PASSTHROUGH_LL or passthrough_ll in PATH.
    explicit Passthrough(const Options &options);
    Passthrough() : Passthrough(Options{}) {}
    // Continues the server, unmounts and waits for the server's end.
    ~Passthrough();

    std::filesystem::path mnt(const std::string &name = {}) const { return mount_->path() / name; }
    std::filesystem::path backing(const std::string &name = {}) const { return backing_ / name; }
    Mount &mount() { return *mount_; }
    pid_t pid() const { return pid_; }

    // SIGSTOP, and waits until every thread has stopped.
    void stop();
    void cont();
    // SIGKILL, and waits for its end.
    void kill();

    Connection connection() { return Netlink().mounted_at(mount_->path()); }

private:
    std::filesystem::path backing_;
    std::unique_ptr<Mount> mount_;
    pid_t pid_ = -1;
};

} // namespace fusewb::test
