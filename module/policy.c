// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policy: the defaults.
 *
 * Without anybody who sets a policy the defaults are safe and fast: an opener
 * of the device who could harm the system anyway gets direct writeback, all
 * others get copies, and no deadline ends anything.
 */
#include <linux/mutex.h>

#include "policy.h"

#define RETRY_MS 5000

/* Guards the defaults, so that nobody sees one that is half set. */
static DEFINE_MUTEX(defaults_lock);

static struct fusewb_policy privileged_default = {
	.writeback = FUSEWB_WRITEBACK_DIRECT,
	.action = FUSEWB_ACTION_REPORT,
	.retry_ms = RETRY_MS,
	.max_dirty_ratio = 1,
	.strict_limit = true,
	.splice_folios = true,
};

static struct fusewb_policy others_default = {
	.writeback = FUSEWB_WRITEBACK_COPY,
	.action = FUSEWB_ACTION_REPORT,
	.retry_ms = RETRY_MS,
	.max_dirty_ratio = 1,
	.strict_limit = true,
};

void fusewb_policy_default(bool privileged, struct fusewb_policy *policy)
{
	mutex_lock(&defaults_lock);
	*policy = privileged ? privileged_default : others_default;
	mutex_unlock(&defaults_lock);
}
