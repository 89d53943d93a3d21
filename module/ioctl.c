// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl(2), restricted: the command itself says how many bytes go in and out of
 * the caller's memory. A server that wants more of it (FUSE_IOCTL_RETRY) could
 * read and write whatever its users can; that is for CUSE, which does not exist
 * here, and refused. Of fs-verity's commands the struct says what more there is.
 * Those about the flags of an inode the VFS makes out of operations of the inode:
 * fileattr.c.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/sizes.h>
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

/* A piece of the caller's memory that goes in. */
struct piece {
	void __user *from;
	u32 len;
};

/* The command's own struct, and what fs-verity adds. */
#define MAX_PIECES 3

/* In-tree it depends on the server as well, and is no more. */
#define MAX_BYTES SZ_1M

union verity_arg {
	struct fsverity_digest digest;
	struct fsverity_enable_arg enable;
};

/*
 * @arg: the struct, as its lengths were checked, for the caller may change it
 * meanwhile. Return: whether the command is one of fs-verity's, -EFAULT.
 */
static int verity_pieces(unsigned int cmd, union verity_arg *arg, struct piece *pieces)
{
	if (cmd != FS_IOC_MEASURE_VERITY && cmd != FS_IOC_ENABLE_VERITY)
		return 0;
	if (copy_from_user(arg, pieces[0].from, pieces[0].len))
		return -EFAULT;
	if (cmd == FS_IOC_MEASURE_VERITY) {
		pieces[1].from = pieces[0].from + pieces[0].len;
		pieces[1].len = arg->digest.digest_size;
	} else {
		pieces[1].from = u64_to_user_ptr(arg->enable.salt_ptr);
		pieces[1].len = arg->enable.salt_size;
		pieces[2].from = u64_to_user_ptr(arg->enable.sig_ptr);
		pieces[2].len = arg->enable.sig_size;
	}
	return 1;
}

static bool copy_in(void *data, const struct piece *pieces)
{
	unsigned int i;

	for (i = 0; i < MAX_PIECES; data += pieces[i++].len)
		if (copy_from_user(data, pieces[i].from, pieces[i].len))
			return false;
	return true;
}

static long do_ioctl(struct file *file, unsigned int cmd, unsigned long arg, u32 flags)
{
	struct piece pieces[MAX_PIECES] = { { (void __user *)arg, _IOC_SIZE(cmd) } };
	struct inode *inode = file_inode(file);
	struct fuse_ioctl_in in = {
		.fh = fusewb_file_handle(file)->fh,
		.flags = flags,
		.cmd = cmd,
		.arg = arg,
	};
	union verity_arg verity;
	size_t len = 0;
	void *data;
	long ret;
	u64 size;
	int more;

	if (!fusewb_allow_task(fusewb_inode_conn(inode)))
		return -EACCES;
	more = verity_pieces(cmd, &verity, pieces);
	if (more < 0)
		return more;
	size = (u64)pieces[0].len + pieces[1].len + pieces[2].len;
	if (size > MAX_BYTES)
		return -ENOMEM;
	if (_IOC_DIR(cmd) & _IOC_WRITE)
		in.in_size = size;
	if (_IOC_DIR(cmd) & _IOC_READ)
		in.out_size = size;
	data = kvzalloc(size ?: 1, GFP_KERNEL);
	if (!data)
		return -ENOMEM;
	if (in.in_size && !copy_in(data, pieces)) {
		ret = -EFAULT;
	} else {
		if (more)
			memcpy(data, &verity, pieces[0].len);
		ret = fusewb_ioctl_ask(inode, &in, data, &len);
	}
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
