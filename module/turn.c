// SPDX-License-Identifier: GPL-2.0-only
/* Turns: a bit that is waited for as one waits for a server. */
#include <linux/bitops.h>
#include <linux/wait.h>

#include "compat/compat.h"
#include "turn.h"
#include "waits.h"

void fusewb_turn_init(struct fusewb_turn *turn)
{
	turn->taken = 0;
	init_waitqueue_head(&turn->wait);
}

bool fusewb_turn_try(struct fusewb_turn *turn)
{
	return !test_and_set_bit_lock(0, &turn->taken);
}

int fusewb_turn_take(struct fusewb_turn *turn)
{
	return wait_event_state(turn->wait, fusewb_turn_try(turn), FUSEWB_KILLABLE) ? -EINTR : 0;
}

int fusewb_turn_wait(struct fusewb_turn *turn)
{
	return wait_event_state(turn->wait, !fusewb_turn_taken(turn), FUSEWB_KILLABLE) ?
	       -EINTR : 0;
}

void fusewb_turn_end(struct fusewb_turn *turn)
{
	clear_bit_unlock(0, &turn->taken);
	/* Orders the bit before the look at who waits. */
	smp_mb__after_atomic();
	wake_up(&turn->wait);
}
