// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl(2), restricted: the command itself says how many bytes go in and out of
 * the caller's memory. A server that wants more of it (FUSE_IOCTL_RETRY) could
 * read and write whatever its users can; that is for CUSE, which does not exist
 * here, and refused.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "ioctl.h"
#include "request.h"

/* Bytes behind the argument. */
static size_t size_of(unsigned int cmd)
{
	/* Their numbers say long, their users pass an int. */
	if (cmd == FS_IOC_GETFLAGS || cmd == FS_IOC_SETFLAGS ||
	    cmd == FS_IOC32_GETFLAGS || cmd == FS_IOC32_SETFLAGS)
		return sizeof(int);
	return _IOC_SIZE(cmd);
}

/*
 * @data: room for the larger of both directions; holds what goes in, then the
 * @len bytes that came out, also after an error: it may be what tells more of it.
 */
static long ask(struct file *file, const struct fuse_ioctl_in *in, void *data, size_t *len)
{
	struct inode *inode = file_inode(file);
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
		return fusewb_bad_answer(conn, FUSE_IOCTL, "an error that is none");
	*len = args.out_total - sizeof(out);
	/* What libfuse says of an operation that a server does not have. */
	return out.result == -ENOSYS ? -ENOTTY : out.result;
}

/* Commands that change flags of the inode, the first word of their argument. */
static const struct change {
	unsigned int cmd;
	unsigned int present;		/* asks for them */
	u32 capable;			/* needs CAP_LINUX_IMMUTABLE */
} changes[] = {
	{ FS_IOC_SETFLAGS, FS_IOC_GETFLAGS, FS_IMMUTABLE_FL | FS_APPEND_FL },
	{ FS_IOC32_SETFLAGS, FS_IOC32_GETFLAGS, FS_IMMUTABLE_FL | FS_APPEND_FL },
	{ FS_IOC_FSSETXATTR, FS_IOC_FSGETXATTR, FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND },
};

static const struct change *change_of(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(changes); i++)
		if (changes[i].cmd == cmd)
			return &changes[i];
	return NULL;
}

/*
 * The server changes them with its own rights, so it is for us to look at the
 * caller's, as vfs_fileattr_set() does.
 */
static long may_change(struct file *file, const struct change *change,
		       const struct fuse_ioctl_in *in, const u32 *flags)
{
	struct fuse_ioctl_in present = *in;
	struct fsxattr old = {};
	size_t len = 0;
	long ret;

	if (!inode_owner_or_capable(file_mnt_idmap(file), file_inode(file)))
		return -EPERM;
	if (capable(CAP_LINUX_IMMUTABLE))
		return 0;
	present.cmd = change->present;
	present.in_size = 0;
	present.out_size = size_of(change->present);
	ret = ask(file, &present, &old, &len);
	if (ret < 0)
		return ret;
	/* All of both structures begin with the flags. */
	return (*(u32 *)&old ^ *flags) & change->capable ? -EPERM : 0;
}

static long ask_to_change(struct file *file, const struct change *change,
			  const struct fuse_ioctl_in *in, void *data, size_t *len)
{
	long ret = mnt_want_write_file(file);

	if (ret)
		return ret;
	ret = may_change(file, change, in, data);
	if (!ret)
		ret = ask(file, in, data, len);
	mnt_drop_write_file(file);
	return ret;
}

static long do_ioctl(struct file *file, unsigned int cmd, unsigned long arg, u32 flags)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(file));
	struct fuse_ioctl_in in = {
		.fh = fusewb_file_handle(file)->fh,
		.flags = flags,
		.cmd = cmd,
		.arg = arg,
		.in_size = _IOC_DIR(cmd) & _IOC_WRITE ? size_of(cmd) : 0,
		.out_size = _IOC_DIR(cmd) & _IOC_READ ? size_of(cmd) : 0,
	};
	const struct change *change = change_of(cmd);
	size_t len = 0;
	void *data;
	long ret;

	if (!fusewb_allow_task(conn))
		return -EACCES;
	if (conn->minor < 18)
		return -ENOTTY;
	data = kvzalloc(max3(in.in_size, in.out_size, 1u), GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (copy_from_user(data, (void __user *)arg, in.in_size))
		ret = -EFAULT;
	else if (change)
		ret = ask_to_change(file, change, &in, data, &len);
	else
		ret = ask(file, &in, data, &len);
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
