// SPDX-License-Identifier: GPL-2.0-only
/* A wait for nothing but time. */
#include <linux/errno.h>
#include <linux/sched/signal.h>

#include "compat/compat.h"
#include "waits.h"

int fusewb_pause(long delay)
{
	__set_current_state(FUSEWB_KILLABLE);
	schedule_timeout(delay);
	return fatal_signal_pending(current) ? -EINTR : 0;
}
