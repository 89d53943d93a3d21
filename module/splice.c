// SPDX-License-Identifier: GPL-2.0-only
/*
 * splice(2) from the device: a message becomes buffers of a pipe.
 *
 * Header and arguments go into pages of our own, a small message into a piece of
 * one, of which the others are the same server's. So does the payload, unless
 * policy grants the server the folios themselves: what is in a pipe stays there
 * for as long as its reader likes, and no deadline can take it back. Until then a
 * folio does not migrate, since the pipe holds a reference, but nobody waits
 * for it. The reader cannot change a page or take it away: the buffers have no
 * way to be stolen, and a pipe is written to behind its last buffer only.
 *
 * A buffer of a live folio is as long as the folio's part of the message, which
 * every consumer of a pipe takes for a piece of a compound page.
 *
 * The pipe is locked by our caller, so nothing is read before all is in it.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "compat/compat.h"
#include "connection.h"
#include "device.h"
#include "queue.h"
#include "request.h"

/* Enough for a message without payload, and for BATCH_FORGET. */
#define FEW_PAGES 3

/* Most messages without payload are no longer than that. */
#define SMALL 512

/**
 * struct message - what goes into the pipe
 * @pages: filled one after another, @few or memory of its own; a reference each
 * @few: enough for most
 * @nr: how many of them
 * @len: bytes in them
 */
struct message {
	struct bio_vec *pages;
	struct bio_vec few[FEW_PAGES];
	unsigned int nr;
	size_t len;
};

static void free_pages_of(struct message *msg)
{
	while (msg->nr)
		put_page(msg->pages[--msg->nr].bv_page);
	if (msg->pages != msg->few)
		kvfree(msg->pages);
}

static bool cut(struct fusewb_dev *dev, struct message *msg, size_t len)
{
	lockdep_assert_held(&dev->lock);
	if (!dev->piece || dev->piece_used + len > PAGE_SIZE)
		return false;
	get_page(dev->piece);
	msg->few[0] = (struct bio_vec) {
		.bv_page = dev->piece,
		.bv_offset = dev->piece_used,
		.bv_len = len,
	};
	dev->piece_used += ALIGN(len, sizeof(u64));
	return true;
}

/* Room for @len bytes, at most SMALL. Return: 0 or -ENOMEM. */
static int take_piece(struct fusewb_dev *dev, struct message *msg, size_t len)
{
	struct page *page = NULL, *old = NULL;
	bool taken;

	for (;;) {
		spin_lock(&dev->lock);
		taken = cut(dev, msg, len);
		if (!taken && page) {
			old = dev->piece;
			dev->piece = page;
			dev->piece_used = 0;
			page = NULL;
			taken = cut(dev, msg, len);
		}
		spin_unlock(&dev->lock);
		if (taken)
			break;
		page = alloc_page(GFP_KERNEL | __GFP_NOWARN);
		if (!page)
			return -ENOMEM;
	}
	/* Another thread was faster. */
	if (page)
		put_page(page);
	if (old)
		put_page(old);
	msg->pages = msg->few;
	msg->nr = 1;
	msg->len = len;
	return 0;
}

/* Room for @len bytes. Return: 0 or -ENOMEM, then it is empty. */
static int alloc_pages_of(struct message *msg, size_t len)
{
	unsigned int nr = DIV_ROUND_UP(len, PAGE_SIZE);

	msg->nr = 0;
	msg->len = len;
	msg->pages = msg->few;
	if (nr > FEW_PAGES)
		msg->pages = kvmalloc_array(nr, sizeof(*msg->pages), GFP_KERNEL);
	if (!msg->pages) {
		msg->pages = msg->few;
		return -ENOMEM;
	}
	while (msg->nr < nr) {
		struct page *page = alloc_page(GFP_KERNEL | __GFP_NOWARN);

		if (!page) {
			free_pages_of(msg);
			return -ENOMEM;
		}
		msg->pages[msg->nr++] = (struct bio_vec) {
			.bv_page = page,
			.bv_len = PAGE_SIZE,
		};
	}
	return 0;
}

static void iter_of(struct message *msg, struct iov_iter *iter)
{
	iov_iter_bvec(iter, ITER_DEST, msg->pages, msg->nr, msg->len);
}

static unsigned int room(const struct pipe_inode_info *pipe)
{
	unsigned int used = pipe_occupancy(pipe->head, pipe->tail);

	return used < pipe->max_usage ? pipe->max_usage - used : 0;
}

/* There is room, and the reference on the page goes to the pipe. */
static void push(struct pipe_inode_info *pipe, struct page *page, size_t off, size_t len)
{
	struct pipe_buffer buf = {
		.page = page,
		.offset = off,
		.len = len,
		.ops = &nosteal_pipe_buf_ops,
	};

	add_to_pipe(pipe, &buf);
}

