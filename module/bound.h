/* SPDX-License-Identifier: GPL-2.0-only */
/* How much a connection may keep dirty: bound.c says why. */
#ifndef FUSEWB_BOUND_H
#define FUSEWB_BOUND_H

#include <linux/types.h>

struct fusewb_conn;
struct inode;

/**
 * fusewb_bound_wait() - something of @inode was made dirty, or is about to be
 *
 * Issues it when enough has gathered, and waits for the server while too much is
 * dirty or in flight. No folio is locked, the inode may be. Connections with the
 * strict limit do not wait here. Return: 0 or -EINTR.
 */
int fusewb_bound_wait(struct inode *inode);

/** fusewb_bound_closed() - would fusewb_bound_wait() wait? (The group aside.) */
bool fusewb_bound_closed(struct inode *inode);

/** fusewb_bound_issued() - more bytes are about to be in flight. */
void fusewb_bound_issued(struct fusewb_conn *conn);

/**
 * fusewb_bound_freed() - fewer bytes are in flight
 *
 * @pages: how many the server has taken, 0 if it has not. Does not sleep.
 */
void fusewb_bound_freed(struct fusewb_conn *conn, unsigned long pages);

#endif
