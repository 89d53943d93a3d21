/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/writeback.h> and <linux/backing-dev.h>. */
#ifndef FUSEWB_COMPAT_WRITEBACK_H
#define FUSEWB_COMPAT_WRITEBACK_H

#include <linux/backing-dev.h>

#ifndef HAVE_WB_WRITEOUT_INC
/* Bandwidth is estimated from it; the share of the dirty limit is not. */
static inline void wb_writeout_inc(struct bdi_writeback *wb)
{
	wb_stat_mod(wb, WB_WRITTEN, 1);
}
#endif

#endif
