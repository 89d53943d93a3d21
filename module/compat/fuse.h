/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Completes <linux/fuse.h>: what the protocol got after the minor version that
 * the header describes. Servers have headers of their own, so the protocol that
 * is spoken does not depend on the kernel.
 */
#ifndef FUSEWB_COMPAT_FUSE_H
#define FUSEWB_COMPAT_FUSE_H

#include <linux/bits.h>
#include <linux/types.h>
#include <linux/fuse.h>

#if FUSE_KERNEL_MINOR_VERSION < 38
#error "fusewb: <linux/fuse.h> is older than FUSE 7.38"
#endif

/* Of 7.38, but not in every header that says so. */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP		BIT_ULL(34)
#define FUSE_EXT_GROUPS			32

struct fuse_supp_groups {
	u32 nr_groups;
	u32 groups[];
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 39
#define FUSE_STATX			52
#define FUSE_DIRECT_IO_ALLOW_MMAP	BIT_ULL(36)

struct fuse_sx_time {
	s64 tv_sec;
	u32 tv_nsec;
	s32 __reserved;
};

struct fuse_statx {
	u32 mask;
	u32 blksize;
	u64 attributes;
	u32 nlink;
	u32 uid;
	u32 gid;
	u16 mode;
	u16 __spare0[1];
	u64 ino;
	u64 size;
	u64 blocks;
	u64 attributes_mask;
	struct fuse_sx_time atime;
	struct fuse_sx_time btime;
	struct fuse_sx_time ctime;
	struct fuse_sx_time mtime;
	u32 rdev_major;
	u32 rdev_minor;
	u32 dev_major;
	u32 dev_minor;
	u64 __spare2[14];
};

struct fuse_statx_in {
	u32 getattr_flags;
	u32 reserved;
	u64 fh;
	u32 sx_flags;
	u32 sx_mask;
};

struct fuse_statx_out {
	u64 attr_valid;
	u32 attr_valid_nsec;
	u32 flags;
	u64 spare[2];
	struct fuse_statx stat;
};
#endif

#if FUSE_KERNEL_MINOR_VERSION < 40
#define FUSE_NO_EXPORT_SUPPORT		BIT_ULL(38)
#define FUSE_HAS_RESEND			BIT_ULL(39)
#define FUSE_UNIQUE_RESEND		BIT_ULL(63)
#define FUSE_NOTIFY_RESEND		7
#endif

#if FUSE_KERNEL_MINOR_VERSION < 44
#define FUSE_NOTIFY_INC_EPOCH		8
#endif

#if FUSE_KERNEL_MINOR_VERSION < 45
#define FUSE_COPY_FILE_RANGE_64		53
#define FUSE_NOTIFY_PRUNE		9

struct fuse_copy_file_range_out {
	u64 bytes_copied;
};

struct fuse_notify_prune_out {
	u32 count;
	u32 padding;
	u64 spare;
};
#endif

#endif
