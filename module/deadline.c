// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deadlines.
 *
 * The policy of the connection says for each class of operations how long the
 * server may take, and what happens then. Both can change while a request runs:
 * its deadline always counts from its making.
 *
 * So the requests of a class are late in the order in which they were made, and a
 * list of each class in that order says who is next. A connection has one timer,
 * which runs for the next of all or earlier, and then for the one after: a request
 * is late by the timer's resolution and not by a scan's, while most come and go
 * without touching the timer, which costs much more than the lists.
 *
 * A request without a deadline is not known here and costs nothing. Whether it
 * has one is asked each time it is put on a list, of the queue or of a device,
 * under that list's lock; so a change of the policy finds it there, or it finds
 * the change. Lock order: the list's lock, then deadlines.lock.
 *
 * The timer's callback runs in softirq, where the locks of queue and device
 * cannot be had. So it only puts the request on a list for a work item, which
 * reports it and does what the policy says:
 *
 *   report	nothing else
 *   fail	A request that the server was not given is taken back and ends.
 *		One that it has is abandoned, as by a waiter that was killed:
 *		the late answer is discarded and gives back what it brought. A
 *		request that cannot end before its answer says so in @expire.
 *   abort	the connection is given up
 *
 * The timer may run when the answer comes. Whoever ends the request first is
 * decided by its fate; the end waits for a work item that is failing the same
 * request, which takes no longer than the copy of one answer.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "connection.h"
#include "deadline.h"
#include "netlink.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

/* Timers of others this close may run in the same interrupt. */
#define SLACK_NS NSEC_PER_MSEC

static struct workqueue_struct *workqueue;

enum fusewb_class fusewb_class_of(u32 opcode)
{
	switch (opcode) {
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_FLUSH:
		return FUSEWB_CLASS_WRITEBACK;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_READLINK:
		return FUSEWB_CLASS_READ;
	case FUSE_GETLK:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		return FUSEWB_CLASS_LOCK;
	default:
		return FUSEWB_CLASS_METADATA;
	}
}

static u32 deadline_of(const struct fusewb_policy *policy, enum fusewb_class class)
{
	return READ_ONCE(policy->deadline_ms[class]) ?:
	       READ_ONCE(policy->deadline_ms[FUSEWB_CLASS_ALL]);
}

u32 fusewb_deadline_ms(const struct fusewb_req *req)
{
	return deadline_of(&req->conn->policy, fusewb_class_of(req->in.opcode));
}

/* The timer runs no later than this. */
static void arm(struct fusewb_deadlines *deadlines, ktime_t at)
{
	lockdep_assert_held(&deadlines->lock);
	if (deadlines->timer_at <= at)
		return;
	deadlines->timer_at = at;
	hrtimer_start_range_ns(&deadlines->timer, at, SLACK_NS, HRTIMER_MODE_ABS_SOFT);
}

/* Mostly it is the last, or the first when it was late under another policy. */
static void add_running(struct fusewb_deadlines *deadlines, struct fusewb_req *req)
{
	struct list_head *list = &deadlines->running[fusewb_class_of(req->in.opcode)];
	struct fusewb_req *other;

	lockdep_assert_held(&deadlines->lock);
	other = list_first_entry_or_null(list, struct fusewb_req, unanswered);
	if (other && ktime_before(req->queued_at, other->queued_at)) {
		list_add(&req->unanswered, list);
		return;
	}
	list_for_each_entry_reverse(other, list, unanswered)
		if (!ktime_before(req->queued_at, other->queued_at))
			break;
	list_add(&req->unanswered, &other->unanswered);
}

static void hand_to_work(struct fusewb_req *req)
{
	struct fusewb_conn *conn = req->conn;

	lockdep_assert_held(&conn->deadlines.lock);
	if (!list_empty(&req->late))
		return;
	fusewb_req_get(req);
	list_add_tail(&req->late, &conn->deadlines.late);
	/* The work's own: the last request may go before it is done. */
	fusewb_conn_get(conn);
	if (!queue_work(workqueue, &conn->deadlines.work))
		fusewb_conn_put(conn);
}

