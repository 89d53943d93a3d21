// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges that are being read in.
 *
 * A folio is locked while the server is asked for it. Who needs it waits in the
 * kernel's core for that lock, and there neither the freezer nor, in places, a
 * signal finds him. So each inode knows what it has asked for, and who needs a
 * folio that is not uptodate waits here before he looks at its lock.
 *
 * Who drops what is cached needs no such folio. What is being read in cannot be
 * dropped, and nobody shall wait for a server for it: it is made void, and never
 * becomes valid.
 *
 * fi->reading_lock is the innermost of all locks.
 */
#include <linux/fs.h>
#include <linux/interval_tree_generic.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "compat/compat.h"
#include "inflight.h"
#include "inode.h"
#include "reading.h"
#include "request.h"
#include "waits.h"

#define FIRST(range) ((range)->first)
#define LAST(range) ((range)->last)

INTERVAL_TREE_DEFINE(struct fusewb_range, rb, u64, subtree_last, FIRST, LAST,
		     static inline, range_tree)

void fusewb_reading_init(struct fusewb_inode *fi)
{
	spin_lock_init(&fi->reading_lock);
	fi->reading = RB_ROOT_CACHED;
	init_waitqueue_head(&fi->reading_wait);
}

void fusewb_reading_add(struct fusewb_inode *fi, struct fusewb_range *range,
			u64 first, u64 last)
{
	range->first = first;
	range->last = last;
	range->stale = false;
	spin_lock(&fi->reading_lock);
	range_tree_insert(range, &fi->reading);
	spin_unlock(&fi->reading_lock);
}

bool fusewb_reading_end(struct fusewb_inode *fi, struct fusewb_range *range,
			const struct fusewb_span *spans, unsigned int nr)
{
	unsigned int i;
	bool stale;

	spin_lock(&fi->reading_lock);
	range_tree_remove(range, &fi->reading);
	stale = range->stale;
	/* Under the lock: who makes it void sees it in the tree or valid. */
	for (i = 0; i < nr && !stale; i++)
		folio_mark_uptodate(spans[i].folio);
	spin_unlock(&fi->reading_lock);
	/* The lock orders this after a waiter's look at the tree. */
	if (waitqueue_active(&fi->reading_wait))
		wake_up_all(&fi->reading_wait);
	return !stale;
}

bool fusewb_reading_void(struct fusewb_inode *fi, u64 first, u64 last)
{
	struct fusewb_range *range;
	bool any = false;

	spin_lock(&fi->reading_lock);
	for (range = range_tree_iter_first(&fi->reading, first, last); range;
	     range = range_tree_iter_next(range, first, last)) {
		range->stale = true;
		any = true;
	}
	spin_unlock(&fi->reading_lock);
	return any;
}

static bool reading(struct fusewb_inode *fi, u64 first, u64 last)
{
	bool ret;

	spin_lock(&fi->reading_lock);
	ret = range_tree_iter_first(&fi->reading, first, last);
	spin_unlock(&fi->reading_lock);
	return ret;
}

/* Killable and freezable. Return: 0 or -EINTR. */
static int wait_folio(struct fusewb_inode *fi, struct folio *folio)
{
	u64 first = folio_pos(folio), last = first + folio_size(folio) - 1;

	if (wait_event_state(fi->reading_wait, !reading(fi, first, last), FUSEWB_KILLABLE))
		return -EINTR;
	return 0;
}

int fusewb_reading_lock(struct fusewb_inode *fi, struct folio *folio)
{
	int err;

	for (;;) {
		if (folio_trylock(folio))
			return 0;
		/* Nobody who has the lock of a valid one waits for a server. */
		if (folio_test_uptodate(folio))
			return folio_lock_killable(folio) ? -EINTR : 0;
		err = wait_folio(fi, folio);
		if (err)
			return err;
		if (folio_trylock(folio))
			return 0;
		/* Its READ is about to be sent, or its owner to unlock it. */
		err = fusewb_pause(1);
		if (err)
			return err;
	}
}
