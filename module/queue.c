// SPDX-License-Identifier: GPL-2.0-only
/*
 * The queue of a connection.
 *
 * Lists, and one rule for what a reader of the device gets next:
 * an interrupt, since somebody waits for its effect; then requests and forgets
 * in turn, so that neither starves the other; of the requests those with a
 * waiter first; background ones only while fewer than max_background, the
 * number that the server named in INIT, are with it. A request that the server
 * answered with "try again" becomes a background one again when it is due.
 *
 * The queue owns a reference on each request from fusewb_queue_add() until
 * fusewb_req_end() or fusewb_queue_recall().
 */
#include <linux/list_sort.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "connection.h"
#include "deadline.h"
#include "device.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

static void wake_reader(struct fusewb_queue *q)
{
	wake_up(&q->wait);
	kill_fasync(&q->fasync, SIGIO, POLL_IN);
}

static void later_work_fn(struct work_struct *work)
{
	struct fusewb_queue *q = container_of(to_delayed_work(work), struct fusewb_queue,
					      later_work);
	unsigned long now = jiffies, next = 0;
	struct fusewb_req *req, *tmp;
	LIST_HEAD(due);

	spin_lock(&q->lock);
	list_for_each_entry_safe(req, tmp, &q->later, link) {
		if (time_after_eq(now, req->due))
			list_move_tail(&req->link, &due);
		else if (!next || time_before(req->due, now + next))
			next = req->due - now;
	}
	if (next)
		mod_delayed_work(system_wq, &q->later_work, next);
	list_splice(&due, &q->background);
	spin_unlock(&q->lock);
	if (!list_empty(&due))
		wake_reader(q);
}

void fusewb_queue_init(struct fusewb_queue *q)
{
	spin_lock_init(&q->lock);
	INIT_LIST_HEAD(&q->pending);
	INIT_LIST_HEAD(&q->background);
	INIT_LIST_HEAD(&q->later);
	INIT_DELAYED_WORK(&q->later_work, later_work_fn);
	INIT_LIST_HEAD(&q->interrupts);
	INIT_LIST_HEAD(&q->forgets);
	init_waitqueue_head(&q->wait);
	/* libfuse's and go-fuse's own default until INIT names another. */
	q->max_background = 12;
}

void fusewb_queue_exit(struct fusewb_queue *q)
{
	cancel_delayed_work_sync(&q->later_work);
}

void fusewb_queue_wake(struct fusewb_conn *conn)
{
	wake_reader(&conn->queue);
}

int fusewb_queue_add(struct fusewb_conn *conn, struct fusewb_req *req)
{
	struct fusewb_queue *q = &conn->queue;
	bool wake;

	spin_lock(&q->lock);
	if (q->aborted || q->closing) {
		spin_unlock(&q->lock);
		return -ENOTCONN;
	}
	/* The lowest bit marks the interrupt of a request. */
	if (!req->no_answer) {
		q->next_unique += 2;
		req->in.unique = q->next_unique;
	}
	req->serial = ++q->last_serial;
	WRITE_ONCE(req->state, FUSEWB_REQ_QUEUED);
	list_add_tail(&req->link, req->background ? &q->background : &q->pending);
	fusewb_deadline_watch(req);
	trace_fusewb_queue(req);
	/* At the limit the next answer wakes the reader for it. */
	wake = !req->quiet && !(req->background && q->active_background >= q->max_background);
	spin_unlock(&q->lock);
	if (wake)
		wake_reader(q);
	return 0;
}

bool fusewb_queue_recall(struct fusewb_req *req)
{
	struct fusewb_queue *q = &req->conn->queue;
	bool queued;

	spin_lock(&q->lock);
	/* It becomes and ceases to be queued under this lock, the rest is a device's. */
	queued = READ_ONCE(req->state) == FUSEWB_REQ_QUEUED;
	if (queued) {
		list_del_init(&req->link);
		/* It was with a server before that started anew. */
		list_del_init(&req->interrupt_link);
		WRITE_ONCE(req->state, FUSEWB_REQ_DONE);
		/* Whoever ends it or gives it back counts it off again. */
		if (req->background)
			q->active_background++;
	}
	spin_unlock(&q->lock);
	return queued;
}

