/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests without an answer, and their deadlines: deadline.c. */
#ifndef FUSEWB_DEADLINE_H
#define FUSEWB_DEADLINE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/fusewb.h>

struct fusewb_conn;
struct fusewb_policy;
struct fusewb_req;

/* The part of a connection. */
struct fusewb_deadlines {
	spinlock_t lock;		/* all below; taken in softirq */
	struct list_head requests;	/* without an answer, in ascending
					 * order of serial
					 */
	u64 last_serial;
	struct list_head late;		/* for @work; a reference each */
	struct work_struct work;
	struct fusewb_req *failing;	/* its end waits for @failed_by */
	struct task_struct *failed_by;
	wait_queue_head_t wait;		/* until @failing is done with */
};

void fusewb_deadlines_init(struct fusewb_deadlines *deadlines);

/** fusewb_deadline_init() - the timer of a new request, not running. */
void fusewb_deadline_init(struct fusewb_req *req);

/** fusewb_deadline_start() - the request is about to be queued; the policy in
 * force decides whether and when its timer runs.
 */
void fusewb_deadline_start(struct fusewb_req *req);

/**
 * fusewb_deadline_stop() - the request ended
 *
 * Nothing of this file works on it any more when this returns; process
 * context, may sleep for as long as that takes, which does not depend on a
 * server.
 */
void fusewb_deadline_stop(struct fusewb_req *req);

/**
 * fusewb_deadlines_changed() - the policy of a connection did, from @old
 *
 * Every running request gets the deadline that it would have been given: its
 * timer is started, moved or stopped, and one that is past it expires at once.
 */
void fusewb_deadlines_changed(struct fusewb_conn *conn, const struct fusewb_policy *old);

/** fusewb_deadline_ms() - the deadline in force for a request, 0: none. */
u32 fusewb_deadline_ms(const struct fusewb_req *req);

enum fusewb_class fusewb_class_of(u32 opcode);

/**
 * fusewb_deadlines_next() - the next request without an answer, for a dump
 * @serial: the least serial that is wanted
 * @min_age: microseconds
 * @last: the request found before, whose reference is dropped, or NULL
 *
 * Return: a new reference; NULL: there are no more.
 */
struct fusewb_req *fusewb_deadlines_next(struct fusewb_conn *conn, u64 serial, u64 min_age,
					 struct fusewb_req *last);

int fusewb_deadlines_start(void);
void fusewb_deadlines_end(void);

#endif
