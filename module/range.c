// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of the server on a range of a file. They come after every WRITE of
 * it that was issued before, and before every later one.
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "blocks.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "range.h"
#include "reading.h"
#include "request.h"

/*
 * Return: true with the folio locked; false if it is being read in, which is
 * void now, or will be, or if it is not cached any more. Nobody who has the lock
 * of a valid one waits for a server, and nobody who migrates one, whose copy is
 * cached before it is valid.
 */
static bool lock_or_void(struct address_space *mapping, struct folio *folio)
{
	loff_t first = folio_pos(folio), last = first + folio_size(folio) - 1;
	struct fusewb_inode *fi = FUSEWB_I(mapping->host);

	while (!folio_trylock(folio)) {
		bool migrating = fusewb_migrating(fi);

		if (folio_test_uptodate(folio)) {
			folio_lock(folio);
			break;
		}
		if (fusewb_reading_void(fi, first, last) || !migrating)
			return false;
		schedule_timeout_uninterruptible(1);
	}
	if (folio->mapping == mapping)
		return true;
	folio_unlock(folio);
	return false;
}

/*
 * Calls @drop for what is cached of a range, under the folio's lock: @first and
 * @last are bytes of the folio, @end is passed on. It has to be the folio that was
 * found and not what is in its place by then, which may be being read in.
 */
