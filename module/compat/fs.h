/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/fs.h>. */
#ifndef FUSEWB_COMPAT_FS_H
#define FUSEWB_COMPAT_FS_H

#include <linux/fs.h>
#include <linux/user_namespace.h>

#ifndef HAVE_MNT_IDMAP
/* The inode operations took the namespace that the mount maps ids to. */
#define mnt_idmap user_namespace
#define nop_mnt_idmap init_user_ns
#endif

#ifndef HAVE_SET_DEFAULT_D_OP
static inline void set_default_d_op(struct super_block *sb,
				    const struct dentry_operations *ops)
{
	sb->s_d_op = ops;
}
#endif

#ifndef HAVE_INODE_JUST_DROP
#define inode_just_drop generic_delete_inode
#endif

/* Says to sync(2) what older kernels cannot be told. */
#ifndef SB_I_NO_DATA_INTEGRITY
#define SB_I_NO_DATA_INTEGRITY 0
#endif

#ifndef HAVE_GENERIC_FILLATTR_MASK
#define generic_fillattr(idmap, mask, inode, stat) generic_fillattr(idmap, inode, stat)
#endif

#ifdef HAVE_MKDIR_DENTRY
#define COMPAT_DEFINE_MKDIR(fn)	static_assert(true)
#define COMPAT_MKDIR(fn)	fn
#else
/* Which dentry a new directory got was found out by those who asked. */
#define COMPAT_DEFINE_MKDIR(fn)							\
	static int fn##_int(struct mnt_idmap *idmap, struct inode *dir,		\
			    struct dentry *dentry, umode_t mode)		\
	{									\
		struct dentry *alias = fn(idmap, dir, dentry, mode);		\
										\
		if (!IS_ERR_OR_NULL(alias))					\
			dput(alias);						\
		return PTR_ERR_OR_ZERO(alias);					\
	}									\
	static_assert(true)
#define COMPAT_MKDIR(fn)	fn##_int
#endif

#ifndef HAVE_INODE_STATE_READ
#define inode_state_read_once(inode) READ_ONCE((inode)->i_state)
#endif

#ifndef HAVE_INODE_MTIME_ACCESSORS
static inline struct timespec64 inode_get_mtime(const struct inode *inode)
{
	return inode->i_mtime;
}

static inline struct timespec64 inode_set_mtime_to_ts(struct inode *inode, struct timespec64 ts)
{
	inode->i_mtime = ts;
	return ts;
}

static inline struct timespec64 inode_set_atime_to_ts(struct inode *inode, struct timespec64 ts)
{
	inode->i_atime = ts;
	return ts;
}
#endif

#endif
