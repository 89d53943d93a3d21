/* SPDX-License-Identifier: GPL-2.0-only */
/* The ranges of an inode that the server is asked for: reading.c. */
#ifndef FUSEWB_READING_H
#define FUSEWB_READING_H

#include <linux/types.h>

struct folio;
struct fusewb_inode;
struct fusewb_range;
struct fusewb_span;

void fusewb_reading_init(struct fusewb_inode *fi);

/**
 * fusewb_reading_add() - the folios of first..last stay locked until READ
 * ended, which may be never
 *
 * The caller has them locked. Does not sleep.
 */
void fusewb_reading_add(struct fusewb_inode *fi, struct fusewb_range *range,
			u64 first, u64 last);

/**
 * fusewb_reading_end() - the READ ended, its folios are about to be unlocked
 * @spans: of the folios that are filled now, @nr of them, none after an error
 *
 * They become valid, unless what the server said is old by now. Does not sleep.
 * Return: false then.
 */
bool fusewb_reading_end(struct fusewb_inode *fi, struct fusewb_range *range,
			const struct fusewb_span *spans, unsigned int nr);

/**
 * fusewb_reading_void() - what is being read of first..last is old
 *
 * For who has changed these bytes at the server, or was told of it: a READ that
 * is under way may bring what was there before. Does not sleep. Return: was there any?
 */
bool fusewb_reading_void(struct fusewb_inode *fi, u64 first, u64 last);

/**
 * fusewb_reading_lock() - lock a folio of the cache, which may be being read in
 *
 * Killable and freezable. The caller has a reference, and looks whether it is
 * cached still. Return: 0 or -EINTR.
 */
int fusewb_reading_lock(struct fusewb_inode *fi, struct folio *folio);

#endif
