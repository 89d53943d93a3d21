// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the server on a range of a file. They come after every WRITE of
 * it that was issued before, and before every later one.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "range.h"
#include "reading.h"
#include "request.h"

void fusewb_range_done(struct fusewb_req *req)
{
	struct inode *inode = req->io.inode;

	if (!inode)
		return;
	req->io.inode = NULL;
	fusewb_invalidate_attr(inode);
	fusewb_inflight_release(FUSEWB_I(inode), &req->io.range);
	if (req->io.handle)
		fusewb_handle_put(req->io.handle);
	fusewb_put_inode_later(inode);
}

/*
 * The caller was killed and could not drop what is cached. It was written back
 * before; only what a mapping changed since stays.
 */
static void done_late(struct fusewb_req *req)
{
	const struct fusewb_range *range = &req->io.range;

	invalidate_mapping_pages(req->io.inode->i_mapping, range->first >> PAGE_SHIFT,
				 range->last >> PAGE_SHIFT);
	fusewb_range_done(req);
}

/* @h: that the request names, or NULL */
static int call_held(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h,
		     u64 first, u64 last)
{
	int err = fusewb_inflight_hold(FUSEWB_I(inode), &req->io.range, first, last);

	if (err)
		return err;
	ihold(inode);
	req->io.inode = inode;
	if (h)
		req->io.handle = fusewb_handle_get(h);
	req->orphan = done_late;
	return fusewb_req_call(req);
}

int fusewb_range_call(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h,
		      loff_t first, loff_t last)
{
	int err;

	err = fusewb_drain(inode, first, last);
	return err ?: call_held(req, inode, h, first, last);
}

int fusewb_truncate_call(struct fusewb_req *req, struct inode *inode, loff_t size)
{
	return call_held(req, inode, NULL, min(size, i_size_read(inode)), U64_MAX);
}

void fusewb_truncated(struct inode *inode, loff_t size)
{
	lockdep_assert_held_write(&inode->i_rwsem);
	fusewb_server_truncated(FUSEWB_I(inode), size);
	truncate_setsize(inode, size);
}

int fusewb_drop_clean(struct inode *inode, loff_t first, loff_t last)
{
	struct address_space *mapping = inode->i_mapping;
	pgoff_t start = first >> PAGE_SHIFT, end = last >> PAGE_SHIFT;
	int err;

	/* Somebody else may have written there. */
	fusewb_server_has(FUSEWB_I(inode), min(last, i_size_read(inode) - 1) + 1);
	if (!mapping->nrpages)
		return 0;
	err = fusewb_reading_wait_cached(mapping, start, end);
	if (err)
		invalidate_mapping_pages(mapping, start, end);
	else
		invalidate_inode_pages2_range(mapping, start, end);
	return err;
}