/* Hands over what is late, and lets the timer run for what is next. */
static void look(struct fusewb_conn *conn)
{
	struct fusewb_deadlines *deadlines = &conn->deadlines;
	ktime_t now = ktime_get(), at;
	struct fusewb_req *req, *tmp;
	enum fusewb_class class;

	lockdep_assert_held(&deadlines->lock);
	deadlines->timer_at = KTIME_MAX;
	for (class = 0; class < FUSEWB_CLASS_ALL; class++) {
		u32 ms = deadline_of(&conn->policy, class);

		if (!ms)
			continue;
		list_for_each_entry_safe(req, tmp, &deadlines->running[class], unanswered) {
			at = ktime_add_ms(req->queued_at, ms);
			if (ktime_after(at, now)) {
				arm(deadlines, at);
				break;
			}
			list_move(&req->unanswered, &deadlines->past);
			hand_to_work(req);
		}
	}
}

static enum hrtimer_restart expired(struct hrtimer *timer)
{
	struct fusewb_conn *conn = container_of(timer, struct fusewb_conn, deadlines.timer);

	spin_lock(&conn->deadlines.lock);
	look(conn);
	spin_unlock(&conn->deadlines.lock);
	/* It may have been started again, here or before the lock was had. */
	return HRTIMER_NORESTART;
}

void fusewb_deadline_watch(struct fusewb_req *req)
{
	struct fusewb_deadlines *deadlines = &req->conn->deadlines;
	u32 ms;

	if (req->watched || !fusewb_deadline_ms(req))
		return;
	req->watched = true;
	spin_lock_bh(&deadlines->lock);
	add_running(deadlines, req);
	/* Under the lock, or a change of the policy might pass by unseen. */
	ms = fusewb_deadline_ms(req);
	if (ms)
		arm(deadlines, ktime_add_ms(req->queued_at, ms));
	spin_unlock_bh(&deadlines->lock);
}

static bool being_failed(struct fusewb_deadlines *deadlines, const struct fusewb_req *req)
{
	bool ret;

	spin_lock_bh(&deadlines->lock);
	ret = deadlines->failing == req && deadlines->failed_by != current;
	spin_unlock_bh(&deadlines->lock);
	return ret;
}

void fusewb_deadline_stop(struct fusewb_req *req)
{
	struct fusewb_deadlines *deadlines = &req->conn->deadlines;
	bool late, failing;

	if (!req->watched)
		return;
	spin_lock_bh(&deadlines->lock);
	list_del_init(&req->unanswered);
	late = !list_empty(&req->late);
	list_del_init(&req->late);
	failing = deadlines->failing == req && deadlines->failed_by != current;
	spin_unlock_bh(&deadlines->lock);

	if (late)
		fusewb_req_put(req);
	if (failing)
		wait_event(deadlines->wait, !being_failed(deadlines, req));
}

/* Of these nobody waits for the answer, and the server keeps what they name. */
static bool gives_back(const struct fusewb_req *req)
{
	switch (req->in.opcode) {
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_DESTROY:
		return true;
	default:
		return false;
	}
}

static void fail(struct fusewb_req *req)
{
	if (req->expire) {
		req->expire(req);
		return;
	}
	if (gives_back(req))
		return;
	fusewb_req_give_up(req, -ETIMEDOUT);
}

/* Return: false if the request has ended meanwhile. */
static bool begin_failing(struct fusewb_deadlines *deadlines, struct fusewb_req *req)
{
	bool running;

	spin_lock_bh(&deadlines->lock);
	running = !list_empty(&req->unanswered);
	if (running) {
		deadlines->failing = req;
		deadlines->failed_by = current;
	}
	spin_unlock_bh(&deadlines->lock);
	return running;
}

static void end_failing(struct fusewb_deadlines *deadlines)
{
	spin_lock_bh(&deadlines->lock);
	deadlines->failing = NULL;
	deadlines->failed_by = NULL;
	spin_unlock_bh(&deadlines->lock);
	wake_up_all(&deadlines->wait);
}