void fusewb_queue_interrupt(struct fusewb_req *req)
{
	struct fusewb_queue *q = &req->conn->queue;
	int fate;

	spin_lock(&q->lock);
	/* Pairs with the exchange of the fate in fusewb_req_end(). */
	fate = atomic_read(&req->fate);
	/* What was recalled has no fate, but is in no list and never will be. */
	if (!q->aborted && list_empty(&req->interrupt_link) &&
	    READ_ONCE(req->state) != FUSEWB_REQ_DONE &&
	    fate != FUSEWB_FATE_ENDED && fate != FUSEWB_FATE_ORPHANED)
		list_add_tail(&req->interrupt_link, &q->interrupts);
	spin_unlock(&q->lock);
	wake_reader(q);
}

void fusewb_queue_forget_interrupt(struct fusewb_req *req)
{
	struct fusewb_queue *q = &req->conn->queue;

	spin_lock(&q->lock);
	list_del_init(&req->interrupt_link);
	spin_unlock(&q->lock);
}

void fusewb_queue_background_done(struct fusewb_conn *conn)
{
	struct fusewb_queue *q = &conn->queue;
	bool more;

	spin_lock(&q->lock);
	/* Below the limit a reader was woken for each, or will be. */
	more = q->active_background >= q->max_background && !list_empty(&q->background);
	q->active_background--;
	spin_unlock(&q->lock);
	if (more)
		wake_reader(q);
}

bool fusewb_queue_requeue(struct fusewb_req *req)
{
	struct fusewb_queue *q = &req->conn->queue;
	bool ok;

	spin_lock(&q->lock);
	ok = !q->aborted;
	if (ok) {
		if (req->background)
			q->active_background--;
		WRITE_ONCE(req->state, FUSEWB_REQ_QUEUED);
		list_add(&req->link, req->background ? &q->background : &q->pending);
		fusewb_deadline_watch(req);
	}
	spin_unlock(&q->lock);
	if (ok)
		wake_reader(q);
	return ok;
}

int fusewb_queue_later(struct fusewb_req *req, unsigned long delay)
{
	struct fusewb_queue *q = &req->conn->queue;
	bool ok, more;

	spin_lock(&q->lock);
	ok = !q->aborted;
	if (ok) {
		/* An answer to what is over by now is not one to this. */
		q->next_unique += 2;
		req->in.unique = q->next_unique;
		q->active_background--;
		req->due = jiffies + delay;
		WRITE_ONCE(req->state, FUSEWB_REQ_QUEUED);
		list_add_tail(&req->link, &q->later);
		fusewb_deadline_watch(req);
		trace_fusewb_queue(req);
		if (!delayed_work_pending(&q->later_work) ||
		    time_before(req->due, q->later_work.timer.expires))
			mod_delayed_work(system_wq, &q->later_work, delay);
	}
	more = ok && !list_empty(&q->background);
	spin_unlock(&q->lock);
	/* There is room for another one with the server. */
	if (more)
		wake_reader(q);
	return ok ? 0 : -ENOTCONN;
}

static int by_unique(void *priv, const struct list_head *a, const struct list_head *b)
{
	u64 first = list_entry(a, struct fusewb_req, link)->in.unique;
	u64 second = list_entry(b, struct fusewb_req, link)->in.unique;

	return first > second ? 1 : -1;
}

