/* SPDX-License-Identifier: GPL-2.0-only */
/* Locks on files: lock.c. */
#ifndef FUSEWB_LOCK_H
#define FUSEWB_LOCK_H

#include <linux/fs.h>

/* file operations */
int fusewb_lock(struct file *file, int cmd, struct file_lock *fl);
int fusewb_flock(struct file *file, int cmd, struct file_lock *fl);

/** fusewb_locks_flush() - @owner closes a file of the inode, which ends his locks. */
void fusewb_locks_flush(struct inode *inode, fl_owner_t owner);

/** fusewb_locks_release() - the open file is gone, and with it the locks that
 * are its own. Waits for nobody.
 */
void fusewb_locks_release(struct file *file);

/** fusewb_locks_evict() - nobody asks for locks of the inode any more. */
void fusewb_locks_evict(struct inode *inode);

#endif
