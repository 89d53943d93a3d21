// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writeback: dirty folios become WRITE requests, straight from the page cache.
 *
 * Contiguous folios of any order are gathered into a request until it is full.
 * A folio joins under its lock: its bytes are claimed in the tree of in-flight
 * ranges, it is made clean, its reference or, in one branch, a copy of it is
 * added. The marks in the page cache follow in one round a request, just before
 * it is queued. What happens to the folio after that does not matter to the
 * request; see inflight.c for what does.
 *
 * Only fsync and its like wait (for a folio lock, for bytes in flight, for the
 * reserve of requests); the flusher, sync(2) and reclaim pass over what they
 * cannot have at once.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "answer.h"
#include "blocks.h"
#include "bound.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

/*
 * One pass over the dirty folios of a mapping.
 *
 * @req: being gathered, or NULL
 * @spare: the next, for none is allocated under a folio lock, or NULL
 * @first: index of the first folio in @req
 * @last: last index of the last folio in @req
 * @limit: bytes in a request, whole pages
 * @copied: what is sent is a private copy
 * @quiet: bytes that are queued without a reader having been woken
 * @wait: fsync
 * @starved: no memory, and not to wait for it: the pass ends
 */
struct issue {
	struct address_space *mapping;
	struct inode *inode;
	struct fusewb_conn *conn;
	struct fusewb_handle *handle;
	struct writeback_control *wbc;
	struct fusewb_req *req;
	struct fusewb_req *spare;
	pgoff_t first;
	pgoff_t last;
	size_t limit;
	size_t quiet;
	bool copied;
	bool wait;
	bool starved;
};

/* Bytes of a folio in a copy, of which each page may need a span. */
#define COPY_MOST ((size_t)FUSEWB_WRITEBACK_SPANS << PAGE_SHIFT)

static struct bdi_writeback *inode_wb(struct inode *inode)
{
	return &inode_to_bdi(inode)->wb;
}

static void write_end(struct fusewb_req *req, int error)
{
	const struct fuse_write_out *out = req->out_args;
	struct fusewb_counters *counters = &req->conn->counters;
	struct inode *inode = req->io.inode;
	struct bdi_writeback *wb = inode_wb(inode);
	long i;

	if (!error && out->size != req->payload_len)
		error = fusewb_bad_answer(req->conn, FUSE_WRITE, "a count that was not asked for");
	if (error && !req->io.recalled && !req->io.range.expired) {
		atomic64_inc(&counters->write_errors);
		/* That nobody serves the file any more is an I/O error of it. */
		mapping_set_error(inode->i_mapping, error == -ENOTCONN ? -EIO : error);
	}

	wb_stat_mod(wb, WB_WRITEBACK, -req->io.nr_pages);
	for (i = 0; i < req->io.nr_pages && !req->io.recalled; i++)
		wb_writeout_inc(wb);
	atomic64_sub(req->payload_len, &counters->bytes_in_flight);
	fusewb_bound_freed(req->conn, error ? 0 : req->io.nr_pages);

	/*
	 * The blocks that the file occupies have changed, and the WRITE has
	 * set the server's mtime: ours has to be sent after it.
	 */
	fusewb_invalidate_attr(inode);
	if (!error && fusewb_local_times(inode))
		mark_inode_dirty_sync(inode);
	/* Whoever waits for the range finds the error. */
	fusewb_inflight_remove(FUSEWB_I(inode), &req->io.range);
	fusewb_handle_put(req->io.handle);
	fusewb_handles_unpark(inode);
	fusewb_put_inode_later(inode);
}

/* Return: a request, NULL if there is no memory now. */
static struct fusewb_req *new_write(struct issue *is)
{
	struct fuse_write_in in = {
		.fh = is->handle->fh,
		.write_flags = FUSE_WRITE_CACHE,
	};
	struct fusewb_args args = {
		.opcode = FUSE_WRITE,
		.nodeid = FUSEWB_I(is->inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_write_out) } },
		.nr_out = 1,
		.nocreds = true,
	};
	struct fusewb_req *req;

	req = fusewb_req_alloc_writeback(is->conn, &args);
	if (req) {
		req->payload_in = true;
		req->end = write_end;
		req->again = fusewb_writeback_again;
		req->expire = fusewb_writeback_expire;
		req->io.copied = is->copied;
	}
	return req;
}

