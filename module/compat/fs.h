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

#endif
