// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl(2), restricted: the command itself says how many bytes go in and out of
 * the caller's memory. A server that wants more of it (FUSE_IOCTL_RETRY) could
 * read and write whatever its users can; that is for CUSE, which does not exist
 * here, and refused. Those about the flags of an inode the VFS makes out of
 * operations of the inode: fileattr.c.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "ioctl.h"
#include "request.h"

long fusewb_ioctl_ask(struct inode *inode, const struct fuse_ioctl_in *in, void *data, size_t *len)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_ioctl_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_IOCTL,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { in, sizeof(*in) }, { data, in->in_size } },
		.nr_in = 2,
		.out = { { &out, sizeof(out) }, { data, in->out_size } },
		.nr_out = 2,
		.out_var = true,
	};
	int err;

	*len = 0;
	if (conn->minor < 18)
		return -ENOTTY;
	err = fusewb_call(conn, &args);
	/* It may know other commands, so that this is not remembered. */
	if (err)
		return err == -ENOSYS ? -ENOTTY : err;
	if (args.out_total < sizeof(out))
		return fusewb_bad_answer(conn, FUSE_IOCTL, "a wrong size");
	if (out.flags & FUSE_IOCTL_RETRY)
		return fusewb_bad_answer(conn, FUSE_IOCTL, "a request for more memory");
	/* Errors end at 511: what is below is the kernel's own. */
	if (out.result <= -512)
		return fusewb_bad_answer(conn, FUSE_IOCTL, FUSEWB_BAD_ERROR);
	*len = args.out_total - sizeof(out);
	/* What libfuse says of an operation that a server does not have. */
	return out.result == -ENOSYS ? -ENOTTY : out.result;
}

static long do_ioctl(struct file *file, unsigned int cmd, unsigned long arg, u32 flags)
{
	struct inode *inode = file_inode(file);
	struct fuse_ioctl_in in = {
		.fh = fusewb_file_handle(file)->fh,
		.flags = flags,
		.cmd = cmd,
		.arg = arg,
		.in_size = _IOC_DIR(cmd) & _IOC_WRITE ? _IOC_SIZE(cmd) : 0,
		.out_size = _IOC_DIR(cmd) & _IOC_READ ? _IOC_SIZE(cmd) : 0,
	};
	size_t len = 0;
	void *data;
	long ret;

	if (!fusewb_allow_task(fusewb_inode_conn(inode)))
		return -EACCES;
	data = kvzalloc(max3(in.in_size, in.out_size, 1u), GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (copy_from_user(data, (void __user *)arg, in.in_size))
		ret = -EFAULT;
	else
		ret = fusewb_ioctl_ask(inode, &in, data, &len);
	if (len && copy_to_user((void __user *)arg, data, len))
		ret = -EFAULT;
	kvfree(data);
	return ret;
}

static u32 caller_flags(bool compat)
{
	u32 flags = 0;

	if (compat || BITS_PER_LONG == 32)
		flags |= FUSE_IOCTL_32BIT;
#ifdef CONFIG_X86_X32_ABI
	if (compat && in_x32_syscall())
		flags |= FUSE_IOCTL_COMPAT_X32;
#endif
	return flags | (compat ? FUSE_IOCTL_COMPAT : 0);
}

long fusewb_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return do_ioctl(file, cmd, arg, caller_flags(false));
}

long fusewb_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return do_ioctl(file, cmd, arg, caller_flags(true));
}

long fusewb_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return do_ioctl(file, cmd, arg, caller_flags(false) | FUSE_IOCTL_DIR);
}

long fusewb_dir_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return do_ioctl(file, cmd, arg, caller_flags(true) | FUSE_IOCTL_DIR);
}
