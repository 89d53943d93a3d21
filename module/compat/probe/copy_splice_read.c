// SPDX-License-Identifier: GPL-2.0-only
/*
 * copy_splice_read() fills fresh pages through ->read_iter(); before 6.5
 * generic_file_splice_read() did that. 33b3b041543e ("splice: Add a func to do
 * a splice into a pipe without ITER_PIPE")
 */
#include <linux/fs.h>
#include <linux/splice.h>

ssize_t probe(struct file *in, loff_t *ppos, struct pipe_inode_info *pipe, size_t len);
ssize_t probe(struct file *in, loff_t *ppos, struct pipe_inode_info *pipe, size_t len)
{
	return copy_splice_read(in, ppos, pipe, len, 0);
}
