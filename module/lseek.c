// SPDX-License-Identifier: GPL-2.0-only
/* lseek(2): the end, data and holes are where the server says. */
#include <linux/fs.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "request.h"

static int ask(struct file *file, loff_t offset, int whence, u64 *found)
{
	struct inode *inode = file_inode(file);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_lseek_in in = {
		.fh = fusewb_file_handle(file)->fh,
		.offset = offset,
		.whence = whence,
	};
	struct fuse_lseek_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_LSEEK,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	int err;

	/* What was written here is data there only once it was written back. */
	err = fusewb_drain(inode, offset, LLONG_MAX);
	if (err)
		return err;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS)
		fusewb_conn_set_nosys(conn, FUSE_LSEEK);
	if (err)
		return err;
	if (out.offset < offset || out.offset > LLONG_MAX)
		return fusewb_bad_answer(conn, FUSE_LSEEK, "a place before the one to start from");
	*found = out.offset;
	return 0;
}

loff_t fusewb_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	u64 found;
	int err;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);

	if ((whence == SEEK_DATA || whence == SEEK_HOLE) && offset >= 0 &&
	    !fusewb_conn_nosys(fusewb_inode_conn(inode), FUSE_LSEEK)) {
		err = ask(file, offset, whence, &found);
		if (!err)
			return vfs_setpos(file, found, inode->i_sb->s_maxbytes);
		if (err != -ENOSYS)
			return err;
	}
	err = fusewb_update_attributes(inode, file);
	if (err)
		return err;
	return generic_file_llseek(file, offset, whence);
}
