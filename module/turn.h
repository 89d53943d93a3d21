/* SPDX-License-Identifier: GPL-2.0-only */
/* A turn at a server that takes one request of a kind at a time. */
#ifndef FUSEWB_TURN_H
#define FUSEWB_TURN_H

#include <linux/types.h>
#include <linux/wait.h>

struct fusewb_turn {
	unsigned long taken;		/* bit 0 */
	wait_queue_head_t wait;		/* until it is not */
};

void fusewb_turn_init(struct fusewb_turn *turn);

/** fusewb_turn_try() - take it now. Return: whether that was possible. */
bool fusewb_turn_try(struct fusewb_turn *turn);

/**
 * fusewb_turn_take() - take it, sooner or later
 *
 * Killable and freezable, in no order. Return: 0 or -EINTR.
 */
int fusewb_turn_take(struct fusewb_turn *turn);

/** fusewb_turn_wait() - until nobody has it, without taking it. As the former. */
int fusewb_turn_wait(struct fusewb_turn *turn);

/** fusewb_turn_end() - whoever has it may be another task than the one that took it. */
void fusewb_turn_end(struct fusewb_turn *turn);

static inline bool fusewb_turn_taken(const struct fusewb_turn *turn)
{
	return test_bit(0, &turn->taken);
}

#endif
