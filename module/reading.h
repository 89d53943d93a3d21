/* SPDX-License-Identifier: GPL-2.0-only */
/* The ranges of an inode that the server is asked for: reading.c. */
#ifndef FUSEWB_READING_H
#define FUSEWB_READING_H

#include <linux/types.h>

struct address_space;
struct folio;
struct fusewb_inode;
struct fusewb_range;

void fusewb_reading_init(struct fusewb_inode *fi);

/**
 * fusewb_reading_add() - the folios of first..last stay locked until READ
 * ended, which may be never
 *
 * The caller has them locked. Does not sleep.
 */
void fusewb_reading_add(struct fusewb_inode *fi, struct fusewb_range *range,
			u64 first, u64 last);

/** fusewb_reading_remove() - they are unlocked, or are about to be. */
void fusewb_reading_remove(struct fusewb_inode *fi, struct fusewb_range *range);

/**
 * fusewb_reading_wait() - until nothing of first..last is being read
 *
 * Killable and freezable; not with a folio lock. Return: 0 or -EINTR.
 */
int fusewb_reading_wait(struct fusewb_inode *fi, u64 first, u64 last);

/**
 * fusewb_reading_wait_cached() - until none of the folios of pages first..last,
 * as far as they are cached now, is being read in
 *
 * Before a call that waits for their locks next to never then, but so that no
 * kill ends it. Return: 0 or -EINTR.
 */
int fusewb_reading_wait_cached(struct address_space *mapping, pgoff_t first, pgoff_t last);

/**
 * fusewb_reading_lock() - lock a folio of the cache, which may be being read in
 *
 * Killable and freezable. The caller has a reference, and looks whether it is
 * cached still. Return: 0 or -EINTR.
 */
int fusewb_reading_lock(struct fusewb_inode *fi, struct folio *folio);

#endif