static void expire(struct fusewb_req *req)
{
	struct fusewb_conn *conn = req->conn;
	u32 action = READ_ONCE(conn->policy.action);

	trace_fusewb_deadline(req, 0);
	set_bit(FUSEWB_REQ_F_LATE, &req->flags);
	atomic64_inc(&conn->counters.deadlines);
	pr_notice_ratelimited("connection %llu: no answer to request %llu (operation %u) after %lld ms\n",
			      conn->id, req->in.unique, req->in.opcode,
			      ktime_ms_delta(ktime_get(), req->queued_at));
	fusewb_netlink_expired(req, action);
	switch (action) {
	case FUSEWB_ACTION_FAIL:
		if (!begin_failing(&conn->deadlines, req))
			break;
		fail(req);
		end_failing(&conn->deadlines);
		break;
	case FUSEWB_ACTION_ABORT:
		fusewb_conn_abort(conn, FUSEWB_ABORT_DEADLINE);
		break;
	}
}

static struct fusewb_req *next_late(struct fusewb_deadlines *deadlines)
{
	struct fusewb_req *req;

	spin_lock_bh(&deadlines->lock);
	req = list_first_entry_or_null(&deadlines->late, struct fusewb_req, late);
	if (req)
		list_del_init(&req->late);
	spin_unlock_bh(&deadlines->lock);
	return req;
}

static void expire_work(struct work_struct *work)
{
	struct fusewb_deadlines *deadlines = container_of(work, struct fusewb_deadlines, work);
	struct fusewb_conn *conn = container_of(deadlines, struct fusewb_conn, deadlines);
	struct fusewb_req *req;

	while ((req = next_late(deadlines))) {
		/* One that was failed is the server's only; nobody waits for it. */
		if (atomic_read(&req->fate) == FUSEWB_FATE_OPEN)
			expire(req);
		fusewb_req_put(req);
	}
	fusewb_conn_put(conn);
}

void fusewb_deadlines_init(struct fusewb_deadlines *deadlines)
{
	enum fusewb_class class;

	spin_lock_init(&deadlines->lock);
	for (class = 0; class < FUSEWB_CLASS_ALL; class++)
		INIT_LIST_HEAD(&deadlines->running[class]);
	INIT_LIST_HEAD(&deadlines->past);
	hrtimer_setup(&deadlines->timer, expired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	deadlines->timer_at = KTIME_MAX;
	INIT_LIST_HEAD(&deadlines->late);
	INIT_WORK(&deadlines->work, expire_work);
	init_waitqueue_head(&deadlines->wait);
}

void fusewb_deadlines_exit(struct fusewb_deadlines *deadlines)
{
	hrtimer_cancel(&deadlines->timer);
}

static void watch(struct fusewb_req *req, void *arg)
{
	fusewb_deadline_watch(req);
}

void fusewb_deadlines_changed(struct fusewb_conn *conn, const struct fusewb_policy *old)
{
	struct fusewb_deadlines *deadlines = &conn->deadlines;
	bool other_action = old->action != conn->policy.action;
	struct fusewb_req *req, *tmp;

	spin_lock_bh(&deadlines->lock);
	/* The latest first, for which a place is found soonest. */
	list_for_each_entry_safe(req, tmp, &deadlines->past, unanswered) {
		enum fusewb_class class = fusewb_class_of(req->in.opcode);

		/* What was reported is not reported again for the same reason. */
		if (deadline_of(&conn->policy, class) == deadline_of(old, class) && !other_action)
			continue;
		list_del(&req->unanswered);
		add_running(deadlines, req);
	}
	look(conn);
	spin_unlock_bh(&deadlines->lock);
	/* The others, which had none so far. */
	fusewb_queue_each(conn, watch, NULL);
}

int fusewb_deadlines_start(void)
{
	/* A late request may be what memory waits for; it is never many. */
	workqueue = alloc_workqueue("fusewb", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return workqueue ? 0 : -ENOMEM;
}

void fusewb_deadlines_end(void)
{
	destroy_workqueue(workqueue);
}
