/* SPDX-License-Identifier: GPL-2.0-only */
/* Writers at the dirty limit: throttle.c. */
#ifndef FUSEWB_THROTTLE_H
#define FUSEWB_THROTTLE_H

#include <linux/fs.h>

/**
 * fusewb_throttle() - after something of a mapping was made dirty
 *
 * As balance_dirty_pages_ratelimited(), but freezable as well as killable. May
 * not return before the server has answered. Return: 0 or -EINTR.
 */
int fusewb_throttle(struct address_space *mapping);

#endif
