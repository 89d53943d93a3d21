// SPDX-License-Identifier: GPL-2.0-only
/*
 * hrtimer_setup() takes the callback; before 6.13 hrtimer_init() left it to
 * the caller. 908a1d775422 ("hrtimers: Introduce hrtimer_setup() to replace
 * hrtimer_init()")
 */
#include <linux/hrtimer.h>

void probe(struct hrtimer *timer, enum hrtimer_restart (*f)(struct hrtimer *));
void probe(struct hrtimer *timer, enum hrtimer_restart (*f)(struct hrtimer *))
{
	hrtimer_setup(timer, f, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
}
