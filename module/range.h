/* SPDX-License-Identifier: GPL-2.0-only */
/* Operations of the server on a range of a file: range.c. */
#ifndef FUSEWB_RANGE_H
#define FUSEWB_RANGE_H

#include <linux/fs.h>

struct fusewb_handle;
struct fusewb_req;

/**
 * fusewb_range_call() - send a request that changes first..last of a file
 * @req: without payload; its io is used
 * @h: the handle that it names
 *
 * What is dirty there is written back before. Until the server has answered, no
 * WRITE of the range is issued, also if the caller was killed meanwhile. The
 * inode lock is held for writing.
 *
 * Return: as fusewb_req_call(). The range stays held until
 * fusewb_range_done(), which is to be called unless @req->left or the error
 * came before the request was sent: then there is nothing to be done.
 */
int fusewb_range_call(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h,
		      loff_t first, loff_t last);

/**
 * fusewb_truncate_call() - the same for one that makes the file end at @size
 *
 * What is dirty behind the new end is not written back before: it is to be
 * dropped, after success and before fusewb_range_done().
 */
int fusewb_truncate_call(struct fusewb_req *req, struct inode *inode, loff_t size);

/**
 * fusewb_truncated() - the server did that
 *
 * What is cached behind @size is dropped, and a hole if the file grows again. The
 * inode lock is held for writing (asserted), and the range.
 */
void fusewb_truncated(struct inode *inode, loff_t size);

/**
 * fusewb_range_pin() - @req holds its range by now: what it needs stays until then
 * @h: that it names, or NULL
 *
 * Until fusewb_range_done(), which is called late if nobody waits for the answer.
 */
void fusewb_range_pin(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h);

/** fusewb_range_done() - the range is free again, and so is what @req pinned. */
void fusewb_range_done(struct fusewb_req *req);

/**
 * fusewb_range_done_late() - the same where nobody waited for the answer
 *
 * As req->orphan: what is cached of the range may be old, and is dropped. The file
 * ends where the server did that, or after a truncation behind it at what is dirty.
 */
void fusewb_range_done_late(struct fusewb_req *req);

/**
 * fusewb_drop_all() - what is cached of first..last is gone, dirty or not
 *
 * Parts of folios become zeroes; private copies stay. No folio lock is held; waits for no server.
 */
void fusewb_drop_all(struct inode *inode, loff_t first, loff_t last);

/**
 * fusewb_drop_clean() - what is cached of first..last is read again
 *
 * What is dirty stays, and beside it, in the same folio, a remnant that is to be
 * dropped before it is used. No folio lock is held; waits for no server.
 */
void fusewb_drop_clean(struct inode *inode, loff_t first, loff_t last);

/** fusewb_has_remnant() - may there be one in first..last? */
bool fusewb_has_remnant(struct inode *inode, u64 first, u64 last);

/**
 * fusewb_drop_remnant() - drop what is one in first..last
 *
 * What is dirty beside it is written back before. What is dirty again by then
 * stays. No folio lock is held. Return: 0 or, if killed, -EINTR.
 */
int fusewb_drop_remnant(struct inode *inode, u64 first, u64 last);

/**
 * fusewb_drop_behind() - what is cached behind the end of the server's file is old
 *
 * What a mapping left there becomes zeroes. No folio lock is held; waits for no server.
 */
void fusewb_drop_behind(struct inode *inode, loff_t end);

/* fallocate.c, copy_range.c: file operations */
long fusewb_fallocate(struct file *file, int mode, loff_t offset, loff_t length);
ssize_t fusewb_copy_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			  size_t len, unsigned int flags);

#endif
