// SPDX-License-Identifier: GPL-2.0-only
/* "new helper: set_default_d_op()", 6.17 */
#include <linux/dcache.h>
#include <linux/fs.h>

static void __maybe_unused set(struct super_block *sb,
			       const struct dentry_operations *ops)
{
	set_default_d_op(sb, ops);
}