void fusewb_queue_resend(struct fusewb_conn *conn)
{
	struct fusewb_queue *q = &conn->queue;
	struct fusewb_req *req, *next;
	LIST_HEAD(pending);
	LIST_HEAD(background);
	struct fusewb_dev *dev;
	LIST_HEAD(sent);

	spin_lock(&q->lock);
	if (q->aborted) {
		spin_unlock(&q->lock);
		return;
	}
	list_for_each_entry(dev, &conn->devs, node)
		fusewb_dev_take_sent(dev, &sent);
	list_for_each_entry_safe(req, next, &sent, link) {
		req->in.unique |= FUSE_UNIQUE_RESEND;
		/* The hand-over makes up for it. */
		clear_bit(FUSEWB_REQ_F_SENT, &req->flags);
		list_del_init(&req->interrupt_link);
		WRITE_ONCE(req->state, FUSEWB_REQ_QUEUED);
		trace_fusewb_queue(req);
		if (req->background)
			q->active_background--;
		list_move_tail(&req->link, req->background ? &background : &pending);
	}
	list_sort(NULL, &pending, by_unique);
	list_sort(NULL, &background, by_unique);
	list_splice(&pending, &q->pending);
	list_splice(&background, &q->background);
	spin_unlock(&q->lock);
	wake_up_all(&q->wait);
	kill_fasync(&q->fasync, SIGIO, POLL_IN);
}

static void each_of(struct list_head *list, void (*fn)(struct fusewb_req *req, void *arg),
		    void *arg)
{
	struct fusewb_req *req;

	list_for_each_entry(req, list, link)
		fn(req, arg);
}

void fusewb_queue_each(struct fusewb_conn *conn,
		       void (*fn)(struct fusewb_req *req, void *arg), void *arg)
{
	struct fusewb_queue *q = &conn->queue;
	struct fusewb_dev *dev;
	unsigned int i;

	spin_lock(&q->lock);
	each_of(&q->pending, fn, arg);
	each_of(&q->background, fn, arg);
	each_of(&q->later, fn, arg);
	list_for_each_entry(dev, &conn->devs, node) {
		spin_lock(&dev->lock);
		for (i = 0; i < FUSEWB_PROCESSING_BUCKETS; i++)
			each_of(&dev->processing[i], fn, arg);
		spin_unlock(&dev->lock);
	}
	spin_unlock(&q->lock);
}

static struct list_head *next_list(struct fusewb_queue *q)
{
	lockdep_assert_held(&q->lock);
	if (!list_empty(&q->pending))
		return &q->pending;
	if (!list_empty(&q->background) && q->active_background < q->max_background)
		return &q->background;
	return NULL;
}

static bool finished(struct fusewb_queue *q)
{
	lockdep_assert_held(&q->lock);
	return q->aborted ||
	       (q->closing && list_empty(&q->pending) && list_empty(&q->background) &&
		list_empty(&q->later));
}

static bool readable(struct fusewb_queue *q)
{
	lockdep_assert_held(&q->lock);
	return !list_empty(&q->interrupts) || !list_empty(&q->forgets) ||
	       next_list(q) || finished(q);
}

bool fusewb_queue_readable(struct fusewb_conn *conn)
{
	bool ret;

	spin_lock(&conn->queue.lock);
	ret = readable(&conn->queue);
	spin_unlock(&conn->queue.lock);
	return ret;
}

int fusewb_queue_wait(struct fusewb_conn *conn)
{
	return wait_event_interruptible_exclusive(conn->queue.wait,
						  fusewb_queue_readable(conn));
}

static void take_forgets(struct fusewb_queue *q, struct list_head *to,
			 unsigned int max)
{
	lockdep_assert_held(&q->lock);
	while (max-- && !list_empty(&q->forgets))
		list_move_tail(q->forgets.next, to);
}

static bool destroys(struct list_head *list)
{
	return list_first_entry(list, struct fusewb_req, link)->in.opcode == FUSE_DESTROY;
}

