// SPDX-License-Identifier: GPL-2.0-only
/*
 * WRITEs that are sent again or not at all.
 *
 * A server that answers EAGAIN, EINTR or ENOMEM has not taken the data and may
 * take it later. The request is then queued again, after a pause that grows
 * from one answer to the next, for as long as the policy says; its range stays
 * in flight all the time, so nothing overtakes it. Its folios may have been
 * given back at the hand-over. They are looked up in the page cache: what is
 * cached of a range in flight is what was sent or newer, for nobody reads it in
 * meanwhile. If a part was reclaimed the data is lost, and the error that the
 * server gave is reported.
 *
 * A WRITE that was not handed over yet can be recalled: its bytes become dirty
 * again, as if it had never been issued.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "blocks.h"
#include "connection.h"
#include "deadline.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

#define FIRST_BACKOFF	msecs_to_jiffies(10)
#define LAST_BACKOFF	HZ

/* Return: what is cached at @pos, with a reference, if it is valid; or NULL. */
static struct folio *get_cached(struct address_space *mapping, loff_t pos)
{
	struct folio *folio = filemap_get_folio(mapping, pos >> PAGE_SHIFT);

	if (IS_ERR_OR_NULL(folio))
		return NULL;
	if (folio_test_uptodate(folio))
		return folio;
	folio_put(folio);
	return NULL;
}

static size_t part_in(struct folio *folio, loff_t pos, u64 last)
{
	return min_t(u64, last + 1 - pos, folio_size(folio) - offset_in_folio(folio, pos));
}

/* Return: false if a part of the payload is not cached any more. */
static bool regain_payload(struct fusewb_req *req)
{
	struct address_space *mapping = req->io.inode->i_mapping;
	loff_t pos = req->io.range.first;
	u64 last = req->io.range.last;
	u32 len = req->payload_len;

	req->payload_len = 0;
	while (pos <= last) {
		struct folio *folio = get_cached(mapping, pos);
		size_t n;

		if (!folio)
			break;
		/* What was one large folio may be many by now. */
		if (req->nr_spans == req->max_spans && !fusewb_req_more_spans(req, len)) {
			folio_put(folio);
			break;
		}
		n = part_in(folio, pos, last);
		fusewb_req_add_span(req, folio, offset_in_folio(folio, pos), n);
		folio_put(folio);
		pos += n;
	}
	if (pos <= last)
		fusewb_req_trim(req, 0);
	req->payload_len = len;
	return pos > last;
}

static bool worth_another(struct fusewb_req *req, int error)
{
	unsigned long limit = msecs_to_jiffies(READ_ONCE(req->conn->policy.retry_ms));

	if (error != -EAGAIN && error != -EINTR && error != -ENOMEM)
		return false;
	if (!req->io.retry_since)
		req->io.retry_since = jiffies ?: 1;
	return time_before(jiffies, req->io.retry_since + limit);
}

int fusewb_writeback_again(struct fusewb_req *req, int error)
{
	struct fusewb_conn *conn = req->conn;
	bool whole;
	int err;

	/* It was given up: who waited for it has been told. */
	if (req->io.range.expired || !worth_another(req, error))
		return error;
	/* Against migration, which finds the request by its range. */
	mutex_lock(&req->copying);
	whole = req->nr_spans || regain_payload(req);
	mutex_unlock(&req->copying);
	if (!whole)
		return error;

	req->io.backoff = req->io.backoff ?
		min_t(unsigned long, 2 * req->io.backoff, LAST_BACKOFF) : FIRST_BACKOFF;
	err = fusewb_queue_later(req, req->io.backoff);
	/* By now it may have been ended by somebody else. */
	if (!err)
		atomic64_inc(&conn->counters.retries);
	return err;
}

/* Return: false if it is not cached any more. */
static bool redirty_part(struct address_space *mapping, struct folio *folio, loff_t pos,
			 size_t len)
{
	bool cached;

	/* It is valid: nobody who has it locked waits for a server. */
	folio_lock(folio);
	cached = folio->mapping == mapping;
	if (cached)
		fusewb_blocks_dirty(folio, offset_in_folio(folio, pos), len);
	folio_unlock(folio);
	return cached;
}

/* Return: false if a part of the range is not cached any more. */
static bool redirty(struct fusewb_req *req)
{
	struct address_space *mapping = req->io.inode->i_mapping;
	loff_t pos = req->io.range.first;
	u64 last = req->io.range.last;
	bool cached = true;

	while (pos <= last && cached) {
		struct folio *folio = get_cached(mapping, pos);
		size_t n;

		if (!folio)
			return false;
		n = part_in(folio, pos, last);
		cached = redirty_part(mapping, folio, pos, n);
		folio_put(folio);
		pos += n;
	}
	return cached;
}

bool fusewb_writeback_recall(struct fusewb_req *req)
{
	bool cached;

	if (req->again != fusewb_writeback_again || !fusewb_queue_recall(req))
		return false;
	/* Against migration, whose new folio is not valid before it has the data. */
	mutex_lock(&req->copying);
	cached = redirty(req);
	mutex_unlock(&req->copying);
	if (!cached) {
		trace_fusewb_recall(req, -ENODATA);
		/* What has become dirty is written twice, no more. */
		if (!fusewb_queue_requeue(req))
			fusewb_req_end(req, -ENOTCONN);
		return false;
	}
	trace_fusewb_recall(req, 0);
	req->io.recalled = true;
	/* Before the range is free: fusewb_drain() looks afterwards. */
	atomic_inc_return_release(&FUSEWB_I(req->io.inode)->recalls);
	fusewb_req_end(req, -ECANCELED);
	return true;
}

void fusewb_writeback_expire(struct fusewb_req *req)
{
	struct inode *inode = req->io.inode;

	/*
	 * One that the server refused meanwhile is not recalled: it would be a
	 * new one, which may be refused for as long again.
	 */
	if (!req->io.retry_since && fusewb_writeback_recall(req))
		return;
	/* An abort may have ended it, and let go of the inode. */
	if (req->io.range.expired || atomic_read(&req->fate) != FUSEWB_FATE_OPEN)
		return;
	atomic64_inc(&req->conn->counters.write_errors);
	mapping_set_error(inode->i_mapping, -ETIMEDOUT);
	fusewb_inflight_expire(FUSEWB_I(inode), &req->io.range);
}
