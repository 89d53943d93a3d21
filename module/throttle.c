// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writers at the dirty limit.
 *
 * The core decides who has dirtied too much and how long he has to wait, and
 * waits so that a kill ends it but suspend fails. So it is only asked, and the
 * waiting is done here.
 *
 * Asked that way, the core keeps to itself for how long: it says no until the
 * time is over. But it would forgive a writer after a while, who then owes
 * nothing, unless nothing at all may be dirtied, which is the end that a server
 * that hangs comes to. Here a writer is forgiven by taking his last pause to be
 * long ago.
 */
#include <linux/backing-dev.h>
#include <linux/sched.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "throttle.h"
#include "waits.h"

/* The longest pause that the core itself makes, and what it forgets. */
#define LONGEST (HZ / 5)
#define LONG_AGO (3600UL * HZ)

static unsigned long dirty(struct bdi_writeback *wb)
{
	return wb_stat_sum(wb, WB_RECLAIMABLE) + wb_stat_sum(wb, WB_WRITEBACK);
}

/* Jiffies: he shall be back before what is dirty is written. */
static unsigned long longest_pause(struct bdi_writeback *wb)
{
	unsigned long a_jiffy = READ_ONCE(wb->avg_write_bandwidth) / HZ + 1;

	return clamp(dirty(wb) / a_jiffy / 8, 1UL, (unsigned long)LONGEST);
}

/* The last pause was so long ago that only a full stop holds the writer. */
static void forgive(void)
{
	current->dirty_paused_when = jiffies - LONG_AGO;
}

static int wait(struct address_space *mapping)
{
	struct bdi_writeback *wb = &inode_to_bdi(mapping->host)->wb;
	unsigned long since = jiffies, longest = longest_pause(wb), delay = 1;
	int err;

	/* A new task has never paused: it would wait for ever. */
	if (!current->dirty_paused_when)
		current->dirty_paused_when = jiffies;
	do {
		unsigned long waited;

		err = fusewb_pause(delay);
		if (err)
			return err;
		waited = jiffies - since;
		if (waited >= longest) {
			forgive();
			/* Others have the memory: some may be dirty here even so. */
			if (waited >= LONGEST && dirty(wb) <= wb_stat_error()) {
				current->nr_dirtied = 0;
				break;
			}
		}
		delay = waited < longest ? min(2 * delay, longest - waited) : LONGEST / 2;
	} while (balance_dirty_pages_ratelimited_flags(mapping, BDP_ASYNC) == -EAGAIN);
	return 0;
}

int fusewb_throttle(struct address_space *mapping)
{
	if (balance_dirty_pages_ratelimited_flags(mapping, BDP_ASYNC) != -EAGAIN)
		return 0;
	return wait(mapping);
}
