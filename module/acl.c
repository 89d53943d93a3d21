// SPDX-License-Identifier: GPL-2.0-only
/*
 * POSIX ACLs: kept by the server as extended attributes.
 *
 * A server of FUSE_POSIX_ACL leaves the checks to the kernel, and changes the
 * mode itself when an ACL is set, as it gives new files the ACL of their
 * directory: it is told the umask. What the kernel has cached is dropped with
 * every answer about attributes that was asked for.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "inode.h"
#include "request.h"
#include "xattr.h"

static bool kernel_checks(const struct inode *inode)
{
	return fusewb_inode_conn(inode)->flags & FUSE_POSIX_ACL;
}

bool fusewb_acl_refused(const struct inode *inode)
{
	/* The ids in it would be of the wrong namespace. */
	return !kernel_checks(inode) && inode->i_sb->s_user_ns != &init_user_ns;
}

void fusewb_acl_forget(struct inode *inode)
{
	if (kernel_checks(inode))
		forget_all_cached_acls(inode);
}

void fusewb_acl_init(struct inode *inode)
{
	if (kernel_checks(inode))
		return;
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
}

static const char *acl_name(int type)
{
	return type == ACL_TYPE_ACCESS ? XATTR_NAME_POSIX_ACL_ACCESS : XATTR_NAME_POSIX_ACL_DEFAULT;
}

/* Larger than what any file system on a disk takes. */
#define ACL_SIZE_MAX PAGE_SIZE

/* One that names users that this user namespace does not have is no wrong answer. */
static struct posix_acl *parse(struct fusewb_conn *conn, const void *value, size_t size)
{
	struct posix_acl *acl = posix_acl_from_xattr(conn->user_ns, value, size);
	struct posix_acl *anywhere;

	if (acl != ERR_PTR(-EINVAL) && acl != ERR_PTR(-EOPNOTSUPP))
		return acl;
	anywhere = posix_acl_from_xattr(&init_user_ns, value, size);
	if (anywhere == ERR_PTR(-ENOMEM))
		return anywhere;
	if (IS_ERR(anywhere))
		return ERR_PTR(fusewb_bad_answer(conn, FUSE_GETXATTR, "an ACL that is none"));
	posix_acl_release(anywhere);
	return acl;
}

struct posix_acl *fusewb_acl_get(struct inode *inode, int type)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct posix_acl *acl = NULL;
	ssize_t size;
	void *value;
	int err;

	/* Whose they are is negotiated. */
	err = fusewb_conn_wait_ready(conn);
	if (err)
		return ERR_PTR(err);
	if (fusewb_acl_refused(inode))
		return ERR_PTR(-EOPNOTSUPP);
	if (fusewb_conn_nosys(conn, FUSE_GETXATTR))
		return NULL;
	value = kmalloc(ACL_SIZE_MAX, GFP_KERNEL);
	if (!value)
		return ERR_PTR(-ENOMEM);
	size = fusewb_getxattr(inode, acl_name(type), value, ACL_SIZE_MAX);
	if (size > 0)
		acl = parse(conn, value, size);
	else if (size == -ERANGE)
		acl = ERR_PTR(-E2BIG);
	else if (size && size != -ENODATA && size != -EOPNOTSUPP)
		acl = ERR_PTR(size);
	kfree(value);
	return acl;
}

struct posix_acl *fusewb_acl_for_check(struct inode *inode, int type, bool rcu)
{
	/* Such a server does all checks itself. */
	if (!kernel_checks(inode))
		return NULL;
	if (rcu)
		return ERR_PTR(-ECHILD);
	return fusewb_acl_get(inode, type);
}

/* The set-group-ID bit goes if the owner is not of the group. */
static u32 kill_sgid(struct inode *inode)
{
	if (!kernel_checks(inode) || in_group_p(inode->i_gid) ||
	    capable_wrt_inode_uidgid(&nop_mnt_idmap, inode, CAP_FSETID))
		return 0;
	return FUSE_SETXATTR_ACL_KILL_SGID;
}

static int store(struct inode *inode, const struct posix_acl *acl, int type)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	size_t size;
	void *value;
	int err;

	value = posix_acl_to_xattr(conn->user_ns, acl, &size, GFP_KERNEL);
	if (IS_ERR_OR_NULL(value))
		return value ? PTR_ERR(value) : -ENOMEM;
	if (size > ACL_SIZE_MAX)
		err = -E2BIG;
	else
		err = fusewb_setxattr(inode, acl_name(type), value, size, 0, kill_sgid(inode));
	kfree(value);
	return err;
}

int fusewb_acl_set(struct inode *inode, struct posix_acl *acl, int type)
{
	int err;

	err = fusewb_conn_wait_ready(fusewb_inode_conn(inode));
	if (err)
		return err;
	if (fusewb_acl_refused(inode))
		return -EOPNOTSUPP;
	if (acl)
		err = store(inode, acl, type);
	else
		err = fusewb_removexattr(inode, acl_name(type));
	if (!kernel_checks(inode))
		return err;
	/* The mode may have changed with it. */
	forget_all_cached_acls(inode);
	fusewb_invalidate_attr(inode);
	return err;
}
