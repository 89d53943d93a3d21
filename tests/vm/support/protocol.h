// SPDX-License-Identifier: GPL-2.0-only
// What the protocol has and the <linux/fuse.h> of older distributions does not.
#pragma once

#include <cstdint>

#include <linux/fuse.h>

namespace fusewb::test::protocol {

constexpr std::uint32_t statx = 52;
constexpr std::uint32_t copy_file_range_64 = 53;
constexpr std::int32_t notify_resend = 7;
constexpr std::int32_t notify_inc_epoch = 8;
constexpr std::int32_t notify_prune = 9;
constexpr std::uint64_t security_ctx = 1ull << 32;
constexpr std::uint64_t create_supp_group = 1ull << 34;
constexpr std::uint64_t has_expire_only = 1ull << 35;
constexpr std::uint64_t direct_io_allow_mmap = 1ull << 36;
constexpr std::uint64_t no_export_support = 1ull << 38;
constexpr std::uint64_t has_resend = 1ull << 39;

// Of an extension; types up to 31 are numbers of labels.
struct ExtHeader {
    std::uint32_t size;
    std::uint32_t type;
};
constexpr std::uint32_t ext_groups = 32;

struct SxTime {
    std::int64_t sec;
    std::uint32_t nsec;
    std::int32_t reserved;
};

struct StatxIn {
    std::uint32_t getattr_flags;
    std::uint32_t reserved;
    std::uint64_t fh;
    std::uint32_t sx_flags;
    std::uint32_t sx_mask;
};

struct StatxOut {
    std::uint64_t attr_valid;
    std::uint32_t attr_valid_nsec;
    std::uint32_t flags;
    std::uint64_t spare[2];
    std::uint32_t mask;
    std::uint32_t blksize;
    std::uint64_t attributes;
    std::uint32_t nlink;
    std::uint32_t uid;
    std::uint32_t gid;
    std::uint16_t mode;
    std::uint16_t spare0;
    std::uint64_t ino;
    std::uint64_t size;
    std::uint64_t blocks;
    std::uint64_t attributes_mask;
    SxTime atime;
    SxTime btime;
    SxTime ctime;
    SxTime mtime;
    std::uint32_t rdev_major;
    std::uint32_t rdev_minor;
    std::uint32_t dev_major;
    std::uint32_t dev_minor;
    std::uint64_t spare2[14];
};
static_assert(sizeof(StatxOut) == 32 + 256);

// Attributes of a regular file.
inline fuse_attr file_attributes(std::uint64_t node, std::uint64_t size, std::uint64_t mtime = 0) {
    fuse_attr attr{};
    attr.ino = node;
    attr.size = size;
    attr.mode = 0100644;
    attr.nlink = 1;
    attr.mtime = mtime;
    return attr;
}

// Of a directory.
inline fuse_attr directory_attributes(std::uint64_t node) {
    fuse_attr attr = file_attributes(node, 0);
    attr.mode = 0040755;
    return attr;
}

} // namespace fusewb::test::protocol
