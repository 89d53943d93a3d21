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
 * the connection. No lock is needed there but the one below, and those of valid
 * folios, with which nobody waits for a server. Who ends it looks for those who
 * wait whether what they wait for is over now: fsync of a thousand small requests
 * sleeps once, not once for each of them.
 *
 * Lock order: inode lock, folio lock, fi->inflight_lock, the queue's lock. All
 * waiting is done without a folio lock, except for reading a folio in, which
 * the VFS wants locked; nothing that ends a range takes the lock of such a folio.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/list.h>
#include <linux/minmax.h>

#include "compat/compat.h"
#include "inflight.h"
#include "inode.h"
#include "waits.h"

#define FIRST(range) ((range)->first)
#define LAST(range) ((range)->last)

INTERVAL_TREE_DEFINE(struct fusewb_range, rb, u64, subtree_last, FIRST, LAST,
		     static inline, range_tree)

/* What somebody does who meets a range in flight whose deadline has passed. */
enum if_expired {
	STAY,
	PASS,
	LEAVE,			/* with -ETIMEDOUT */
};

/*
 * Who waits for what of first..last is in flight.
 *
 * @node: fi->inflight_lock; in fi->inflight_waiters until it is over
 * @over: completed then, under that lock
 * @result: what look() said then
 * @but: his own range, or NULL
 * @held: for what is held too
 */
struct waiter {
	struct list_head node;
	struct completion over;
	u64 first;
	u64 last;
	const struct fusewb_range *but;
	bool held;
	enum if_expired if_expired;
	int result;
};

void fusewb_inflight_init(struct fusewb_inode *fi)
{
	spin_lock_init(&fi->inflight_lock);
	fi->inflight = RB_ROOT_CACHED;
	fi->server_end = 0;
	INIT_LIST_HEAD(&fi->inflight_waiters);
}

/* Return: 0 if it is over, -EBUSY if it is not, -ETIMEDOUT. */
static int look(struct fusewb_inode *fi, const struct waiter *waiter)
{
	struct fusewb_range *range;
	int ret = 0;

	lockdep_assert_held(&fi->inflight_lock);
	for (range = range_tree_iter_first(&fi->inflight, waiter->first, waiter->last); range;
	     range = range_tree_iter_next(range, waiter->first, waiter->last)) {
		bool expired = range->expired && !range->held;

		if (range == waiter->but || (range->held && !waiter->held) ||
		    (expired && waiter->if_expired == PASS))
			continue;
		if (expired && waiter->if_expired == LEAVE)
			return -ETIMEDOUT;
		ret = -EBUSY;
		if (waiter->if_expired != LEAVE)
			break;
	}
	return ret;
}

/* A range is gone, or has expired. */
static void look_for_all(struct fusewb_inode *fi)
{
	struct waiter *waiter, *next;

	lockdep_assert_held(&fi->inflight_lock);
	list_for_each_entry_safe(waiter, next, &fi->inflight_waiters, node) {
		waiter->result = look(fi, waiter);
		if (waiter->result == -EBUSY)
			continue;
		list_del_init(&waiter->node);
		complete(&waiter->over);
	}
}

/* Return: 0, -EINTR, -ETIMEDOUT. */
static int wait(struct fusewb_inode *fi, struct waiter *waiter)
{
	int ret;

	spin_lock(&fi->inflight_lock);
	ret = look(fi, waiter);
	if (ret == -EBUSY) {
		init_completion(&waiter->over);
		list_add_tail(&waiter->node, &fi->inflight_waiters);
	}
	spin_unlock(&fi->inflight_lock);
	if (ret != -EBUSY)
		return ret;

	if (!wait_for_completion_state(&waiter->over, FUSEWB_KILLABLE))
		return waiter->result;
	spin_lock(&fi->inflight_lock);
	list_del(&waiter->node);
	spin_unlock(&fi->inflight_lock);
	return -EINTR;
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
	look_for_all(fi);
	spin_unlock(&fi->inflight_lock);
}

bool fusewb_inflight_overlaps(struct fusewb_inode *fi, u64 first, u64 last)
{
	bool ret;

	spin_lock(&fi->inflight_lock);
	ret = overlaps(fi, first, last);
	spin_unlock(&fi->inflight_lock);
	return ret;
}

static bool each(struct fusewb_inode *fi, u64 first, u64 last,
		 bool (*fn)(struct fusewb_range *range, void *arg), void *arg)
{
	struct fusewb_range *range;
	bool ret = true;

	lockdep_assert_held(&fi->inflight_lock);
	for (range = range_tree_iter_first(&fi->inflight, first, last); range && ret;
	     range = range_tree_iter_next(range, first, last))
		ret = range->held || fn(range, arg);
	return ret;
}

bool fusewb_inflight_each(struct fusewb_inode *fi, u64 first, u64 last,
			  bool (*fn)(struct fusewb_range *range, void *arg), void *arg)
{
	bool ret;

	spin_lock(&fi->inflight_lock);
	ret = each(fi, first, last, fn, arg);
	spin_unlock(&fi->inflight_lock);
	return ret;
}

static bool none(struct fusewb_range *range, void *arg)
{
	return false;
}

bool fusewb_inflight_clean(struct fusewb_inode *fi)
{
	bool ret;

	/*
	 * What is issued is in flight before it is clean, what is recalled is
	 * dirty before its range is removed.
	 */
	spin_lock(&fi->inflight_lock);
	ret = each(fi, 0, U64_MAX, none, NULL) && !fusewb_has_dirty(&fi->inode);
	spin_unlock(&fi->inflight_lock);
	return ret;
}

int fusewb_inflight_wait(struct fusewb_inode *fi, u64 first, u64 last)
{
	struct waiter waiter = { .first = first, .last = last };

	return wait(fi, &waiter);
}

void fusewb_inflight_expire(struct fusewb_inode *fi, struct fusewb_range *range)
{
	spin_lock(&fi->inflight_lock);
	range->expired = true;
	look_for_all(fi);
	spin_unlock(&fi->inflight_lock);
}

int fusewb_inflight_wait_unexpired(struct fusewb_inode *fi, u64 first, u64 last)
{
	struct waiter waiter = { .first = first, .last = last, .if_expired = PASS };

	return wait(fi, &waiter);
}

int fusewb_inflight_wait_free(struct fusewb_inode *fi, u64 first, u64 last)
{
	struct waiter waiter = { .first = first, .last = last, .held = true,
				 .if_expired = LEAVE };

	return wait(fi, &waiter);
}

int fusewb_inflight_hold(struct fusewb_inode *fi, struct fusewb_range *range,
			 u64 first, u64 last)
{
	/* Held ranges too: a direct write that was killed may still be out. */
	struct waiter waiter = { .first = first, .last = last, .but = range, .held = true };
	int err;

	lockdep_assert_held_write(&fi->inode.i_rwsem);

	range->held = true;
	range->expired = false;
	spin_lock(&fi->inflight_lock);
	insert(fi, range, first, last);
	spin_unlock(&fi->inflight_lock);

	err = wait(fi, &waiter);
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
