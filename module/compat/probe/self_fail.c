// SPDX-License-Identifier: GPL-2.0-only
/* Must not compile on any kernel: asks whether wrong types are noticed. */
#include <linux/module.h>
#include <linux/fs.h>

static int open_nothing(struct inode *inode, long file)
{
	return 0;
}

static const struct file_operations fops __maybe_unused = {
	.owner = THIS_MODULE,
	.open = open_nothing,
};
