/* SPDX-License-Identifier: GPL-2.0-only */
/* Everything that is dirty in a file system: sync.c. */
#ifndef FUSEWB_SYNC_H
#define FUSEWB_SYNC_H

struct super_block;

/**
 * fusewb_sync_fs() - super_operations: write all back and wait for the answers
 *
 * Called with s_umount held for reading, which is let go meanwhile. Killable
 * and freezable. Return: 0, -EINTR, or -ETIMEDOUT if something could not be sent,
 * for what was sent before of the same bytes has expired.
 */
int fusewb_sync_fs(struct super_block *sb, int wait);

/**
 * fusewb_settle() - the last user of the super block has gone
 *
 * What is still dirty (an exiting or killed task could not wait for it) is
 * written back as long as the server keeps answering. When this returns no
 * request is left that holds an inode. Called with s_umount held for writing,
 * which is let go meanwhile.
 */
void fusewb_settle(struct super_block *sb);

#endif
