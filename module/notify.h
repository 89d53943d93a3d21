/* SPDX-License-Identifier: GPL-2.0-only */
/* What the server says without being asked: notify.c. */
#ifndef FUSEWB_NOTIFY_H
#define FUSEWB_NOTIFY_H

#include <linux/types.h>

struct fusewb_conn;
struct iov_iter;

/**
 * fusewb_notify() - carry a notification out
 * @code: FUSE_NOTIFY_*, from the place where an answer has its error
 * @from: exactly what follows the header
 *
 * In the server's thread. It never waits for a lock that a request holds, but
 * for those of folios being read, killably. Return: 0; -EINVAL if it is
 * malformed or unknown, -ENOENT if what it is about is not cached, -EBUSY,
 * -ENOTEMPTY, -EINTR, -EFAULT, -ENOMEM.
 */
int fusewb_notify(struct fusewb_conn *conn, int code, struct iov_iter *from);

#endif
