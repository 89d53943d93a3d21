// SPDX-License-Identifier: GPL-2.0-only
#include "support/memory_group.h"

#include <cstring>
#include <sstream>

#include <sys/mount.h>
#include <unistd.h>

#include "support/files.h"
#include "support/guest_test.h"

namespace fs = std::filesystem;

namespace fusewb::test {

namespace {

const fs::path unified_was_used = "/run/fusewb-test-unified-groups";

}

MemoryGroup::MemoryGroup(Version version, std::size_t limit) : version_(version) {
    if (version == Version::Unified) {
        root_ = "/sys/fs/cgroup";
        auto has_memory = [this] {
            return slurp(root_ / "cgroup.subtree_control").find("memory") != std::string::npos;
        };
        if (!has_memory()) {
            write_setting(root_ / "cgroup.subtree_control", "+memory");
            enabled_ = has_memory();
        }
        if (!has_memory())
            throw Skip("memory is not a unified control group here");
        write_file(unified_was_used, "");
    } else {
        root_ = scratch() / "memory-groups";
        fs::create_directories(root_);
        // What a unified group was charged for and is given back among legacy ones the kernel
        // miscounts, and says so (page_counter underflow).
        if (fs::exists(unified_was_used))
            throw Skip("unified groups were used since this machine was started");
        if (mount("cgroup", root_.c_str(), "cgroup", 0, "memory"))
            throw Skip(std::string("no legacy control group of memory here: ") +
                       std::strerror(errno));
        mounted_ = true;
    }
    path_ = root_ / ("fusewb-test-" + std::to_string(getpid()));
    fs::create_directory(path_);
    int error = write_setting(
        path_ / (version == Version::Unified ? "memory.max" : "memory.limit_in_bytes"),
        std::to_string(limit));
    if (error)
        throw Skip(std::string("no bound of memory here: ") + std::strerror(error));
    // What is reclaimed is to be the files.
    if (version == Version::Unified)
        write_setting(path_ / "memory.swap.max", "0");
}

MemoryGroup::~MemoryGroup() {
    wait_until(10s, [this] { return rmdir(path_.c_str()) == 0 || errno == ENOENT; });
    // A legacy group may want it next.
    if (enabled_)
        write_setting(root_ / "cgroup.subtree_control", "-memory");
    if (mounted_)
        umount2(root_.c_str(), MNT_DETACH);
}

void MemoryGroup::enter() const {
    int error = write_setting(path_ / "cgroup.procs", "0");
    if (error)
        throw Skip(std::string("cgroup.procs: ") + std::strerror(error));
}

std::size_t MemoryGroup::usage() const {
    return std::stoull(
        slurp(path_ / (version_ == Version::Unified ? "memory.current" : "memory.usage_in_bytes")));
}

std::size_t MemoryGroup::kills() const {
    std::istringstream lines(
        slurp(path_ / (version_ == Version::Unified ? "memory.events" : "memory.oom_control")));
    std::string key;
    for (std::size_t value; lines >> key >> value;)
        if (key == "oom_kill")
            return value;
    return 0;
}

} // namespace fusewb::test
