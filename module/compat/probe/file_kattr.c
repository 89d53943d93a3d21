// SPDX-License-Identifier: GPL-2.0-only
/* ca115d7e7546 ("tree-wide: s/struct fileattr/struct file_kattr/g"), 6.17 */
#include <linux/fs.h>
#include <linux/fileattr.h>

u32 probe(const struct file_kattr *fa);

u32 probe(const struct file_kattr *fa)
{
	return fa->flags;
}
