// SPDX-License-Identifier: GPL-2.0-only
/* 88d5baf69082 ("Change inode_operations.mkdir to return struct dentry *"), 6.15 */
#include <linux/fs.h>

static struct dentry *make_dir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			       umode_t mode)
{
	return NULL;
}

static const struct inode_operations iops __maybe_unused = {
	.mkdir = make_dir,
};
