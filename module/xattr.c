// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes: the server's, under their full names. Whether a task may
 * touch trusted, security and user attributes the VFS has checked before.
 */
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <linux/xattr.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "inode.h"
#include "request.h"
#include "xattr.h"

/*
 * Every write(2) asks whether file capabilities have to go. That there are none
 * is believed as long as the attributes are that came before: a change of them
 * changes ctime. In writeback mode it is believed, too, while somebody has the
 * file open for writing, for every WRITE's end makes attributes invalid and a
 * writer must not wait for the server; what is set through us is noted.
 */
static bool no_capability(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool none;

	spin_lock(&fi->lock);
	none = fi->no_capability == fi->attr_version &&
	       time_before64(get_jiffies_64(), fi->attr_valid_until);
	if (fusewb_conn_writeback(fusewb_inode_conn(inode)))
		none |= !list_empty(&fi->write_handles);
	none &= fi->no_capability &&
		!fusewb_attr_doubted(fusewb_inode_conn(inode), fi->no_capability);
	spin_unlock(&fi->lock);
	return none;
}

static void forget_no_capability(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	fi->no_capability = 0;
	spin_unlock(&fi->lock);
}

/* @version: when it was asked for. One may have been set since. */
static void note_no_capability(struct inode *inode, u64 version)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	if (fi->attr_version == version)
		fi->no_capability = version;
	spin_unlock(&fi->lock);
}

static u64 present_version(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	u64 version;

	for (;;) {
		spin_lock(&fi->lock);
		version = fi->attr_version;
		spin_unlock(&fi->lock);
		if (!fusewb_attr_doubted(fusewb_inode_conn(inode), version))
			return version;
		/* Or nothing could be noted. The attributes are doubted as well. */
		fusewb_invalidate_attr(inode);
	}
}

ssize_t fusewb_getxattr(struct inode *inode, const char *name, void *value, size_t size)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	bool capability = !strcmp(name, XATTR_NAME_CAPS);
	struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_GETXATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) }, { name, strlen(name) + 1 } },
		.nr_in = 2,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	u64 version;
	int err;

	if (fusewb_conn_nosys(conn, FUSE_GETXATTR))
		return -EOPNOTSUPP;
	if (capability && no_capability(inode))
		return -ENODATA;
	if (size) {
		args.out[0].data = value;
		args.out[0].len = size;
		args.out_var = true;
	}
	version = present_version(inode);
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_GETXATTR);
		return -EOPNOTSUPP;
	}
	if (capability && err == -ENODATA)
		note_no_capability(inode, version);
	else if (capability)
		forget_no_capability(inode);
	if (err)
		return err;
	if (size)
		return args.out_len;
	if (out.size > XATTR_SIZE_MAX)
		return fusewb_bad_answer(conn, FUSE_GETXATTR, "a size that no value has");
	return out.size;
}

int fusewb_setxattr(struct inode *inode, const char *name, const void *value, size_t size,
		    int flags, u32 extra)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_setxattr_in in = {
		.size = size,
		.flags = flags,
		.setxattr_flags = extra,
	};
	struct fusewb_args args = {
		.opcode = FUSE_SETXATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = {
			{ &in, conn->flags & FUSE_SETXATTR_EXT ? sizeof(in) :
			       FUSE_COMPAT_SETXATTR_IN_SIZE },
			{ name, strlen(name) + 1 },
			{ value, size },
		},
		.nr_in = 3,
	};
	int err;

	if (fusewb_conn_nosys(conn, FUSE_SETXATTR))
		return -EOPNOTSUPP;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_SETXATTR);
		return -EOPNOTSUPP;
	}
	if (!err)
		fusewb_touch_ctime(inode);
	if (!err || fusewb_left(err))
		fusewb_invalidate_attr(inode);
	/* Then: an answer to what was asked before finds another version. */
	forget_no_capability(inode);
	return err;
}

