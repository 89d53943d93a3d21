/* SPDX-License-Identifier: GPL-2.0-only */
/* Extensions of CREATE, TMPFILE, MKNOD, MKDIR and SYMLINK. */
#ifndef FUSEWB_EXTENSION_H
#define FUSEWB_EXTENSION_H

#include <linux/fs.h>

struct fusewb_args;

/**
 * fusewb_extend() - add what the server asked to hear with everything that is made
 * @dentry: what is made, in @dir
 * @mode: with its type
 *
 * The memory is the arguments' until fusewb_extend_end(). May sleep. Return: 0,
 * -ENOMEM, or the security module's error; then nothing was added.
 */
int fusewb_extend(struct fusewb_args *args, const struct inode *dir, struct dentry *dentry,
		  umode_t mode);

void fusewb_extend_end(struct fusewb_args *args);

#endif
