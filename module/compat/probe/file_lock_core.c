// SPDX-License-Identifier: GPL-2.0-only
/* "filelock: split common fields into struct file_lock_core", 6.9 */
#include <linux/filelock.h>

int probe(const struct file_lock *fl);

int probe(const struct file_lock *fl)
{
	return fl->c.flc_type;
}
