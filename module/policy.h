/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy: what a connection may do and for how long its server may take.
 *
 * A connection has one of its own, copied from a kernel-wide default when it
 * is made. FUSEWB_A_POLICY_* in <linux/fusewb.h> documents each value.
 */
#ifndef FUSEWB_POLICY_H
#define FUSEWB_POLICY_H

#include <linux/types.h>
#include <linux/fusewb.h>

struct fusewb_conn;

/*
 * Whoever acts on a value reads it once, with READ_ONCE(), and takes no lock:
 * the fields are independent of each other. They are written by
 * fusewb_policy_set() and fusewb_policy_set_defaults() only.
 */
struct fusewb_policy {
	u32 writeback;			/* enum fusewb_writeback: COPY, DIRECT */
	u32 deadline_ms[FUSEWB_CLASS_ALL + 1]; /* by class; 0: none */
	u32 action;			/* enum fusewb_action */
	u32 retry_ms;
	u32 max_dirty_ratio;		/* percent */
	u32 max_write;			/* bytes; 0: what the server asked for */
	u8 sync_waits;
	u8 strict_limit;
	u8 splice_folios;
	u8 force_writeback_cache;
};

/** fusewb_policy_default() - a copy of the default for new connections. */
void fusewb_policy_default(bool privileged, struct fusewb_policy *policy);

#endif
