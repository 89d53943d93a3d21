// SPDX-License-Identifier: GPL-2.0-only
/*
 * In-flight ranges.
 *
 * PG_writeback is never left set on a folio of this file system, for the core
 * of the kernel waits for it in many places, and what a server takes to answer
 * is unbounded. Instead each inode has an interval tree of byte ranges, each in
 * one of two states:
 *
 *   in flight	A WRITE of these bytes was issued and is not answered. Its
 *		folios may be redirtied, reclaimed, migrated or truncated as
 *		soon as the server's thread has copied them.
 *   held	A truncation or a direct write works on them and nothing may be
 *		issued until it is done. A direct write whose task was killed
 *		stays held until the server has answered it.
 *
 * What follows from it:
 * - Two WRITEs of the same bytes are never with the server together, for a
 *   range that overlaps another is refused. Whoever was refused leaves the
 *   folio dirty and comes back later, or waits (fsync).
 * - A folio that is read in may be stale as long as a WRITE of its bytes is in
 *   flight, for it may have been reclaimed after the hand-over. So readers wait
 *   for what is in flight, but not for what is held: they own folio locks that
 *   the holder will need to truncate or invalidate.
 * - i_size clips a WRITE when it is issued. If the file grows into its last
 *   folio meanwhile, that folio was redirtied and is issued again later.
 * - Truncation holds first and drops the folios then. A folio issued before the
 *   hold is waited for, one found after it is refused and dropped.
 *
 * What was never in a WRITE, and is behind the end that the server's file once
 * had, is a hole: the server has no more to tell of it than that it is zeroes. So
 * the end of what it may have is kept here too (writeback mode, in which nobody
 * else makes the file longer). Where the cache is not trusted any more, neither
 * is this.
 *
 * A range ends in the thread of the server that answers, or of whoever aborts
 * the connection. No lock is needed there but the one below.
 *
 * Lock order: inode lock, folio lock, fi->inflight_lock, the queue's lock. All
 * waiting is done without a folio lock, except for reading a folio in, which
 * the VFS wants locked; nothing that ends a range takes a folio lock.
 */
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/minmax.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "compat/compat.h"
#include "inflight.h"
#include "inode.h"
#include "waits.h"

#define FIRST(range) ((range)->first)
#define LAST(range) ((range)->last)

INTERVAL_TREE_DEFINE(struct fusewb_range, rb, u64, subtree_last, FIRST, LAST,
		     static inline, range_tree)

void fusewb_inflight_init(struct fusewb_inode *fi)
{
	spin_lock_init(&fi->inflight_lock);
	fi->inflight = RB_ROOT_CACHED;
	fi->server_end = 0;
	init_waitqueue_head(&fi->inflight_wait);
}

static bool overlaps(struct fusewb_inode *fi, u64 first, u64 last)
{
	lockdep_assert_held(&fi->inflight_lock);
	return range_tree_iter_first(&fi->inflight, first, last);
}

static void insert(struct fusewb_inode *fi, struct fusewb_range *range,
		   u64 first, u64 last)
{
	lockdep_assert_held(&fi->inflight_lock);
	range->first = first;
	range->last = last;
	range_tree_insert(range, &fi->inflight);
	/* A truncation has all of the rest, and gives the server nothing. */
	if (last != U64_MAX)
		fi->server_end = max(fi->server_end, last + 1);
}

void fusewb_server_has(struct fusewb_inode *fi, u64 end)
{
	spin_lock(&fi->inflight_lock);
	fi->server_end = max(fi->server_end, end);
	spin_unlock(&fi->inflight_lock);
}

void fusewb_server_truncated(struct fusewb_inode *fi, u64 end)
{
	spin_lock(&fi->inflight_lock);
	fi->server_end = min(fi->server_end, end);
	spin_unlock(&fi->inflight_lock);
}

bool fusewb_server_lacks(struct fusewb_inode *fi, u64 pos)
{
	bool ret;

	spin_lock(&fi->inflight_lock);
	ret = pos >= fi->server_end;
	spin_unlock(&fi->inflight_lock);
	return ret;
}

bool fusewb_inflight_add(struct fusewb_inode *fi, struct fusewb_range *range,
			 u64 first, u64 last)
{
	bool free;

	range->held = false;
	range->expired = false;
	spin_lock(&fi->inflight_lock);
	free = !overlaps(fi, first, last);
	if (free)
		insert(fi, range, first, last);
	spin_unlock(&fi->inflight_lock);
	return free;
}

bool fusewb_inflight_extend(struct fusewb_inode *fi, struct fusewb_range *range,
			    u64 last)
{
	bool free;

	spin_lock(&fi->inflight_lock);
	free = !overlaps(fi, range->last + 1, last);
	if (free) {
		range_tree_remove(range, &fi->inflight);
		insert(fi, range, range->first, last);
	}
	spin_unlock(&fi->inflight_lock);
	return free;
}

