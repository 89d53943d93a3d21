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
 * the fields are independent of each other. They are written under a mutex by
 * policy.c only.
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

/* What is to change: the values in @new whose attribute is in @given. */
struct fusewb_policy_change {
	struct fusewb_policy new;
	unsigned long given;		/* a bit per FUSEWB_A_POLICY_* */
};

/** struct fusewb_policy_value - where the value of an attribute is, and its range
 * @range: what is right, for who gave something else
 */
struct fusewb_policy_value {
	size_t offset;
	u8 size;			/* bytes: 1 or 4 */
	u32 min;
	u32 max;
	const char *range;
};

/* By attribute, from FUSEWB_A_POLICY_WRITEBACK on. */
extern const struct fusewb_policy_value fusewb_policy_values[FUSEWB_A_POLICY_MAX + 1];

u32 fusewb_policy_value(const struct fusewb_policy *policy, unsigned int attr);
void fusewb_policy_set_value(struct fusewb_policy *policy, unsigned int attr, u32 value);

/** fusewb_policy_default() - a copy of the default for new connections. */
void fusewb_policy_default(bool privileged, struct fusewb_policy *policy);

/** fusewb_policy_set_defaults() - change both defaults at once; NULL: not this. */
void fusewb_policy_set_defaults(const struct fusewb_policy_change *privileged,
				const struct fusewb_policy_change *others);

/**
 * fusewb_policy_set() - change the policy of a connection, in force on return
 *
 * May sleep. Return: 0, or -EINVAL if the bdi refuses the dirty ratio, for
 * somebody set a higher minimum; nothing was changed then.
 */
int fusewb_policy_set(struct fusewb_conn *conn, const struct fusewb_policy_change *change);

/** fusewb_policy_limit_dirty() - the bdi is there: set its limit. As above. */
int fusewb_policy_limit_dirty(struct fusewb_conn *conn);

/** fusewb_policy_negotiated() - INIT was answered: derive what is in force. */
void fusewb_policy_negotiated(struct fusewb_conn *conn);

#endif
