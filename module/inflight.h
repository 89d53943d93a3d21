/* SPDX-License-Identifier: GPL-2.0-only */
/* The in-flight ranges of an inode: inflight.c says what they are for. */
#ifndef FUSEWB_INFLIGHT_H
#define FUSEWB_INFLIGHT_H

#include <linux/rbtree.h>
#include <linux/types.h>

struct fusewb_inode;

/**
 * struct fusewb_range - bytes of an inode, both ends included
 *
 * In flight: a WRITE of them was issued and not answered; the range is that
 * request's io.range, and the request lives as long as it is in the tree.
 * Expired: its deadline has passed, the server may still carry it out. Held: truncation,
 * punching or a direct write works on them and nothing may be issued.
 */
struct fusewb_range {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	bool held;
	bool expired;
	bool stale;		/* being read: see fusewb_reading_void() */
};

void fusewb_inflight_init(struct fusewb_inode *fi);

/**
 * fusewb_inflight_add() - the range is in flight from now on
 *
 * The caller holds the lock of the folios in it, so nobody else can issue the
 * same bytes. Return: false if a part of it is in flight or held already;
 * then nothing was added.
 */
bool fusewb_inflight_add(struct fusewb_inode *fi, struct fusewb_range *range,
			 u64 first, u64 last);

/** fusewb_inflight_extend() - grow a range at its end, under the same rules. */
bool fusewb_inflight_extend(struct fusewb_inode *fi, struct fusewb_range *range,
			    u64 last);

/** fusewb_inflight_remove() - answered or abandoned; wakes who waits. */
void fusewb_inflight_remove(struct fusewb_inode *fi, struct fusewb_range *range);

/**
 * fusewb_inflight_each() - what of first..last is in flight, in no order
 *
 * Calls @fn under fi->inflight_lock, until it returns false. What is held is
 * left out. Return: whether @fn returned true for all of them.
 */
bool fusewb_inflight_each(struct fusewb_inode *fi, u64 first, u64 last,
			  bool (*fn)(struct fusewb_range *range, void *arg), void *arg);

/**
 * fusewb_inflight_clean() - is nothing in flight, and nothing dirty?
 *
 * Exact also for what changes from the one to the other just now.
 */
bool fusewb_inflight_clean(struct fusewb_inode *fi);

/** fusewb_inflight_expire() - fsync need not wait for this range any more. */
void fusewb_inflight_expire(struct fusewb_inode *fi, struct fusewb_range *range);

/**
 * fusewb_inflight_wait_unexpired() - until nothing of first..last is in flight
 * but what has expired
 *
 * Killable and freezable. Return: 0 or -EINTR.
 */
int fusewb_inflight_wait_unexpired(struct fusewb_inode *fi, u64 first, u64 last);

bool fusewb_inflight_overlaps(struct fusewb_inode *fi, u64 first, u64 last);

/**
 * fusewb_inflight_wait() - until nothing of first..last is in flight
 *
 * For those who read: what is held does not count, so a folio lock may be held.
 * Killable and freezable. Return: 0 or -EINTR. An aborted connection empties
 * the tree, so this ends then too.
 */
int fusewb_inflight_wait(struct fusewb_inode *fi, u64 first, u64 last);

/**
 * fusewb_inflight_wait_free() - until nothing of first..last is in flight or
 * held
 *
 * For those who want to issue it. No folio lock is held, for a holder may need
 * it. Killable and freezable. Return: 0, -EINTR, or -ETIMEDOUT if a part of it
 * has expired: when it will be free only the server knows.
 */
int fusewb_inflight_wait_free(struct fusewb_inode *fi, u64 first, u64 last);

/**
 * fusewb_inflight_hold() - nothing new is issued in first..last, and what was
 * in flight there has been answered
 *
 * The inode lock is held for writing (asserted), so that two holders never
 * wait for each other; a folio lock is not. Killable and freezable. Return: 0 or -EINTR (then
 * nothing is held).
 */
int fusewb_inflight_hold(struct fusewb_inode *fi, struct fusewb_range *range,
			 u64 first, u64 last);
/**
 * fusewb_inflight_hold_shared() - the same for who shares the inode lock
 *
 * It holds nothing before all of it is free, so that two of them never wait for
 * each other.
 */
int fusewb_inflight_hold_shared(struct fusewb_inode *fi, struct fusewb_range *range,
				u64 first, u64 last);
void fusewb_inflight_release(struct fusewb_inode *fi, struct fusewb_range *range);

/** fusewb_server_has() - up to @end the server may have what we do not know of */
void fusewb_server_has(struct fusewb_inode *fi, u64 end);

/** fusewb_server_truncated() - its file ends at @end. The range behind is held. */
void fusewb_server_truncated(struct fusewb_inode *fi, u64 end);

/** fusewb_server_lacks() - in writeback mode: from @pos on it has nothing */
bool fusewb_server_lacks(struct fusewb_inode *fi, u64 pos);

#endif
