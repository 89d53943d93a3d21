// SPDX-License-Identifier: GPL-2.0-only
/* Has to compile on every kernel: asks whether probing works. */
#include <linux/module.h>
#include <linux/fs.h>

static int open_nothing(struct inode *inode, struct file *file)
{
	return 0;
}

static const struct file_operations fops __maybe_unused = {
	.owner = THIS_MODULE,
	.open = open_nothing,
};
