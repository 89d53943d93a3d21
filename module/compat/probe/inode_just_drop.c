// SPDX-License-Identifier: GPL-2.0-only
/* "fs: rename generic_delete_inode() and generic_drop_inode()", 6.18 */
#include <linux/fs.h>

static const struct super_operations sops __maybe_unused = {
	.drop_inode = inode_just_drop,
};
