// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deadlines.
 *
 * Every request has a timer of its own, from the moment it was queued to its
 * end, so that it is late by the timer's resolution and not by a scan's. The
 * policy is "report": a request past its deadline is counted and named in the
 * kernel log, once, and goes on.
 */
#include <linux/module.h>
#include <linux/ratelimit.h>

#include "compat/compat.h"
#include "connection.h"
#include "deadline.h"
#include "request.h"

static unsigned int deadline_ms;
module_param(deadline_ms, uint, 0644);
MODULE_PARM_DESC(deadline_ms,
		 "report requests that the server has not answered after so many milliseconds (0: none)");

static enum hrtimer_restart expired(struct hrtimer *timer)
{
	struct fusewb_req *req = container_of(timer, struct fusewb_req, deadline);
	s64 age = ktime_ms_delta(ktime_get(), req->queued_at);

	set_bit(FUSEWB_REQ_F_LATE, &req->flags);
	atomic64_inc(&req->conn->counters.deadlines);
	pr_notice_ratelimited("connection %llu: no answer to request %llu (operation %u) after %lld ms\n",
			      req->conn->id, req->in.unique, req->in.opcode, age);
	return HRTIMER_NORESTART;
}

void fusewb_deadline_init(struct fusewb_req *req)
{
	hrtimer_setup(&req->deadline, expired, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
}

void fusewb_deadline_start(struct fusewb_req *req)
{
	unsigned int ms = READ_ONCE(deadline_ms);

	req->queued_at = ktime_get();
	if (ms)
		hrtimer_start(&req->deadline, ms_to_ktime(ms), HRTIMER_MODE_REL_SOFT);
}

void fusewb_deadline_stop(struct fusewb_req *req)
{
	hrtimer_cancel(&req->deadline);
}
