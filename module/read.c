// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cached reads.
 *
 * The server's answer is copied straight into the folios. Bytes that are in
 * flight to the server may not be asked for: it could answer with what it had
 * before. Readahead leaves such a range alone, who needs the folio waits.
 *
 * Without FUSE_ASYNC_READ the server is promised one READ of an open file at a
 * time, in the order of the file. Readahead then sends one, or none while another
 * is under way: what it does not take the core unlocks again, so nobody waits for
 * the lock of a folio whose READ was not sent. What was killed or has expired is
 * no longer waited for.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "readin.h"
#include "reading.h"
#include "request.h"
#include "waits.h"

struct fusewb_req *fusewb_alloc_read(struct inode *inode, struct fusewb_handle *h,
				     unsigned int max_spans, gfp_t gfp)
{
	struct fuse_read_in in = {
		.fh = h ? h->fh : 0,
		.flags = h ? h->flags : 0,
	};
	struct fusewb_args args = {
		.opcode = FUSE_READ,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
	};

	return fusewb_req_alloc(fusewb_inode_conn(inode), &args, max_spans, gfp);
}

void fusewb_set_read_range(struct fusewb_req *req, loff_t pos)
{
	struct fuse_read_in *in = req->in_args;

	in->offset = pos;
	in->size = req->payload_len;
}

/*
 * The server's file ends at @end, sooner than we knew, unless it is we who know.
 * @version: as fusewb_attr_version(), of the time before it was asked
 */
static void note_short(struct inode *inode, loff_t end, u64 version)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	if (fusewb_conn_writeback(fusewb_inode_conn(inode)))
		return;
	spin_lock(&fi->lock);
	/* Or whoever reads would get zeroes for what is not there. */
	if (version >= fi->attr_version && end < i_size_read(inode))
		i_size_write(inode, end);
	spin_unlock(&fi->lock);
	fusewb_invalidate_attr(inode);
}

/*
 * What local writes will make part of the file has to read as zero, whatever
 * the server has behind the end that we know.
 */
static void zero_behind(struct inode *inode, struct folio *folio)
{
	loff_t size = i_size_read(inode), pos = folio_pos(folio);

	if (!fusewb_conn_writeback(fusewb_inode_conn(inode)))
		return;
	if (size < pos + folio_size(folio))
		folio_zero_segment(folio, max_t(loff_t, size - pos, 0), folio_size(folio));
}

bool fusewb_takes_turns(const struct inode *inode, const struct fusewb_handle *h)
{
	return h && !(fusewb_inode_conn(inode)->flags & FUSE_ASYNC_READ);
}

int fusewb_read_wait(struct inode *inode, struct fusewb_handle *h)
{
	return fusewb_takes_turns(inode, h) ? fusewb_turn_wait(&h->read_turn) : 0;
}

/* Return: bytes received, or an error. */
static ssize_t fetch_part(struct inode *inode, struct fusewb_handle *h,
			  struct folio *folio, size_t off, size_t len)
{
	struct fusewb_req *req = fusewb_alloc_read(inode, h, 1, GFP_NOFS);
	ssize_t ret;

	if (!req)
		return -ENOMEM;
	fusewb_req_add_span(req, folio, off, len);
	fusewb_set_read_range(req, folio_pos(folio) + off);
	ret = fusewb_req_call(req);
	if (!ret) {
		ret = req->payload_received;
		atomic64_add(ret, &req->conn->counters.bytes_read);
	}
	fusewb_req_put(req);
	return ret;
}

/* Of what only we write there is nothing to ask behind what the server was given. */
static bool nothing_to_ask(struct inode *inode, loff_t pos)
{
	return fusewb_conn_writeback(fusewb_inode_conn(inode)) &&
	       (pos >= i_size_read(inode) || fusewb_server_lacks(FUSEWB_I(inode), pos));
}

