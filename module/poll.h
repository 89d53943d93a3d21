/* SPDX-License-Identifier: GPL-2.0-only */
/* poll(2) on files of the server: poll.c. */
#ifndef FUSEWB_POLL_H
#define FUSEWB_POLL_H

#include <linux/poll.h>
#include <linux/types.h>

struct fusewb_conn;
struct fusewb_handle;

/** fusewb_poll() - file operation. */
__poll_t fusewb_poll(struct file *file, poll_table *wait);

/** fusewb_poll_wake() - the server says that something happened to a file.
 * @kh: as it was told by POLL; unknown ones are ignored
 */
void fusewb_poll_wake(struct fusewb_conn *conn, u64 kh);

/** fusewb_poll_wake_all() - there is no server any more: all poll again. */
void fusewb_poll_wake_all(struct fusewb_conn *conn);

/** fusewb_poll_forget() - the handle goes away, nobody polls it any more. */
void fusewb_poll_forget(struct fusewb_conn *conn, struct fusewb_handle *h);

#endif