/* The first @len bytes of the message. */
static void push_pages(struct pipe_inode_info *pipe, struct message *msg, size_t len)
{
	unsigned int i;

	for (i = 0; len; i++) {
		const struct bio_vec *bv = &msg->pages[i];
		size_t n = min_t(size_t, len, bv->bv_len);

		get_page(bv->bv_page);
		push(pipe, bv->bv_page, bv->bv_offset, n);
		len -= n;
	}
}

static void push_spans(struct pipe_inode_info *pipe, const struct fusewb_req *req)
{
	unsigned int i;

	for (i = 0; i < req->nr_spans; i++) {
		const struct fusewb_span *span = &req->spans[i];

		folio_get(span->folio);
		push(pipe, folio_page(span->folio, span->off >> PAGE_SHIFT),
		     offset_in_page(span->off), span->len);
	}
}

/* Return: 0, -EIO if it takes more buffers than are free, -ENOMEM, -EINTR. */
static int splice_request(struct fusewb_dev *dev, struct fusewb_req *req,
			  struct pipe_inode_info *pipe)
{
	bool live = req->payload_in && READ_ONCE(req->conn->policy.splice_folios);
	size_t len = live ? req->in.len - req->payload_len : req->in.len;
	struct message msg;
	struct iov_iter to;
	int err;

	err = len <= SMALL ? take_piece(dev, &msg, len) : alloc_pages_of(&msg, len);
	if (err)
		return err;
	iter_of(&msg, &to);
	err = fusewb_dev_copy_out(req, &to, !live);
	if (err)
		goto out;

	/* Whoever abandons the request takes its folios under this lock. */
	mutex_lock(&req->copying);
	if (live && req->payload_len && !req->nr_spans)
		err = -EINTR;
	else if (msg.nr + (live ? req->nr_spans : 0) > room(pipe))
		err = -EIO;
	if (!err) {
		push_pages(pipe, &msg, msg.len);
		if (live)
			push_spans(pipe, req);
	}
	mutex_unlock(&req->copying);
out:
	free_pages_of(&msg);
	return err;
}

/* An interrupt, or else forgets. Return: bytes, -ENOMEM. */
static ssize_t splice_small(struct fusewb_conn *conn, u64 unique,
			    struct list_head *forgets, struct pipe_inode_info *pipe)
{
	struct message msg;
	struct iov_iter to;
	ssize_t ret;
	int err;

	err = alloc_pages_of(&msg, list_empty(forgets) ? PAGE_SIZE : FEW_PAGES * PAGE_SIZE);
	/* Forgets that find no room are queued again. */
	iter_of(&msg, &to);
	if (err)
		iov_iter_truncate(&to, 0);
	ret = list_empty(forgets) ? fusewb_dev_copy_interrupt(unique, &to) :
				    fusewb_dev_copy_forgets(conn, forgets, &to);
	if (err)
		return err;
	if (ret > 0)
		push_pages(pipe, &msg, ret);
	free_pages_of(&msg);
	return ret;
}

ssize_t fusewb_dev_splice_read(struct file *file, loff_t *pos,
			       struct pipe_inode_info *pipe, size_t len,
			       unsigned int flags)
{
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = fusewb_dev_conn(dev);
	ssize_t ret;

	if (!conn)
		return -EPERM;
	if (len < fusewb_dev_min_buffer(conn))
		return -EINVAL;
	if (!pipe->readers)
		return -EPIPE;
	if (room(pipe) < FEW_PAGES)
		return -EIO;

	for (;;) {
		struct fusewb_req *req;
		LIST_HEAD(forgets);
		size_t size;
		u64 unique;

		switch (fusewb_queue_next(conn, &req, &unique, &forgets,
					  fusewb_dev_forgets_fit(conn, FEW_PAGES * PAGE_SIZE))) {
		case FUSEWB_ITEM_END:
			return -ENODEV;
		case FUSEWB_ITEM_INTERRUPT:
		case FUSEWB_ITEM_FORGETS:
			return splice_small(conn, unique, &forgets, pipe);
		case FUSEWB_ITEM_REQUEST:
			/* It may be answered and gone once it is handed over. */
			size = req->in.len;
			if (size > len) {
				fusewb_dev_refuse(req);
				break;
			}
			ret = splice_request(dev, req, pipe);
			if (!ret) {
				fusewb_dev_hand_over(dev, req);
				return size;
			}
			if (ret != -EINTR && fusewb_queue_requeue(req))
				return ret;
			fusewb_req_end(req, ret == -EINTR ? -EINTR : -ENOTCONN);
			break;
		case FUSEWB_ITEM_NONE:
			if (file->f_flags & O_NONBLOCK)
				return -EAGAIN;
			ret = fusewb_queue_wait(conn);
			if (ret)
				return ret;
			break;
		}
	}
}