static void fill_with_zeroes(struct folio *folio)
{
	folio_zero_range(folio, 0, folio_size(folio));
	flush_dcache_folio(folio);
}

static int fetch_parts(struct inode *inode, struct fusewb_handle *h, struct folio *folio)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	loff_t pos = folio_pos(folio);
	size_t size = folio_size(folio), off = 0;
	u64 version = fusewb_attr_version(conn);

	while (off < size) {
		size_t n = min_t(size_t, size - off, conn->max_read);
		ssize_t got = fetch_part(inode, h, folio, off, n);

		if (got < 0)
			return got;
		off += got;
		if (got < n) {
			folio_zero_segment(folio, off, size);
			note_short(inode, pos + off, version);
			break;
		}
	}
	zero_behind(inode, folio);
	flush_dcache_folio(folio);
	return 0;
}

/* Under the folio's lock, and in the tree of what is being read. */
static int fetch(struct inode *inode, struct fusewb_handle *h, struct folio *folio)
{
	loff_t pos = folio_pos(folio);
	int err;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	/* Nothing that ends a WRITE needs this folio's lock. */
	err = fusewb_inflight_wait(FUSEWB_I(inode), pos, pos + folio_size(folio) - 1);
	if (err)
		return err;

	if (nothing_to_ask(inode, pos)) {
		fill_with_zeroes(folio);
		return 0;
	}
	if (!fusewb_takes_turns(inode, h))
		return fetch_parts(inode, h, folio);

	/* Nor does the end of a READ, which passes the turn on. */
	err = fusewb_turn_take(&h->read_turn);
	if (err)
		return err;
	err = fetch_parts(inode, h, folio);
	fusewb_turn_end(&h->read_turn);
	return err;
}

int fusewb_fetch_folio(struct inode *inode, struct fusewb_handle *h,
		       struct folio *folio)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_span span = { .folio = folio };
	u64 first = folio_pos(folio);
	struct fusewb_range range;
	bool valid;
	int err;

	do {
		fusewb_reading_add(fi, &range, first, first + folio_size(folio) - 1);
		err = fetch(inode, h, folio);
		valid = fusewb_reading_end(fi, &range, &span, !err);
	} while (!err && !valid);
	return err;
}

int fusewb_read_folio(struct file *file, struct folio *folio)
{
	struct inode *inode = folio->mapping->host;
	int err = fusewb_fetch_folio(inode, file ? fusewb_file_handle(file) : NULL, folio);

	folio_unlock(folio);
	return err;
}

static void readahead_end(struct fusewb_req *req, int error)
{
	struct inode *inode = req->io.inode;
	size_t left = error ? 0 : req->payload_received;
	unsigned int i;

	atomic64_add(left, &req->conn->counters.bytes_read);
	if (!error && left < req->payload_len)
		note_short(inode, req->io.range.first + left, req->io.version);

	for (i = 0; i < req->nr_spans && !error; i++) {
		struct folio *folio = req->spans[i].folio;
		size_t n = min(left, folio_size(folio));

		if (n < folio_size(folio))
			folio_zero_segment(folio, n, folio_size(folio));
		zero_behind(inode, folio);
		flush_dcache_folio(folio);
		left -= n;
	}
	/* After an error, or if it is old, the reader that needs it asks by itself. */
	/* Before a reader is woken, whose readahead finds its turn then. */
	if (fusewb_takes_turns(inode, req->io.handle))
		fusewb_turn_end(&req->io.handle->read_turn);
	fusewb_reading_end(FUSEWB_I(inode), &req->io.range, req->spans, error ? 0 : req->nr_spans);
	for (i = 0; i < req->nr_spans; i++)
		folio_unlock(req->spans[i].folio);
	if (req->io.handle)
		fusewb_handle_put(req->io.handle);
	fusewb_put_inode_later(inode);
}

