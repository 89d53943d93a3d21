/* SPDX-License-Identifier: GPL-2.0-only */
/* Symbolic links: symlink.c. */
#ifndef FUSEWB_SYMLINK_H
#define FUSEWB_SYMLINK_H

struct inode;

/** fusewb_link_forget() - what the link points to is asked for again. */
void fusewb_link_forget(struct inode *inode);

#endif
