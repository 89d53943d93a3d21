// SPDX-License-Identifier: GPL-2.0-only
/* fallocate(2): allocate, punch a hole, zero. */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "inode_lock.h"
#include "range.h"
#include "request.h"

#define MODES (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)

static struct fusewb_req *alloc_request(struct inode *inode, const struct fusewb_handle *h,
					int mode, loff_t offset, loff_t length)
{
	struct fuse_fallocate_in in = {
		.fh = h->fh,
		.offset = offset,
		.length = length,
		.mode = mode,
	};
	struct fusewb_args args = {
		.opcode = FUSE_FALLOCATE,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
	};

	return fusewb_req_alloc(fusewb_inode_conn(inode), &args, 0, GFP_KERNEL);
}

/* Under the inode lock. */
static int ask(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct inode *inode = file_inode(file);
	struct fusewb_handle *h = fusewb_file_handle(file);
	loff_t end = offset + length, size = i_size_read(inode);
	bool grows = !(mode & FALLOC_FL_KEEP_SIZE) && end > size;
	bool zeroes = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	struct fusewb_req *req;
	int err;

	if (grows) {
		err = inode_newsize_ok(inode, end);
		if (!err)
			err = fusewb_zero_gap(inode, size, end);
		if (err)
			return err;
	}
	err = file_modified(file);
	if (err)
		return err;
	req = alloc_request(inode, h, mode, offset, length);
	if (!req)
		return -ENOMEM;
	/* Memory that is only allocated, before the end, says the same before and after. */
	if (zeroes || grows)
		err = fusewb_range_call(req, inode, h, offset, end - 1);
	else
		err = fusewb_req_call(req);
	/* This request's own answer: SETATTR and GETATTR may be missing, too. */
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(req->conn, FUSE_FALLOCATE);
		err = -EOPNOTSUPP;
	}
	if (!err && grows)
		fusewb_grow(inode, end);
	if (!err && zeroes)
		fusewb_drop_all(inode, offset, end - 1);
	if (!req->left)
		fusewb_range_done(req);
	if (!err || fusewb_left(err))
		fusewb_invalidate_attr(inode);
	fusewb_req_put(req);
	return err;
}

long fusewb_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct inode *inode = file_inode(file);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	int err;

	if (mode & ~MODES || fusewb_conn_nosys(conn, FUSE_FALLOCATE))
		return -EOPNOTSUPP;
	if (fusewb_inode_lock(inode))
		return -EINTR;
	/* Where the end is, the server may know better. */
	err = fusewb_local_times(inode) ? 0 : fusewb_update_attributes(inode, file);
	if (!err)
		err = ask(file, mode, offset, length);
	fusewb_inode_unlock(inode);
	return err;
}