int fusewb_removexattr(struct inode *inode, const char *name)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_args args = {
		.opcode = FUSE_REMOVEXATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { name, strlen(name) + 1 } },
		.nr_in = 1,
	};
	int err;

	if (fusewb_conn_nosys(conn, FUSE_REMOVEXATTR))
		return -EOPNOTSUPP;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_REMOVEXATTR);
		return -EOPNOTSUPP;
	}
	if (!err)
		fusewb_touch_ctime(inode);
	if (!err || fusewb_left(err))
		fusewb_invalidate_attr(inode);
	return err;
}

/* Names, each with its terminating zero, none of them empty. */
static bool list_valid(const char *list, size_t size)
{
	while (size) {
		size_t len = strnlen(list, size);

		if (!len || len == size || len > XATTR_NAME_MAX)
			return false;
		list += len + 1;
		size -= len + 1;
	}
	return true;
}

ssize_t fusewb_listxattr(struct dentry *dentry, char *list, size_t size)
{
	struct inode *inode = d_inode(dentry);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_getxattr_in in = { .size = size };
	struct fuse_getxattr_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_LISTXATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	int err;

	if (!fusewb_allow_task(conn))
		return -EACCES;
	if (fusewb_conn_nosys(conn, FUSE_LISTXATTR))
		return -EOPNOTSUPP;
	if (size) {
		args.out[0].data = list;
		args.out[0].len = size;
		args.out_var = true;
	}
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_LISTXATTR);
		return -EOPNOTSUPP;
	}
	if (err)
		return err;
	if (!size && out.size > XATTR_LIST_MAX)
		return fusewb_bad_answer(conn, FUSE_LISTXATTR, "a size that no list has");
	if (!size)
		return out.size;
	if (!list_valid(list, args.out_len))
		return fusewb_bad_answer(conn, FUSE_LISTXATTR, "a list that is none");
	return args.out_len;
}

/*
 * Writing asks for security attributes on behalf of whoever has the file open;
 * everything else is by name, and the directory above was not asked if it is
 * the root. What is asked, and how, is negotiated. Return: 0, -EACCES, or as
 * fusewb_conn_wait_ready().
 */
static int may_ask(struct inode *inode, const char *name)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);

	if (strncmp(name, XATTR_SECURITY_PREFIX, XATTR_SECURITY_PREFIX_LEN) &&
	    !fusewb_allow_task(conn))
		return -EACCES;
	return fusewb_conn_wait_ready(conn);
}

static int get(const struct xattr_handler *handler, struct dentry *dentry,
	       struct inode *inode, const char *name, void *value, size_t size)
{
	const struct xattr_handler *acl = compat_acl_handler(name);
	int err = may_ask(inode, name);

	if (err)
		return err;
	if (acl && fusewb_acl_refused(inode))
		return -EOPNOTSUPP;
	if (acl && fusewb_inode_conn(inode)->flags & FUSE_POSIX_ACL)
		return acl->get(acl, dentry, inode, "", value, size);
	return fusewb_getxattr(inode, name, value, size);
}

static int set(const struct xattr_handler *handler, struct mnt_idmap *idmap,
	       struct dentry *dentry, struct inode *inode, const char *name,
	       const void *value, size_t size, int flags)
{
	const struct xattr_handler *acl = compat_acl_handler(name);
	int err = may_ask(inode, name);

	if (err)
		return err;
	if (acl && fusewb_acl_refused(inode))
		return -EOPNOTSUPP;
	if (acl && fusewb_inode_conn(inode)->flags & FUSE_POSIX_ACL)
		return acl->set(acl, idmap, dentry, inode, "", value, size, flags);
	if (!value)
		return fusewb_removexattr(inode, name);
	return fusewb_setxattr(inode, name, value, size, flags, 0);
}

static const struct xattr_handler handler = {
	.prefix = "",
	.get = get,
	.set = set,
};

const struct xattr_handler *fusewb_xattr_handlers[] = { &handler, NULL };
