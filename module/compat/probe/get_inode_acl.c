// SPDX-License-Identifier: GPL-2.0-only
/* cac2f8b8d8b5 ("fs: rename current get acl method"), 6.2 */
#include <linux/fs.h>

struct posix_acl *probe(struct inode *inode, int type, bool rcu);

const struct inode_operations probe_ops = {
	.get_inode_acl = probe,
};
