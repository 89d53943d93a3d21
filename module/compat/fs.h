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

#endif
