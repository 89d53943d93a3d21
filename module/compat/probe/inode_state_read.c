// SPDX-License-Identifier: GPL-2.0-only
/* The state of an inode got accessors between 6.12 and 7.2. */
#include <linux/fs.h>

bool probe(struct inode *inode);

bool probe(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}
