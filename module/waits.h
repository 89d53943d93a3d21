/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How this module waits for a server: the states for wait_event_state() and
 * wait_for_completion_state().
 *
 * A server may never answer, so every wait can be ended by SIGKILL and none
 * keeps the freezer, and with it suspend, from its work. Inode locks are held
 * over most of them, which lockdep wants to be told.
 */
#ifndef FUSEWB_WAITS_H
#define FUSEWB_WAITS_H

#include <linux/sched.h>
#include <linux/wait.h>

#define FUSEWB_KILLABLE		(TASK_KILLABLE | TASK_FREEZABLE_UNSAFE)
#define FUSEWB_INTERRUPTIBLE	(TASK_INTERRUPTIBLE | TASK_FREEZABLE_UNSAFE)

/** fusewb_pause() - @delay jiffies. Return: 0, or -EINTR if killed. */
int fusewb_pause(long delay);

#endif
