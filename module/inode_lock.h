/* SPDX-License-Identifier: GPL-2.0-only */
/* The lock of an inode, waited for as one waits for a server: inode_lock.c. */
#ifndef FUSEWB_INODE_LOCK_H
#define FUSEWB_INODE_LOCK_H

#include <linux/fs.h>

/** fusewb_inode_lock() - takes inode->i_rwsem for writing. Return: 0 or -EINTR. */
int fusewb_inode_lock(struct inode *inode);
void fusewb_inode_unlock(struct inode *inode);

/** fusewb_inode_lock_shared() - takes it for reading. Return: 0 or -EINTR. */
int fusewb_inode_lock_shared(struct inode *inode);
void fusewb_inode_unlock_shared(struct inode *inode);

#endif