/* @req has its range and is the one being gathered from here on. */
static void start(struct issue *is, struct fusewb_req *req, struct folio *folio)
{
	ihold(is->inode);
	req->io.inode = is->inode;
	req->io.handle = fusewb_handle_get(is->handle);
	is->req = req;
	is->first = folio->index;
}

/* Of a folio that is locked by the caller. */
static bool is_clean(struct folio *folio)
{
	return !folio_test_dirty(folio);
}

/*
 * Who issues a part of a folio makes it clean, and dirty again before he unlocks
 * it: if it lost its marks in between, an fsync would not find the other parts.
 * What stays marked, the next pass looks at again.
 */
static bool stays_clean(struct folio *folio)
{
	if (folio_test_dirty(folio))
		return false;
	/* It was locked before it was made clean, */
	smp_rmb();
	if (folio_test_locked(folio))
		return false;
	/* and is unlocked after it is dirty again. */
	smp_rmb();
	return !folio_test_dirty(folio);
}

/*
 * Clean folios lose their marks. One that was redirtied after it was made clean
 * keeps them: the flag is set before the mark, so it is seen here or the mark
 * is set again after.
 */
static void clear_marks(struct address_space *mapping, pgoff_t first, pgoff_t last,
			bool (*clean)(struct folio *folio))
{
	XA_STATE(xas, &mapping->i_pages, first);
	struct folio *folio;

	xas_lock_irq(&xas);
	xas_for_each_marked(&xas, folio, last, PAGECACHE_TAG_DIRTY) {
		if (xa_is_value(folio) || !clean(folio))
			continue;
		xas_clear_mark(&xas, PAGECACHE_TAG_DIRTY);
		xas_clear_mark(&xas, PAGECACHE_TAG_TOWRITE);
	}
	xas_unlock_irq(&xas);
}

/*
 * A reader that is woken for each of many small requests finds one, and goes back
 * to sleep, and the writer with it on the same CPU.
 */
#define QUIET_MOST SZ_64K

/* Before anything is waited for, and in the end. */
static void announce(struct issue *is)
{
	if (is->quiet)
		fusewb_queue_wake(is->conn);
	is->quiet = 0;
}

static void submit(struct issue *is)
{
	struct fusewb_counters *counters = &is->conn->counters;
	struct fusewb_req *req = is->req;
	struct fuse_write_in *in;

	if (!req)
		return;
	is->req = NULL;
	in = req->in_args;
	in->offset = req->io.range.first;
	in->size = req->payload_len;
	clear_marks(is->mapping, is->first, is->last, stays_clean);

	req->io.nr_pages = DIV_ROUND_UP(req->payload_len, PAGE_SIZE);
	wb_stat_mod(inode_wb(is->inode), WB_WRITEBACK, req->io.nr_pages);
	atomic64_inc(&counters->write_requests);
	fusewb_bound_issued(is->conn);
	atomic64_add(req->payload_len, &counters->bytes_in_flight);
	is->quiet += req->payload_len;
	req->quiet = true;
	fusewb_req_queue(req);
	if (is->quiet >= QUIET_MOST)
		announce(is);
}

/*
 * Fills the spans from @nr on, which fusewb_req_alloc_copy() made.
 * @off is a multiple of the page size.
 */
static void fill_copy(struct fusewb_req *req, unsigned int nr, struct folio *folio, size_t off)
{
	for (; nr < req->nr_spans; nr++) {
		const struct fusewb_span *span = &req->spans[nr];
		size_t done;

		for (done = 0; done < span->len; done += PAGE_SIZE)
			memcpy_page(folio_page(span->folio, done >> PAGE_SHIFT), 0,
				    folio_page(folio, (off + done) >> PAGE_SHIFT), 0,
				    min_t(size_t, span->len - done, PAGE_SIZE));
		off += span->len;
	}
}