enum fusewb_queue_item fusewb_queue_next(struct fusewb_conn *conn,
					 struct fusewb_req **req, u64 *unique,
					 struct list_head *forgets,
					 unsigned int max_forgets)
{
	struct fusewb_queue *q = &conn->queue;
	enum fusewb_queue_item item = FUSEWB_ITEM_NONE;
	struct list_head *list;
	struct fusewb_req *r;

	spin_lock(&q->lock);
	list = next_list(q);
	if (q->aborted) {
		item = FUSEWB_ITEM_END;
	} else if (!list_empty(&q->interrupts)) {
		r = list_first_entry(&q->interrupts, struct fusewb_req, interrupt_link);
		list_del_init(&r->interrupt_link);
		*unique = r->in.unique;
		item = FUSEWB_ITEM_INTERRUPT;
	} else if (!list_empty(&q->forgets) && (!list || q->forget_turn || destroys(list))) {
		/* They alternate with requests, and none comes after DESTROY. */
		take_forgets(q, forgets, max_forgets);
		q->forget_turn = false;
		item = FUSEWB_ITEM_FORGETS;
	} else if (list) {
		r = list_first_entry(list, struct fusewb_req, link);
		list_del_init(&r->link);
		if (r->background)
			q->active_background++;
		WRITE_ONCE(r->state, FUSEWB_REQ_COPYING);
		q->forget_turn = true;
		*req = r;
		item = FUSEWB_ITEM_REQUEST;
	} else if (finished(q)) {
		item = FUSEWB_ITEM_END;
	}
	/* The wake-up was for one reader: hand on what is left. */
	if (item != FUSEWB_ITEM_NONE && item != FUSEWB_ITEM_END && readable(q))
		wake_up(&q->wait);
	spin_unlock(&q->lock);
	return item;
}

void fusewb_req_queue_forget(struct fusewb_conn *conn, u64 nodeid, u64 nlookup)
{
	struct fusewb_queue *q = &conn->queue;
	struct fusewb_forget *forget;
	bool queued = false;

	/* A server may have answered with what no answer can be of. */
	if (!nodeid || nodeid == FUSE_ROOT_ID)
		return;
	/*
	 * Small, and the server would keep the node for ever without it: this
	 * one allocation has to succeed.
	 */
	forget = kmalloc(sizeof(*forget), GFP_NOFS | __GFP_NOFAIL);
	forget->one.nodeid = nodeid;
	forget->one.nlookup = nlookup;

	spin_lock(&q->lock);
	if (!q->aborted && !q->closing) {
		list_add_tail(&forget->link, &q->forgets);
		queued = true;
	}
	spin_unlock(&q->lock);
	if (queued)
		wake_reader(q);
	else
		kfree(forget);
}

void fusewb_queue_abort(struct fusewb_conn *conn)
{
	struct fusewb_queue *q = &conn->queue;
	struct fusewb_forget *forget, *next_forget;
	struct fusewb_req *req, *next;
	LIST_HEAD(ended);
	LIST_HEAD(forgets);

	spin_lock(&q->lock);
	q->aborted = true;
	list_splice_init(&q->pending, &ended);
	list_splice_init(&q->background, &ended);
	list_splice_init(&q->later, &ended);
	list_splice_init(&q->forgets, &forgets);
	list_for_each_entry(req, &ended, link) {
		WRITE_ONCE(req->state, FUSEWB_REQ_DONE);
		/* fusewb_req_end() counts it off again */
		if (req->background)
			q->active_background++;
	}
	while (!list_empty(&q->interrupts))
		list_del_init(q->interrupts.next);
	spin_unlock(&q->lock);
	wake_up_all(&q->wait);
	kill_fasync(&q->fasync, SIGIO, POLL_IN);

	list_for_each_entry_safe(req, next, &ended, link) {
		list_del_init(&req->link);
		fusewb_req_end(req, -ENOTCONN);
	}
	list_for_each_entry_safe(forget, next_forget, &forgets, link)
		kfree(forget);
}