static void submit_readahead(struct fusewb_req *req, loff_t pos)
{
	fusewb_set_read_range(req, pos);
	req->io.version = fusewb_attr_version(req->conn);
	fusewb_reading_add(FUSEWB_I(req->io.inode), &req->io.range, pos,
			   pos + req->payload_len - 1);
	fusewb_req_queue(req);
}

static bool has_room(const struct fusewb_req *req, size_t len)
{
	return req->nr_spans < req->max_spans && req->payload_len + len <= req->conn->max_read;
}

void fusewb_readahead(struct readahead_control *rac)
{
	struct inode *inode = rac->mapping->host;
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_handle *h = rac->file ? fusewb_file_handle(rac->file) : NULL;
	bool turns = fusewb_takes_turns(inode, h);
	struct fusewb_req *req = NULL;
	struct folio *folio;
	loff_t pos = 0;

	/*
	 * What is not taken here is read one by one, by those who need it and
	 * then wait for the WRITE, or their turn.
	 */
	if (fusewb_inflight_overlaps(FUSEWB_I(inode), readahead_pos(rac),
				     readahead_pos(rac) + readahead_length(rac) - 1) ||
	    (turns && fusewb_turn_taken(&h->read_turn)))
		return;
	if (nothing_to_ask(inode, readahead_pos(rac))) {
		while ((folio = readahead_folio(rac))) {
			fusewb_fetch_folio(inode, h, folio);
			folio_unlock(folio);
		}
		return;
	}

	while (readahead_count(rac)) {
		if (turns && req && !has_room(req, PAGE_SIZE))
			break;
		if (!req) {
			req = fusewb_alloc_read(inode, h,
						min(readahead_count(rac),
						    FUSEWB_WRITEBACK_SPANS), GFP_NOFS);
			if (!req)
				return;
		}
		/* The page cache keeps it as long as it is locked. */
		folio = readahead_folio(rac);
		if (!folio)
			break;
		if (folio_size(folio) > conn->max_read) {
			if (req->payload_len) {
				submit_readahead(req, pos);
				req = NULL;
				if (turns) {
					folio_unlock(folio);
					return;
				}
			}
			fusewb_fetch_folio(inode, h, folio);
			folio_unlock(folio);
			continue;
		}
		if (req->payload_len && (pos + req->payload_len != folio_pos(folio) ||
					 !has_room(req, folio_size(folio)))) {
			struct fusewb_req *next = NULL;

			if (!turns)
				next = fusewb_alloc_read(inode, h, FUSEWB_WRITEBACK_SPANS,
							 GFP_NOFS);
			submit_readahead(req, pos);
			req = next;
			if (!req) {
				folio_unlock(folio);
				return;
			}
		}
		if (!req->payload_len) {
			if (turns && !fusewb_turn_try(&h->read_turn)) {
				folio_unlock(folio);
				break;
			}
			pos = folio_pos(folio);
			ihold(inode);
			req->io.inode = inode;
			req->io.handle = h ? fusewb_handle_get(h) : NULL;
			req->end = readahead_end;
		}
		fusewb_req_add_span(req, folio, 0, folio_size(folio));
	}
	if (req && req->payload_len)
		submit_readahead(req, pos);
	else if (req)
		fusewb_req_put(req);
}

ssize_t fusewb_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	int err;

	if (fusewb_conn_aborted(fusewb_inode_conn(inode)))
		return -ENOTCONN;
	if (fusewb_file_handle(file)->open_flags & FOPEN_DIRECT_IO ||
	    iocb->ki_flags & IOCB_DIRECT)
		return fusewb_direct_read(iocb, to);

	/* Only the server knows whether the file has grown, unless we do. */
	if (!fusewb_local_times(inode) &&
	    (fusewb_inode_conn(inode)->flags & FUSE_AUTO_INVAL_DATA ||
	     iocb->ki_pos + iov_iter_count(to) > i_size_read(inode))) {
		err = fusewb_update_attributes(inode, file);
		if (err)
			return err;
	}
	return fusewb_read_cached(iocb, to);
}
