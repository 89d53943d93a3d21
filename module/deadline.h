/* SPDX-License-Identifier: GPL-2.0-only */
/* The deadlines of requests: deadline.c. */
#ifndef FUSEWB_DEADLINE_H
#define FUSEWB_DEADLINE_H

#include <linux/hrtimer.h>
#include <linux/ktime.h>
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
	/* requests that may be late yet, by class, in the order of their making */
	struct list_head running[FUSEWB_CLASS_ALL];
	struct list_head past;		/* those that were late */
	struct hrtimer timer;
	ktime_t timer_at;		/* KTIME_MAX: it has nothing to do */
	struct list_head late;		/* for @work; a reference each */
	struct work_struct work;
	struct fusewb_req *failing;	/* its end waits for @failed_by */
	struct task_struct *failed_by;
	wait_queue_head_t wait;		/* until @failing is done with */
};

void fusewb_deadlines_init(struct fusewb_deadlines *deadlines);

/** fusewb_deadlines_exit() - stops the timer; there are no requests any more. */
void fusewb_deadlines_exit(struct fusewb_deadlines *deadlines);

/**
 * fusewb_deadline_watch() - the request is put on a list of queue or device
 *
 * With the lock of that list. The policy in force decides whether and when it
 * is late.
 */
void fusewb_deadline_watch(struct fusewb_req *req);

/**
 * fusewb_deadline_stop() - the request ended, and is on no list any more
 *
 * Nothing of this file works on it any more when this returns; process
 * context, may sleep for as long as that takes, which does not depend on a
 * server.
 */
void fusewb_deadline_stop(struct fusewb_req *req);

/**
 * fusewb_deadlines_changed() - the policy of a connection did, from @old
 *
 * Every running request gets the deadline that it would have been given, and
 * one that is past it expires at once.
 */
void fusewb_deadlines_changed(struct fusewb_conn *conn, const struct fusewb_policy *old);

/** fusewb_deadline_ms() - the deadline in force for a request, 0: none. */
u32 fusewb_deadline_ms(const struct fusewb_req *req);

enum fusewb_class fusewb_class_of(u32 opcode);

int fusewb_deadlines_start(void);
void fusewb_deadlines_end(void);

#endif
