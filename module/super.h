/* SPDX-License-Identifier: GPL-2.0-only */
/* The file system type: mount options, super block, statfs, umount. */
#ifndef FUSEWB_SUPER_H
#define FUSEWB_SUPER_H

struct fusewb_conn;

/**
 * fusewb_super_negotiated() - the super block takes over what INIT said
 *
 * Called where INIT ends, which kill_sb waits for: conn->sb stays. Before
 * anybody is let in.
 */
void fusewb_super_negotiated(struct fusewb_conn *conn);

int fusewb_super_register(void);
void fusewb_super_unregister(void);

#endif