/* Of bytes of one folio. A copy may come down to pages. */
static unsigned int spans_of(size_t len, bool copy)
{
	return copy ? DIV_ROUND_UP(len, PAGE_SIZE) : 1;
}

static bool fits(const struct issue *is, loff_t pos, size_t len, bool copy)
{
	const struct fusewb_req *req = is->req;

	return req && pos == req->io.range.last + 1 &&
	       req->payload_len + len <= is->limit &&
	       req->nr_spans + spans_of(len, copy) <= req->max_spans;
}

/* Is there a request for @len bytes at @pos? If not, there is no memory. */
static bool provide(struct issue *is, loff_t pos, size_t len, bool copy)
{
	if (fits(is, pos, len, copy))
		return true;
	/* The reserve is filled again by what was sent only. */
	submit(is);
	if (!is->spare)
		is->spare = new_write(is);
	return is->spare;
}

/* Claims the bytes for @req, which is the one being gathered or the spare. */
static bool claim(struct issue *is, struct fusewb_req *req, struct folio *folio, loff_t pos,
		  size_t len)
{
	struct fusewb_inode *fi = FUSEWB_I(is->inode);
	u64 last = pos + len - 1;

	if (req == is->req)
		return fusewb_inflight_extend(fi, &req->io.range, last);
	if (!fusewb_inflight_add(fi, &req->io.range, pos, last))
		return false;
	is->spare = NULL;
	start(is, req, folio);
	return true;
}

enum outcome {
	DONE,
	MORE,		/* dirty bytes follow that no request has yet */
	BUSY,		/* bytes in flight or held */
	NO_MEMORY,
};

/*
 * Makes room in a request for @len bytes at @off of a locked folio, no more than
 * a request may have, and claims them. The folio is not touched. @copy: spans
 * from @nr on are to be filled with a copy. Return: DONE, BUSY, NO_MEMORY.
 */
static enum outcome join(struct issue *is, struct folio *folio, size_t off, size_t len,
			 bool copy, unsigned int *nr)
{
	loff_t pos = folio_pos(folio) + off;
	struct fusewb_req *req;

	if (!provide(is, pos, len, copy))
		return NO_MEMORY;
	req = is->req ?: is->spare;
	*nr = req->nr_spans;
	if (copy && !fusewb_req_alloc_copy(req, len))
		return NO_MEMORY;
	if (!claim(is, req, folio, pos, len)) {
		fusewb_req_trim(req, *nr);
		return BUSY;
	}
	is->last = folio_next_index(folio) - 1;
	is->wbc->nr_to_write -= DIV_ROUND_UP(len, PAGE_SIZE);
	return DONE;
}

/* The bytes that joined, of a folio that was made clean. */
static void fill(struct issue *is, struct folio *folio, size_t off, size_t len, bool copy,
		 unsigned int nr)
{
	struct fusewb_counters *counters = &is->conn->counters;

	if (copy) {
		fill_copy(is->req, nr, folio, off);
		atomic64_add(len, &counters->bytes_copied);
	} else {
		fusewb_req_add_span(is->req, folio, off, len);
		atomic64_add(len, &counters->bytes_direct);
	}
}

/*
 * The last writable file is gone, and what it left was written; somebody who
 * had pinned the folio dirtied it after that. Nobody can send it any more.
 */
static void give_up(struct issue *is, struct folio *folio)
{
	folio_clear_dirty_for_io(folio);
	clear_marks(is->mapping, folio->index, folio_next_index(folio) - 1, is_clean);
	mapping_set_error(is->mapping, -EIO);
	atomic64_inc(&is->conn->counters.write_errors);
}

/*
 * Issues the first dirty bytes of a locked folio from @from on, up to @end, and
 * moves @from behind them.
 */
