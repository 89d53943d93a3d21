// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: the defaults, and how a change takes effect.
 *
 * Without anybody who sets a policy the defaults are safe and fast: an opener
 * of the device who could harm the system anyway gets direct writeback, all
 * others get copies, and no deadline ends anything.
 */
#include <linux/backing-dev.h>
#include <linux/bitops.h>
#include <linux/mutex.h>

#include "compat/compat.h"
#include "connection.h"
#include "deadline.h"
#include "policy.h"

#define RETRY_MS 5000

/* Guards the defaults, so that nobody sees one that is half set. */
static DEFINE_MUTEX(defaults_lock);

static struct fusewb_policy privileged_default = {
	.writeback = FUSEWB_WRITEBACK_DIRECT,
	.action = FUSEWB_ACTION_REPORT,
	.retry_ms = RETRY_MS,
	.max_dirty_ratio = 1,
	.splice_folios = true,
};

static struct fusewb_policy others_default = {
	.writeback = FUSEWB_WRITEBACK_COPY,
	.action = FUSEWB_ACTION_REPORT,
	.retry_ms = RETRY_MS,
	.max_dirty_ratio = 1,
	.strict_limit = true,
};

#define VALUE(attr, type, member, least, most, text)			\
	[FUSEWB_A_POLICY_##attr] = {					\
		.offset = offsetof(struct fusewb_policy, member),	\
		.size = sizeof(type),					\
		.min = least,						\
		.max = most,						\
		.range = text,						\
	}
#define DEADLINE(class)							\
	VALUE(DEADLINE_##class, u32, deadline_ms[FUSEWB_CLASS_##class], 0, U32_MAX, NULL)

const struct fusewb_policy_value fusewb_policy_values[FUSEWB_A_POLICY_MAX + 1] = {
	VALUE(WRITEBACK, u32, writeback, FUSEWB_WRITEBACK_COPY, FUSEWB_WRITEBACK_DIRECT,
	      "writeback is neither copy (1) nor direct (2)"),
	DEADLINE(WRITEBACK),
	DEADLINE(METADATA),
	DEADLINE(READ),
	DEADLINE(LOCK),
	DEADLINE(ALL),
	VALUE(ACTION, u32, action, FUSEWB_ACTION_REPORT, FUSEWB_ACTION_ABORT,
	      "action is neither report (0) nor fail (1) nor abort (2)"),
	VALUE(RETRY, u32, retry_ms, 0, U32_MAX, NULL),
	VALUE(SYNC_WAITS, u8, sync_waits, 0, 1, "sync-waits is neither 0 nor 1"),
	VALUE(MAX_DIRTY_RATIO, u32, max_dirty_ratio, 1, 100,
	      "max-dirty-ratio is not from 1 to 100 percent"),
	VALUE(STRICT_LIMIT, u8, strict_limit, 0, 1, "strict-limit is neither 0 nor 1"),
	VALUE(MAX_WRITE, u32, max_write, 0, U32_MAX, NULL),
	VALUE(SPLICE_FOLIOS, u8, splice_folios, 0, 1, "splice-folios is neither 0 nor 1"),
	VALUE(FORCE_WRITEBACK_CACHE, u8, force_writeback_cache, 0, 1,
	      "force-writeback-cache is neither 0 nor 1"),
};

u32 fusewb_policy_value(const struct fusewb_policy *policy, unsigned int attr)
{
	const struct fusewb_policy_value *value = &fusewb_policy_values[attr];
	const void *at = (const void *)policy + value->offset;

	return value->size == sizeof(u8) ? READ_ONCE(*(const u8 *)at) :
					   READ_ONCE(*(const u32 *)at);
}

void fusewb_policy_set_value(struct fusewb_policy *policy, unsigned int attr, u32 new)
{
	const struct fusewb_policy_value *value = &fusewb_policy_values[attr];
	void *at = (void *)policy + value->offset;

	if (value->size == sizeof(u8))
		WRITE_ONCE(*(u8 *)at, new);
	else
		WRITE_ONCE(*(u32 *)at, new);
}

static void apply(struct fusewb_policy *policy, const struct fusewb_policy_change *change)
{
	unsigned int attr;

	for_each_set_bit(attr, &change->given, FUSEWB_A_POLICY_MAX + 1)
		fusewb_policy_set_value(policy, attr,
					fusewb_policy_value(&change->new, attr));
}

void fusewb_policy_default(bool privileged, struct fusewb_policy *policy)
{
	mutex_lock(&defaults_lock);
	*policy = privileged ? privileged_default : others_default;
	mutex_unlock(&defaults_lock);
}

void fusewb_policy_set_defaults(const struct fusewb_policy_change *privileged,
				const struct fusewb_policy_change *others)
{
	mutex_lock(&defaults_lock);
	if (privileged)
		apply(&privileged_default, privileged);
	if (others)
		apply(&others_default, others);
	mutex_unlock(&defaults_lock);
}

/* What was negotiated, and what of it the policy allows. */
static void derive(struct fusewb_conn *conn)
{
	u32 max_write = READ_ONCE(conn->policy.max_write) ?: U32_MAX;
	enum fusewb_writeback writeback = READ_ONCE(conn->policy.writeback);

	lockdep_assert_held(&conn->policy_lock);
	/* A mount option can ask for less than the policy allows, never for more. */
	if (conn->opts.writeback == FUSEWB_OPT_COPY)
		writeback = FUSEWB_WRITEBACK_COPY;
	if (!(conn->flags & FUSE_WRITEBACK_CACHE))
		writeback = FUSEWB_WRITEBACK_THROUGH;
	WRITE_ONCE(conn->writeback, writeback);
	WRITE_ONCE(conn->max_write, min(max_write, conn->server_max_write));
}

void fusewb_policy_negotiated(struct fusewb_conn *conn)
{
	mutex_lock(&conn->policy_lock);
	conn->negotiated = true;
	derive(conn);
	mutex_unlock(&conn->policy_lock);
}

/* Only what was given: somebody may have used the bdi's own files for the rest. */
static int limit_dirty(struct backing_dev_info *bdi, const struct fusewb_policy *policy,
		       unsigned long given)
{
	if (given & BIT(FUSEWB_A_POLICY_MAX_DIRTY_RATIO)) {
		int err = bdi_set_max_ratio(bdi, policy->max_dirty_ratio);

		if (err)
			return err;
	}
	if (given & BIT(FUSEWB_A_POLICY_STRICT_LIMIT))
		set_mask_bits(&bdi->capabilities, BDI_CAP_STRICTLIMIT,
			      policy->strict_limit ? BDI_CAP_STRICTLIMIT : 0);
	return 0;
}

int fusewb_policy_limit_dirty(struct fusewb_conn *conn)
{
	int err;

	mutex_lock(&conn->policy_lock);
	err = limit_dirty(conn->bdi, &conn->policy, ~0UL);
	mutex_unlock(&conn->policy_lock);
	return err;
}

int fusewb_policy_set(struct fusewb_conn *conn, const struct fusewb_policy_change *change)
{
	struct fusewb_policy old, new;
	int err;

	mutex_lock(&conn->policy_lock);
	old = conn->policy;
	new = old;
	apply(&new, change);
	err = limit_dirty(conn->bdi, &new, change->given);
	if (!err) {
		apply(&conn->policy, change);
		if (conn->negotiated)
			derive(conn);
		fusewb_deadlines_changed(conn, &old);
	}
	mutex_unlock(&conn->policy_lock);
	return err;
}
