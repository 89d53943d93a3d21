/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads of what may not be cached: readin.c. */
#ifndef FUSEWB_READIN_H
#define FUSEWB_READIN_H

#include <linux/fs.h>
#include <linux/mm_types.h>

struct pipe_inode_info;

/** fusewb_read_cached() - read(2) by way of the page cache. */
ssize_t fusewb_read_cached(struct kiocb *iocb, struct iov_iter *to);

/** fusewb_splice_cached() - splice(2) of it. */
ssize_t fusewb_splice_cached(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags);

/** fusewb_fault() - vm_operations: a page of a mapping is not there. */
vm_fault_t fusewb_fault(struct vm_fault *vmf);

/** fusewb_map_pages() - vm_operations: pages around it may be mapped too. */
vm_fault_t fusewb_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);

#endif
