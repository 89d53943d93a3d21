/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/posix_acl.h> and <linux/posix_acl_xattr.h>. */
#ifndef FUSEWB_COMPAT_POSIX_ACL_H
#define FUSEWB_COMPAT_POSIX_ACL_H

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xattr.h>

#include "fs.h"

#ifndef HAVE_POSIX_ACL_TO_XATTR_ALLOC
/* The caller had to bring the memory. */
static inline void *fusewb_posix_acl_to_xattr(struct user_namespace *ns,
					      const struct posix_acl *acl, size_t *size, gfp_t gfp)
{
	size_t room = posix_acl_xattr_size(acl->a_count);
	void *value = kmalloc(room, gfp);
	int ret;

	if (!value)
		return NULL;
	ret = posix_acl_to_xattr(ns, acl, value, room);
	if (ret < 0) {
		kfree(value);
		return ERR_PTR(ret);
	}
	*size = room;
	return value;
}

#define posix_acl_to_xattr fusewb_posix_acl_to_xattr
#endif

/*
 * The operations of an inode: @check for the VFS's own checks, @get and @set
 * for users. Older kernels had no @get of its own: users came through a handler
 * of extended attributes.
 */
#ifdef HAVE_GET_INODE_ACL
#define COMPAT_DEFINE_ACL_OPS(check, get, set)					\
	static struct posix_acl *get##_dentry(struct mnt_idmap *idmap,		\
					      struct dentry *dentry, int type)	\
	{									\
		return get(d_inode(dentry), type);				\
	}									\
	static int set##_dentry(struct mnt_idmap *idmap, struct dentry *dentry,	\
				struct posix_acl *acl, int type)		\
	{									\
		return set(d_inode(dentry), acl, type);				\
	}									\
	static_assert(true)
#define COMPAT_ACL_OPS(check, get, set)						\
	.get_inode_acl = check, .get_acl = get##_dentry, .set_acl = set##_dentry

static inline const struct xattr_handler *compat_acl_handler(const char *name)
{
	return NULL;
}
#else
#define COMPAT_DEFINE_ACL_OPS(check, get, set)					\
	static int set##_inode(struct mnt_idmap *idmap, struct inode *inode,	\
			       struct posix_acl *acl, int type)			\
	{									\
		return set(inode, acl, type);					\
	}									\
	static_assert(true)
#define COMPAT_ACL_OPS(check, get, set)						\
	.get_acl = check, .set_acl = set##_inode

static inline const struct xattr_handler *compat_acl_handler(const char *name)
{
	if (!strcmp(name, XATTR_NAME_POSIX_ACL_ACCESS))
		return &posix_acl_access_xattr_handler;
	if (!strcmp(name, XATTR_NAME_POSIX_ACL_DEFAULT))
		return &posix_acl_default_xattr_handler;
	return NULL;
}
#endif

#endif
