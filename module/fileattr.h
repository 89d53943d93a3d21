/* SPDX-License-Identifier: GPL-2.0-only */
/* The flags that chattr(1) changes: fileattr.c. */
#ifndef FUSEWB_FILEATTR_H
#define FUSEWB_FILEATTR_H

#include "compat/fs.h"

struct file_kattr;

/* Inode operations of files and directories; the VFS holds the inode lock to set. */
int fusewb_fileattr_get(struct dentry *dentry, struct file_kattr *fa);
int fusewb_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct file_kattr *fa);

#endif