void fusewb_inflight_remove(struct fusewb_inode *fi, struct fusewb_range *range)
{
	spin_lock(&fi->inflight_lock);
	range_tree_remove(range, &fi->inflight);
	spin_unlock(&fi->inflight_lock);
	/* The lock orders this after a waiter's look at the tree. */
	if (waitqueue_active(&fi->inflight_wait))
		wake_up_all(&fi->inflight_wait);
}

bool fusewb_inflight_overlaps(struct fusewb_inode *fi, u64 first, u64 last)
{
	bool ret;

	spin_lock(&fi->inflight_lock);
	ret = overlaps(fi, first, last);
	spin_unlock(&fi->inflight_lock);
	return ret;
}

bool fusewb_inflight_each(struct fusewb_inode *fi, u64 first, u64 last,
			  bool (*fn)(struct fusewb_range *range, void *arg), void *arg)
{
	struct fusewb_range *range;
	bool ret = true;

	spin_lock(&fi->inflight_lock);
	for (range = range_tree_iter_first(&fi->inflight, first, last); range && ret;
	     range = range_tree_iter_next(range, first, last))
		ret = range->held || fn(range, arg);
	spin_unlock(&fi->inflight_lock);
	return ret;
}

/* Is there a range other than @but, held ones only counted if @held? */
static bool busy(struct fusewb_inode *fi, u64 first, u64 last,
		 const struct fusewb_range *but, bool held)
{
	struct fusewb_range *range;

	spin_lock(&fi->inflight_lock);
	for (range = range_tree_iter_first(&fi->inflight, first, last); range;
	     range = range_tree_iter_next(range, first, last))
		if (range != but && (held || !range->held))
			break;
	spin_unlock(&fi->inflight_lock);
	return range;
}

static int wait_while_busy(struct fusewb_inode *fi, u64 first, u64 last,
			   const struct fusewb_range *but, bool held)
{
	if (!busy(fi, first, last, but, held))
		return 0;
	if (wait_event_state(fi->inflight_wait, !busy(fi, first, last, but, held),
			     FUSEWB_KILLABLE))
		return -EINTR;
	return 0;
}

int fusewb_inflight_wait(struct fusewb_inode *fi, u64 first, u64 last)
{
	return wait_while_busy(fi, first, last, NULL, false);
}

void fusewb_inflight_expire(struct fusewb_inode *fi, struct fusewb_range *range)
{
	spin_lock(&fi->inflight_lock);
	range->expired = true;
	spin_unlock(&fi->inflight_lock);
	/* The lock orders this after a waiter's look at the tree. */
	if (waitqueue_active(&fi->inflight_wait))
		wake_up_all(&fi->inflight_wait);
}

static bool not_expired(struct fusewb_range *range, void *arg)
{
	return !range->expired;
}

static bool expired(struct fusewb_range *range, void *arg)
{
	return range->expired;
}

static bool has_expired(struct fusewb_inode *fi, u64 first, u64 last)
{
	return !fusewb_inflight_each(fi, first, last, not_expired, NULL);
}

int fusewb_inflight_wait_unexpired(struct fusewb_inode *fi, u64 first, u64 last)
{
	if (wait_event_state(fi->inflight_wait,
			     fusewb_inflight_each(fi, first, last, expired, NULL),
			     FUSEWB_KILLABLE))
		return -EINTR;
	return 0;
}

int fusewb_inflight_wait_free(struct fusewb_inode *fi, u64 first, u64 last)
{
	if (!busy(fi, first, last, NULL, true))
		return 0;
	if (wait_event_state(fi->inflight_wait,
			     !busy(fi, first, last, NULL, true) || has_expired(fi, first, last),
			     FUSEWB_KILLABLE))
		return -EINTR;
	return has_expired(fi, first, last) ? -ETIMEDOUT : 0;
}

int fusewb_inflight_hold(struct fusewb_inode *fi, struct fusewb_range *range,
			 u64 first, u64 last)
{
	int err;

	lockdep_assert_held_write(&fi->inode.i_rwsem);

	range->held = true;
	range->expired = false;
	spin_lock(&fi->inflight_lock);
	insert(fi, range, first, last);
	spin_unlock(&fi->inflight_lock);

	/* Held ranges too: a direct write that was killed may still be out. */
	err = wait_while_busy(fi, first, last, range, true);
	if (err)
		fusewb_inflight_release(fi, range);
	return err;
}

int fusewb_inflight_hold_shared(struct fusewb_inode *fi, struct fusewb_range *range,
				u64 first, u64 last)
{
	bool free;
	int err;

	range->held = true;
	for (;;) {
		spin_lock(&fi->inflight_lock);
		free = !overlaps(fi, first, last);
		if (free)
			insert(fi, range, first, last);
		spin_unlock(&fi->inflight_lock);
		if (free)
			return 0;
		err = fusewb_inflight_wait_free(fi, first, last);
		if (err)
			return err;
	}
}

void fusewb_inflight_release(struct fusewb_inode *fi, struct fusewb_range *range)
{
	fusewb_inflight_remove(fi, range);
}
