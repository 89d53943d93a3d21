/* SPDX-License-Identifier: GPL-2.0-only */
/* Extended attributes (xattr.c) and the ACLs among them (acl.c). */
#ifndef FUSEWB_XATTR_H
#define FUSEWB_XATTR_H

#include <linux/fs.h>
#include <linux/xattr.h>

struct posix_acl;

/* For sb->s_xattr: everything goes to the server under its full name. */
extern const struct xattr_handler *fusewb_xattr_handlers[];

/**
 * fusewb_getxattr() - GETXATTR
 * @value: NULL with @size 0 to ask how large it is
 *
 * Return: bytes, -ENODATA, -ERANGE, -EOPNOTSUPP if the server has no such
 * operation, other errors of fusewb_call().
 */
ssize_t fusewb_getxattr(struct inode *inode, const char *name, void *value, size_t size);

/**
 * fusewb_setxattr() - SETXATTR
 * @flags: XATTR_*
 * @extra: FUSE_SETXATTR_*, which only reach a server of FUSE_SETXATTR_EXT
 */
int fusewb_setxattr(struct inode *inode, const char *name, const void *value, size_t size,
		    int flags, u32 extra);
int fusewb_removexattr(struct inode *inode, const char *name);
ssize_t fusewb_listxattr(struct dentry *dentry, char *list, size_t size);

/*
 * acl.c: with FUSE_POSIX_ACL the kernel checks them; without it they are bytes
 * that only the server understands, and nothing at all in a user namespace.
 */
bool fusewb_acl_refused(const struct inode *inode);
struct posix_acl *fusewb_acl_for_check(struct inode *inode, int type, bool rcu);
struct posix_acl *fusewb_acl_get(struct inode *inode, int type);
int fusewb_acl_set(struct inode *inode, struct posix_acl *acl, int type);

/** fusewb_acl_forget() - the server may have others now; asked again. */
void fusewb_acl_forget(struct inode *inode);

/** fusewb_acl_init() - of a new inode: are its ACLs cached? */
void fusewb_acl_init(struct inode *inode);

#endif
