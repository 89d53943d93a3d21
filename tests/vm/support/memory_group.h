// SPDX-License-Identifier: GPL-2.0-only
// A control group that bounds memory.
#pragma once

#include <filesystem>
#include <string>

namespace fusewb::test {

class MemoryGroup {
public:
    enum class Version { Legacy, Unified };
    // Throws Skip where this kernel, or whoever runs its groups, does not give us one.
    MemoryGroup(Version version, std::size_t limit);
    ~MemoryGroup();
    MemoryGroup(const MemoryGroup &) = delete;
    MemoryGroup &operator=(const MemoryGroup &) = delete;

    // The calling process is in it from now on.
    void enter() const;
    // Bytes that are charged to it.
    std::size_t usage() const;
    // Times that something was killed because of it.
    std::size_t kills() const;

private:
    Version version_;
    std::filesystem::path root_;
    std::filesystem::path path_;
    bool mounted_ = false;
    bool enabled_ = false;
};

} // namespace fusewb::test