static void drop_each(struct address_space *mapping, loff_t first, loff_t last,
		      void (*drop)(struct folio *folio, size_t first, size_t last,
				   loff_t *end),
		      loff_t *end)
{
	pgoff_t index = first >> PAGE_SHIFT, last_index = last >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int i;

	fusewb_reading_void(FUSEWB_I(mapping->host), first, last);
	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &index, last_index, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];
			loff_t pos = folio_pos(folio);

			/* The reference keeps it from being split. */
			if (!lock_or_void(mapping, folio))
				continue;
			drop(folio, max(first, pos) - pos,
			     min_t(loff_t, last - pos, folio_size(folio) - 1), end);
			folio_unlock(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

static void leave(struct folio *folio)
{
	struct fusewb_inode *fi = FUSEWB_I(folio->mapping->host);
	u64 first = folio_pos(folio), last = first + folio_size(folio) - 1;

	spin_lock(&fi->lock);
	fi->remnant_first = fi->remnants ? min(fi->remnant_first, first) : first;
	fi->remnant_last = fi->remnants ? max(fi->remnant_last, last) : last;
	WRITE_ONCE(fi->remnants, fi->remnants + 1);
	spin_unlock(&fi->lock);
}

/* As a whole, unless it is dirty. @end: moved behind what is, if not NULL */
static void invalidate(struct folio *folio, size_t first, size_t last, loff_t *end)
{
	loff_t pos = folio_pos(folio), size = i_size_read(folio->mapping->host);
	size_t len;

	fusewb_blocks_unmap(folio, 0, folio_size(folio));
	if (!folio_test_dirty(folio))
		generic_error_remove_folio(folio->mapping, folio);
	else if (!fusewb_blocks_whole(folio, clamp_t(loff_t, size - pos, 0, folio_size(folio))))
		leave(folio);
	if (!end || !folio->mapping || !folio_test_dirty(folio))
		return;
	while ((len = fusewb_blocks_next(folio, &first, last + 1))) {
		first += len;
		*end = max_t(loff_t, *end, pos + first);
	}
}

void fusewb_range_done(struct fusewb_req *req)
{
	struct inode *inode = req->io.inode;

	if (!inode)
		return;
	req->io.inode = NULL;
	fusewb_invalidate_attr(inode);
	fusewb_inflight_release(FUSEWB_I(inode), &req->io.range);
	if (req->io.handle)
		fusewb_handle_put(req->io.handle);
	fusewb_put_inode_later(inode);
}

/*
 * The server's file ends at @size, in writeback mode. The inode lock is not taken,
 * for whoever has it may wait for this very range. What is dirty behind the new end
 * may have been written since the truncation was given up, so it is kept, and the
 * file ends where the server's will when it has been written back. That is known
 * exactly, for nothing of the range is issued before.
 */
static void truncated_late(struct inode *inode, loff_t size)
{
	struct address_space *mapping = inode->i_mapping;
	loff_t old = i_size_read(inode), end = size, dirty = 0;

	fusewb_server_truncated(FUSEWB_I(inode), size);
	if (size >= old) {
		fusewb_drop_behind(inode, old);
		fusewb_grow(inode, size);
	} else {
		drop_each(mapping, size, LLONG_MAX, invalidate, &end);
		/* If it moved, there is dirty data up to it. */
		if (end >= old || !fusewb_cut(inode, old, end))
			return;
		/*
		 * Orders the end before the look at what is dirty: who writes looks
		 * the other way round, and moves the end back if he sees it.
		 */
		smp_mb();
		drop_each(mapping, end, LLONG_MAX, invalidate, &dirty);
		fusewb_grow(inode, min(dirty, old));
		unmap_mapping_range(mapping, round_up(max(end, dirty), PAGE_SIZE), 0, 1);
	}
	inode_set_mtime_to_ts(inode, current_time(inode));
	fusewb_touch_ctime(inode);
}

static u64 bytes_written(const struct fusewb_req *req, u64 asked)
{
	const struct fuse_copy_file_range_out *out64 = req->out_args;
	const struct fuse_write_out *out = req->out_args;

	/* A count that was not asked for is none. */
	return min(asked, req->in.opcode == FUSE_COPY_FILE_RANGE_64 ? out64->bytes_copied :
								      out->size);
}

/* The server did what was asked, in writeback mode. */
static void moved_end_late(struct inode *inode, const struct fusewb_req *req)
{
	const struct fuse_copy_file_range_in *copy = req->in_args;
	const struct fuse_fallocate_in *fallocate = req->in_args;
	const struct fuse_setattr_in *setattr = req->in_args;
	const struct fuse_write_in *write = req->in_args;

	switch (req->in.opcode) {
	case FUSE_OPEN:
		truncated_late(inode, 0);
		break;
	case FUSE_SETATTR:
		truncated_late(inode, setattr->size);
		break;
	case FUSE_FALLOCATE:
		if (!(fallocate->mode & FALLOC_FL_KEEP_SIZE))
			fusewb_grow(inode, fallocate->offset + fallocate->length);
		break;
	case FUSE_WRITE:
		fusewb_grow(inode, write->offset + bytes_written(req, write->size));
		break;
	case FUSE_COPY_FILE_RANGE:
	case FUSE_COPY_FILE_RANGE_64:
		fusewb_grow(inode, copy->off_out + bytes_written(req, copy->len));
		break;
	}
}

/* What was written back before; only what was written or changed by a mapping since stays. */
void fusewb_range_done_late(struct fusewb_req *req)
{
	const struct fusewb_range *range = &req->io.range;
	struct inode *inode = req->io.inode;

	if (inode) {
		drop_each(inode->i_mapping, range->first, min_t(u64, range->last, LLONG_MAX),
			  invalidate, NULL);
		if (!req->error && fusewb_local_times(inode))
			moved_end_late(inode, req);
		/* A truncation that ended meanwhile did not know of it. */
		if (range->last != U64_MAX)
			fusewb_server_has(FUSEWB_I(inode), range->last + 1);
	}
	fusewb_range_done(req);
}

void fusewb_range_pin(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h)
{
	ihold(inode);
	req->io.inode = inode;
	if (h)
		req->io.handle = fusewb_handle_get(h);
	req->orphan = fusewb_range_done_late;
}

/* @h: that the request names, or NULL */
static int call_held(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h,
		     u64 first, u64 last)
{
	int err = fusewb_inflight_hold(FUSEWB_I(inode), &req->io.range, first, last);

	if (err)
		return err;
	fusewb_range_pin(req, inode, h);
	return fusewb_req_call(req);
}

int fusewb_range_call(struct fusewb_req *req, struct inode *inode, struct fusewb_handle *h,
		      loff_t first, loff_t last)
{
	int err;

	err = fusewb_drain(inode, first, last);
	return err ?: call_held(req, inode, h, first, last);
}

int fusewb_truncate_call(struct fusewb_req *req, struct inode *inode, loff_t size)
{
	return call_held(req, inode, NULL, min(size, i_size_read(inode)), U64_MAX);
}

static void zero(struct folio *folio, size_t first, size_t last)
{
	folio_zero_range(folio, first, last - first + 1);
	flush_dcache_folio(folio);
}

/*
 * Dirty or not. What is left of a folio stays cached: a WRITE that is out may
 * have to be sent again from it.
 */
static void truncate(struct folio *folio, size_t first, size_t last, loff_t *end)
{
	size_t from = round_up(first, PAGE_SIZE), to = round_down(last + 1, PAGE_SIZE);

	if (!first && last == folio_size(folio) - 1) {
		generic_error_remove_folio(folio->mapping, folio);
		return;
	}
	/* Who stores to such a page from now on has to fault, and marks it dirty. */
	if (from < to)
		fusewb_blocks_unmap(folio, from, to - from);
	zero(folio, first, last);
	fusewb_invalidate_folio(folio, first, last - first + 1);
}

/* The end may have moved meanwhile, and a mapping may have stored to what is before it now. */
static void drop_rest(struct folio *folio, size_t first, size_t last, loff_t *end)
{
	loff_t size = i_size_read(folio->mapping->host) - folio_pos(folio);

	invalidate(folio, first, last, end);
	first = max_t(loff_t, first, size);
	if (folio->mapping && first <= last)
		zero(folio, first, last);
}

void fusewb_drop_all(struct inode *inode, loff_t first, loff_t last)
{
	struct address_space *mapping = inode->i_mapping;
	loff_t start = round_up(first, PAGE_SIZE);
	/* Whole pages, as truncate_pagecache_range() unmaps; 0: up to the end */
	loff_t len = last == LLONG_MAX ? 0 : round_down(last + 1, PAGE_SIZE) - start;

	/* Private copies are their owners' own. */
	if (len > 0 || last == LLONG_MAX)
		unmap_mapping_range(mapping, start, len, 0);
	drop_each(mapping, first, last, truncate, NULL);
}

void fusewb_truncated(struct inode *inode, loff_t size)
{
	struct address_space *mapping = inode->i_mapping;

	lockdep_assert_held_write(&inode->i_rwsem);
	fusewb_server_truncated(FUSEWB_I(inode), size);
	fusewb_set_size(inode, size);
	fusewb_drop_all(inode, size, LLONG_MAX);
	/* Behind the end nobody has private copies either: from now on a fault there fails. */
	unmap_mapping_range(mapping, round_up(size, PAGE_SIZE), 0, 1);
}

void fusewb_drop_behind(struct inode *inode, loff_t end)
{
	drop_each(inode->i_mapping, end, LLONG_MAX, drop_rest, NULL);
}

void fusewb_drop_clean(struct inode *inode, loff_t first, loff_t last)
{
	/* Somebody else may have written there. */
	fusewb_server_has(FUSEWB_I(inode), min(last, i_size_read(inode) - 1) + 1);
	if (inode->i_mapping->nrpages)
		drop_each(inode->i_mapping, first, last, invalidate, NULL);
}

bool fusewb_has_remnant(struct inode *inode, u64 first, u64 last)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool ret;

	if (!READ_ONCE(fi->remnants))
		return false;
	spin_lock(&fi->lock);
	ret = fi->remnants && first <= fi->remnant_last && last >= fi->remnant_first;
	spin_unlock(&fi->lock);
	return ret;
}

int fusewb_drop_remnant(struct inode *inode, u64 first, u64 last)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	unsigned long seen;
	int err;

	if (!fusewb_has_remnant(inode, first, last))
		return 0;
	spin_lock(&fi->lock);
	seen = fi->remnants;
	first = fi->remnant_first;
	last = fi->remnant_last;
	spin_unlock(&fi->lock);

	err = fusewb_drain(inode, first, last);
	if (err)
		return err;
	drop_each(inode->i_mapping, first, last, invalidate, NULL);
	/* Others still need this meanwhile. What is dirty again has changed it. */
	spin_lock(&fi->lock);
	if (fi->remnants == seen)
		WRITE_ONCE(fi->remnants, 0);
	spin_unlock(&fi->lock);
	return 0;
}
