// SPDX-License-Identifier: GPL-2.0-only
/* STATX: the attributes of GETATTR, and when the file was made. */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/stat.h>

#include "compat/compat.h"
#include "connection.h"
#include "inode.h"
#include "request.h"

static void as_attr(const struct fuse_statx *sx, struct fuse_attr *attr)
{
	*attr = (struct fuse_attr) {
		.ino = sx->ino,
		.size = sx->size,
		.blocks = sx->blocks,
		.atime = sx->atime.tv_sec,
		.atimensec = sx->atime.tv_nsec,
		.mtime = sx->mtime.tv_sec,
		.mtimensec = sx->mtime.tv_nsec,
		.ctime = sx->ctime.tv_sec,
		.ctimensec = sx->ctime.tv_nsec,
		.mode = sx->mode,
		.nlink = sx->nlink,
		.uid = sx->uid,
		.gid = sx->gid,
		.rdev = new_encode_dev(MKDEV(sx->rdev_major, sx->rdev_minor)),
		.blksize = sx->blksize,
	};
}

static void set_btime(struct inode *inode, const struct fuse_statx *sx)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	fi->btime_asked = true;
	fi->btime_known = sx->mask & STATX_BTIME;
	fi->btime.tv_sec = sx->btime.tv_sec;
	fi->btime.tv_nsec = min_t(u32, sx->btime.tv_nsec, NSEC_PER_SEC - 1);
	spin_unlock(&fi->lock);
}

int fusewb_ask_statx(struct inode *inode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_statx_in in = { .sx_mask = STATX_BASIC_STATS | STATX_BTIME };
	struct fuse_statx_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_STATX,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	u64 version = fusewb_attr_version(conn);
	struct fuse_attr attr;
	int err;

	err = fusewb_conn_wait_ready(conn);
	if (err)
		return err;
	if (conn->minor < 39 || fusewb_conn_nosys(conn, FUSE_STATX))
		return -ENOSYS;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS)
		fusewb_conn_set_nosys(conn, FUSE_STATX);
	if (err)
		return err;

	if ((out.stat.mask & STATX_BASIC_STATS) != STATX_BASIC_STATS) {
		set_btime(inode, &out.stat);
		return -ENOSYS;
	}
	as_attr(&out.stat, &attr);
	err = fusewb_check_attr(inode, &attr, FUSE_STATX);
	if (err)
		return err;
	set_btime(inode, &out.stat);
	fusewb_change_attributes(inode, &attr,
				 fusewb_valid_until(out.attr_valid, out.attr_valid_nsec),
				 version);
	return 0;
}