static enum outcome issue_blocks(struct issue *is, struct folio *folio, size_t *from,
				 size_t end)
{
	/* Whoever pinned it can change it without a fault that would redirty. */
	bool copy = is->copied || folio_maybe_dma_pinned(folio);
	size_t most = copy ? min(is->limit, COPY_MOST) : is->limit;
	size_t len = fusewb_blocks_next(folio, from, end);
	enum outcome outcome = DONE;
	unsigned int nr = 0;
	bool again = false;

	if (len > most) {
		/* What is left for the next request has to stay known. */
		if (!fusewb_blocks_spell_out(folio))
			return NO_MEMORY;
		len = most;
	}
	if (len)
		outcome = join(is, folio, *from, len, copy, &nr);
	if (outcome != DONE)
		return outcome;

	/* Marks may come until it is clean, none goes before it is. */
	fusewb_blocks_clear(folio);
	if (len) {
		fill(is, folio, *from, len, copy, nr);
		/* Pinned before its mappings were write-protected: once more. */
		again = !copy && folio_maybe_dma_pinned(folio);
		if (!again)
			fusewb_blocks_clean(folio, *from, len);
	}
	*from += len;

	if (again || fusewb_blocks_left(folio, end)) {
		filemap_dirty_folio(is->mapping, folio);
		return len && *from < end ? MORE : DONE;
	}
	/* What is marked behind the end of the file is none of it. */
	end = round_up(end, PAGE_SIZE);
	if (end < folio_size(folio))
		fusewb_blocks_clean(folio, end, folio_size(folio) - end);
	return DONE;
}

/* Under the folio's lock. @again: it was BUSY before. */
static enum outcome issue_locked(struct issue *is, struct folio *folio, bool again,
				 size_t *from)
{
	loff_t pos = folio_pos(folio);
	loff_t size = i_size_read(is->inode);
	pgoff_t last = folio_next_index(folio) - 1;

	if (folio->mapping != is->mapping)
		return DONE;
	if (!folio_test_dirty(folio)) {
		clear_marks(is->mapping, folio->index, last, is_clean);
		return DONE;
	}
	/* What fsync had to write has been issued since: it is newer by now. */
	if (again && !xa_get_mark(&is->mapping->i_pages, folio->index, PAGECACHE_TAG_TOWRITE))
		return DONE;
	/* A truncation is about to drop what is behind the end, or to move the end back. */
	if (size < pos + folio_size(folio) &&
	    fusewb_inflight_overlaps(FUSEWB_I(is->inode), max(pos, size),
				     pos + folio_size(folio) - 1))
		return BUSY;
	if (pos >= size) {
		folio_cancel_dirty(folio);
		clear_marks(is->mapping, folio->index, last, is_clean);
		return DONE;
	}
	if (!is->handle) {
		give_up(is, folio);
		return DONE;
	}
	return issue_blocks(is, folio, from, min_t(loff_t, folio_size(folio), size - pos));
}

static void skip(struct issue *is, struct folio *folio)
{
	is->wbc->pages_skipped += folio_nr_pages(folio);
}

/* Return: 0, -EAGAIN if it is locked and this pass does not wait, -EINTR. */
static int lock_for_issue(struct issue *is, struct folio *folio)
{
	if (folio_trylock(folio))
		return 0;
	if (!is->wait)
		return -EAGAIN;
	/* Nobody shall wait for what is not even queued. */
	submit(is);
	announce(is);
	return folio_lock_killable(folio) ? -EINTR : 0;
}

/* Return: 0 or, if killed, -EINTR. */
static int issue_folio(struct issue *is, struct folio *folio)
{
	struct fusewb_inode *fi = FUSEWB_I(is->inode);
	bool again = false;
	enum outcome outcome;
	size_t from = 0;
	u64 first, last;
	int err;

	for (;;) {
		/* Better now than under the lock, for this may reclaim. */
		if (is->handle && !is->spare &&
		    !fits(is, folio_pos(folio), min(folio_size(folio), is->limit), is->copied))
			is->spare = new_write(is);

		err = lock_for_issue(is, folio);
		if (err == -EAGAIN) {
			skip(is, folio);
			return 0;
		}
		if (err)
			return err;
		first = folio_pos(folio);
		last = first + folio_size(folio) - 1;
		outcome = issue_locked(is, folio, again, &from);
		folio_unlock(folio);

		if (outcome == DONE)
			return 0;
		if (outcome == MORE)
			continue;
		if (!is->wait) {
			skip(is, folio);
			atomic64_inc(&is->conn->counters.skipped);
			is->starved = outcome == NO_MEMORY;
			return 0;
		}
		submit(is);
		announce(is);
		err = outcome == NO_MEMORY ? fusewb_req_wait_reserve(is->conn) :
					     fusewb_inflight_wait_free(fi, first, last);
		if (err)
			return err;
		again = true;
	}
}

