/* SPDX-License-Identifier: GPL-2.0-only */
/* The queue between those who make requests and the server's read(2). */
#ifndef FUSEWB_QUEUE_H
#define FUSEWB_QUEUE_H

#include <linux/types.h>

struct fusewb_conn;
struct fusewb_queue;
struct fusewb_req;
struct iov_iter;

void fusewb_queue_init(struct fusewb_queue *q);

/** fusewb_queue_exit() - nothing is queued any more, nobody knows it. */
void fusewb_queue_exit(struct fusewb_queue *q);

/**
 * fusewb_queue_add() - append a request; it takes over the caller's reference
 * Return: 0, or -ENOTCONN when aborted or closing (the reference stays).
 */
int fusewb_queue_add(struct fusewb_conn *conn, struct fusewb_req *req);

/** fusewb_queue_wake() - a reader, for what was added with req->quiet */
void fusewb_queue_wake(struct fusewb_conn *conn);

/**
 * fusewb_queue_later() - the server has answered and gets it again, later
 * @delay: jiffies
 *
 * For a background request that is ANSWERING, under a new unique. Return: 0, or
 * -ENOTCONN when aborted; the request is the caller's to end then.
 */
int fusewb_queue_later(struct fusewb_req *req, unsigned long delay);

/**
 * fusewb_queue_each() - every request that waits to be read or to be answered
 *
 * In no order, and without those that a server's thread copies just now. Calls
 * @fn under spinlocks, with the queue's reference on the request.
 */
void fusewb_queue_each(struct fusewb_conn *conn,
		       void (*fn)(struct fusewb_req *req, void *arg), void *arg);

/**
 * fusewb_queue_resend() - what was sent and not answered is to be read again
 *
 * In the order in which it was queued first, before all else, with
 * FUSE_UNIQUE_RESEND in its unique.
 */
void fusewb_queue_resend(struct fusewb_conn *conn);

/**
 * fusewb_queue_recall() - take a request back that was not handed over
 * Return: true if it was QUEUED; the queue's reference is the caller's then. He
 * ends it (fusewb_req_end()) or gives it back (fusewb_queue_requeue()); one
 * with a waiter may be dropped.
 */
bool fusewb_queue_recall(struct fusewb_req *req);

/** fusewb_queue_interrupt() - have an INTERRUPT read for a request. */
void fusewb_queue_interrupt(struct fusewb_req *req);

/** fusewb_queue_forget_interrupt() - the request ended. */
void fusewb_queue_forget_interrupt(struct fusewb_req *req);

/** fusewb_queue_background_done() - one less with the server. */
void fusewb_queue_background_done(struct fusewb_conn *conn);

/** fusewb_queue_requeue() - the hand-over did not work out: back to the head.
 * Return: false when aborted meanwhile; the request is the caller's to end.
 */
bool fusewb_queue_requeue(struct fusewb_req *req);

/** fusewb_queue_readable() - is there something to read, or an end? */
bool fusewb_queue_readable(struct fusewb_conn *conn);

enum fusewb_queue_item {
	FUSEWB_ITEM_NONE,	/* nothing now */
	FUSEWB_ITEM_END,	/* nothing ever again */
	FUSEWB_ITEM_REQUEST,	/* *req is COPYING, the caller's to finish */
	FUSEWB_ITEM_INTERRUPT,	/* of the request with *unique */
	FUSEWB_ITEM_FORGETS,	/* *forgets is a list of struct fusewb_forget */
};

struct fusewb_forget {
	struct list_head link;
	struct fuse_forget_one one;
};

enum fusewb_queue_item fusewb_queue_next(struct fusewb_conn *conn,
					 struct fusewb_req **req, u64 *unique,
					 struct list_head *forgets,
					 unsigned int max_forgets);

/** fusewb_queue_abort() - ends what is queued, wakes the readers. */
void fusewb_queue_abort(struct fusewb_conn *conn);

/** fusewb_queue_wait() - a reader waits; interruptible, exclusive.
 * Return: 0 or -ERESTARTSYS.
 */
int fusewb_queue_wait(struct fusewb_conn *conn);

#endif
