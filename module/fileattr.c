// SPDX-License-Identifier: GPL-2.0-only
/*
 * The flags of an inode (FS_IOC_GETFLAGS) and their extended form
 * (FS_IOC_FSGETXATTR), however a user asks for them: by ioctl(2) or by
 * file_getattr(2).
 *
 * The server hears of them as IOCTL, which names an open file; so the inode is
 * opened for it. Who may change them is for the VFS to say: it asks what there
 * is and looks at the difference.
 */
#include <linux/fs.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "fileattr.h"
#include "inode.h"
#include "ioctl.h"
#include "request.h"

/* Return: 0 or an error. */
static int ask(struct inode *inode, unsigned int cmd, void *data, size_t size)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	bool dir = S_ISDIR(inode->i_mode);
	struct fuse_ioctl_in in = {
		.flags = dir ? FUSE_IOCTL_DIR : 0,
		.cmd = cmd,
		/* Their numbers say long where their users pass an int. */
		.in_size = _IOC_DIR(cmd) & _IOC_WRITE ? size : 0,
		.out_size = _IOC_DIR(cmd) & _IOC_READ ? size : 0,
	};
	struct fusewb_handle *h;
	size_t len;
	int ret;

	if (!fusewb_allow_task(conn))
		return -EACCES;
	if (!dir && !S_ISREG(inode->i_mode))
		return -ENOTTY;
	h = fusewb_handle_open(inode, O_RDONLY, dir);
	if (IS_ERR(h))
		return PTR_ERR(h);
	in.fh = h->fh;
	ret = fusewb_ioctl_ask(inode, &in, data, &len);
	fusewb_handle_put(h);
	if (ret < 0)
		return ret;
	return len == in.out_size ? 0 : fusewb_bad_answer(conn, FUSE_IOCTL, "a wrong size");
}

int fusewb_fileattr_get(struct dentry *dentry, struct file_kattr *fa)
{
	struct fsxattr extended = {};
	u32 flags = 0;
	int err;

	/* Which of them is wanted. */
	if (fa->flags_valid) {
		err = ask(d_inode(dentry), FS_IOC_GETFLAGS, &flags, sizeof(flags));
		if (!err)
			fileattr_fill_flags(fa, flags);
		return err;
	}
	err = ask(d_inode(dentry), FS_IOC_FSGETXATTR, &extended, sizeof(extended));
	if (err)
		return err;
	fileattr_fill_xflags(fa, extended.fsx_xflags);
	fa->fsx_extsize = extended.fsx_extsize;
	fa->fsx_nextents = extended.fsx_nextents;
	fa->fsx_projid = extended.fsx_projid;
	fa->fsx_cowextsize = extended.fsx_cowextsize;
	return 0;
}

static int set_extended(struct inode *inode, const struct file_kattr *fa)
{
	struct fsxattr extended = {
		.fsx_xflags = fa->fsx_xflags,
		.fsx_extsize = fa->fsx_extsize,
		.fsx_nextents = fa->fsx_nextents,
		.fsx_projid = fa->fsx_projid,
		.fsx_cowextsize = fa->fsx_cowextsize,
	};

	return ask(inode, FS_IOC_FSSETXATTR, &extended, sizeof(extended));
}

int fusewb_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct file_kattr *fa)
{
	struct inode *inode = d_inode(dentry);
	u32 flags = fa->flags;
	int err;

	err = fa->flags_valid ? ask(inode, FS_IOC_SETFLAGS, &flags, sizeof(flags)) :
				set_extended(inode, fa);
	if (!err)
		fusewb_touch_ctime(inode);
	if (!err || fusewb_left(err))
		fusewb_invalidate_attr(inode);
	return err;
}