static int issue_range(struct issue *is, pgoff_t index, pgoff_t end)
{
	struct writeback_control *wbc = is->wbc;
	bool all = wbc->sync_mode == WB_SYNC_ALL;
	xa_mark_t mark = PAGECACHE_TAG_DIRTY;
	struct folio_batch batch;
	unsigned int i;
	int err = 0;

	if (all || wbc->tagged_writepages) {
		tag_pages_for_writeback(is->mapping, index, end);
		mark = PAGECACHE_TAG_TOWRITE;
	}

	folio_batch_init(&batch);
	while (index <= end && filemap_get_folios_tag(is->mapping, &index, end, mark, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			err = issue_folio(is, folio);
			if (err || is->starved)
				break;
			if (wbc->nr_to_write <= 0 && !all) {
				is->mapping->writeback_index = folio_next_index(folio);
				break;
			}
		}
		folio_batch_release(&batch);
		if (err || is->starved || (wbc->nr_to_write <= 0 && !all))
			return err;
		cond_resched();
	}
	if (wbc->range_cyclic)
		is->mapping->writeback_index = 0;
	return 0;
}

int fusewb_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct inode *inode = mapping->host;
	struct issue is = {
		.mapping = mapping,
		.inode = inode,
		.conn = fusewb_inode_conn(inode),
		.wbc = wbc,
		/* Without a page to write it is about the inode: I_SYNC is held. */
		.wait = wbc->sync_mode == WB_SYNC_ALL && !wbc->for_sync && wbc->nr_to_write > 0,
	};
	pgoff_t first, last;
	int err = 0;

	/* Dirty folios have a handle, and that an inode: this one is evicted. */
	if (!igrab(inode))
		return 0;
	if (wbc->range_cyclic) {
		first = mapping->writeback_index;
		last = -1;
	} else {
		first = wbc->range_start >> PAGE_SHIFT;
		last = wbc->range_end >> PAGE_SHIFT;
	}

	/* Before a mark is cleared, for then the handle may be unparked. */
	is.handle = fusewb_handle_for_write(inode);
	is.limit = round_down(READ_ONCE(is.conn->max_write), PAGE_SIZE);
	is.copied = READ_ONCE(is.conn->writeback) == FUSEWB_WRITEBACK_COPY;
	if (fusewb_has_dirty(inode)) {
		err = issue_range(&is, first, last);
		submit(&is);
		announce(&is);
	}
	if (is.spare)
		fusewb_req_put(is.spare);
	if (is.handle)
		fusewb_handle_put(is.handle);
	fusewb_handles_unpark(inode);
	fusewb_put_inode_later(inode);
	return err;
}

/* @wait: how to wait for what is in flight */
static int write_back(struct inode *inode, loff_t first, loff_t last,
		      int (*wait)(struct fusewb_inode *fi, u64 first, u64 last))
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	int err, recalls;
	ktime_t since;

	do {
		/* What is recalled from now on is dirty again and has to go. */
		recalls = atomic_read(&fi->recalls);
		err = filemap_fdatawrite_range(inode->i_mapping, first, last);
		since = ktime_get();
		if (!err)
			err = wait(fi, first, last);
		trace_fusewb_wait(fusewb_inode_conn(inode)->id, fi->nodeid, FUSEWB_WAIT_IN_FLIGHT,
				  since, err);
	} while (!err && atomic_read_acquire(&fi->recalls) != recalls);
	return err;
}

int fusewb_write_back(struct inode *inode, loff_t first, loff_t last)
{
	return write_back(inode, first, last, fusewb_inflight_wait_unexpired);
}

int fusewb_drain(struct inode *inode, loff_t first, loff_t last)
{
	return write_back(inode, first, last, fusewb_inflight_wait);
}
