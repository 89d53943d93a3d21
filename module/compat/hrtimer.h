/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/hrtimer.h>. */
#ifndef FUSEWB_COMPAT_HRTIMER_H
#define FUSEWB_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>

#ifndef HAVE_HRTIMER_SETUP
static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*function)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = function;
}
#endif

#endif
