// SPDX-License-Identifier: GPL-2.0-only
/* copy_file_range(2): the server copies. What it cannot, the kernel does. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/splice.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "inode_lock.h"
#include "range.h"
#include "request.h"

/* The older operation counts in 32 bits. */
#define COPY_MAX_32 (UINT_MAX & PAGE_MASK)

struct copy {
	struct file *in;
	struct file *out;
	loff_t pos_in;
	loff_t pos_out;
	size_t len;
	unsigned int flags;
};

static struct fusewb_req *alloc_request(const struct copy *c, u32 opcode)
{
	struct inode *inode = file_inode(c->in);
	struct fuse_copy_file_range_in in = {
		.fh_in = fusewb_file_handle(c->in)->fh,
		.off_in = c->pos_in,
		.nodeid_out = FUSEWB_I(file_inode(c->out))->nodeid,
		.fh_out = fusewb_file_handle(c->out)->fh,
		.off_out = c->pos_out,
		.len = c->len,
		.flags = c->flags,
	};
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, opcode == FUSE_COPY_FILE_RANGE ?
				 sizeof(struct fuse_write_out) :
				 sizeof(struct fuse_copy_file_range_out) } },
		.nr_out = 1,
	};

	return fusewb_req_alloc(fusewb_inode_conn(inode), &args, 0, GFP_KERNEL);
}

static u64 bytes_copied(const struct fusewb_req *req)
{
	const struct fuse_copy_file_range_out *out64 = req->out_args;
	const struct fuse_write_out *out = req->out_args;

	return req->in.opcode == FUSE_COPY_FILE_RANGE ? out->size : out64->bytes_copied;
}

/* Under the inode lock of the target. Return: bytes or an error. */
static ssize_t ask(struct copy *c, u32 opcode)
{
	struct inode *inode = file_inode(c->out);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_req *req;
	ssize_t ret;

	if (opcode == FUSE_COPY_FILE_RANGE)
		c->len = min_t(size_t, c->len, COPY_MAX_32);
	req = alloc_request(c, opcode);
	if (!req)
		return -ENOMEM;
	ret = fusewb_range_call(req, inode, fusewb_file_handle(c->out), c->pos_out,
				c->pos_out + c->len - 1);
	if (!ret && bytes_copied(req) > c->len)
		ret = fusewb_bad_answer(conn, opcode, "more bytes than were asked for");
	else if (!ret)
		ret = bytes_copied(req);
	if (ret > 0)
		fusewb_grow(inode, c->pos_out + ret);
	if (!req->left) {
		/* What is cached of it is old; what a mapping changes just now stays. */
		if (req->io.inode)
			fusewb_drop_clean(inode, c->pos_out, c->pos_out + c->len - 1);
		fusewb_range_done(req);
	}
	fusewb_req_put(req);
	return ret;
}

static ssize_t ask_either(struct copy *c)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(c->in));
	static const u32 opcodes[] = { FUSE_COPY_FILE_RANGE_64, FUSE_COPY_FILE_RANGE };
	unsigned int i;
	ssize_t ret;

	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		if (fusewb_conn_nosys(conn, opcodes[i]))
			continue;
		ret = ask(c, opcodes[i]);
		if (ret != -ENOSYS)
			return ret;
		fusewb_conn_set_nosys(conn, opcodes[i]);
	}
	return -EOPNOTSUPP;
}

static ssize_t copy(struct copy *c)
{
	struct inode *inode = file_inode(c->out);
	loff_t size;
	ssize_t ret;

	/* The server has to know what to copy. */
	ret = fusewb_drain(file_inode(c->in), c->pos_in, c->pos_in + c->len - 1);
	if (ret)
		return ret;
	if (fusewb_inode_lock(inode))
		return -EINTR;
	ret = file_modified(c->out);
	size = i_size_read(inode);
	if (!ret && c->pos_out > size)
		ret = fusewb_zero_gap(inode, size, c->pos_out);
	if (!ret)
		ret = ask_either(c);
	fusewb_inode_unlock(inode);
	return ret;
}

ssize_t fusewb_copy_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			  size_t len, unsigned int flags)
{
	struct copy c = {
		.in = in,
		.out = out,
		.pos_in = pos_in,
		.pos_out = pos_out,
		.len = len,
		.flags = flags,
	};
	ssize_t ret = -EXDEV;

	if (!len)
		return 0;
	if (file_inode(in)->i_sb == file_inode(out)->i_sb)
		ret = copy(&c);
	if (ret == -EOPNOTSUPP || ret == -EXDEV)
		ret = splice_copy_file_range(in, pos_in, out, pos_out, len);
	return ret;
}
