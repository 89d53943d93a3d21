// SPDX-License-Identifier: GPL-2.0-only
/* b74d24f7a74f ("fs: port ->getattr() to pass mnt_idmap"), 6.3 */
#include <linux/fs.h>

static int getattr(struct mnt_idmap *idmap, const struct path *path,
		   struct kstat *stat, u32 mask, unsigned int flags)
{
	return 0;
}

static const struct inode_operations iops __maybe_unused = {
	.getattr = getattr,
};
