/* SPDX-License-Identifier: GPL-2.0-only */
/* Deadlines: deadline.c. */
#ifndef FUSEWB_DEADLINE_H
#define FUSEWB_DEADLINE_H

struct fusewb_req;

/** fusewb_deadline_init() - the timer of a new request, not running. */
void fusewb_deadline_init(struct fusewb_req *req);

/** fusewb_deadline_start() - the request was queued; the policy in force
 * decides whether and when.
 */
void fusewb_deadline_start(struct fusewb_req *req);

/** fusewb_deadline_stop() - the request ended. Waits for a running callback. */
void fusewb_deadline_stop(struct fusewb_req *req);

#endif
