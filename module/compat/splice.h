/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/splice.h>. */
#ifndef FUSEWB_COMPAT_SPLICE_H
#define FUSEWB_COMPAT_SPLICE_H

#include <linux/fs.h>
#include <linux/splice.h>

#ifndef HAVE_COPY_SPLICE_READ
/* It takes fresh pages where ->read_iter() copies, as the device's does. */
#define copy_splice_read generic_file_splice_read
/* It goes through ->read_iter() either way. */
#define filemap_splice_read generic_file_splice_read
#endif

#ifndef HAVE_SPLICE_COPY_FILE_RANGE
static inline ssize_t splice_copy_file_range(struct file *in, loff_t pos_in, struct file *out,
					     loff_t pos_out, size_t len)
{
	return generic_copy_file_range(in, pos_in, out, pos_out, len, 0);
}
#endif

#endif
