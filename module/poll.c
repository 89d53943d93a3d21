// SPDX-License-Identifier: GPL-2.0-only
/*
 * poll(2): the server says what is ready, and tells when that changes.
 *
 * Whoever polls waits in the handle's own queue; the server knows the handle by
 * a number, which it returns in its notification. A handle is in the
 * connection's table from its first poll to its end.
 */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/xarray.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "poll.h"
#include "request.h"

static int enter(struct fusewb_conn *conn, struct fusewb_handle *h)
{
	u32 number;
	int err;

	if (READ_ONCE(h->polled))
		return 0;
	err = xa_alloc_cyclic(&conn->polled, &number, h, xa_limit_31b, &conn->next_polled,
			      GFP_KERNEL);
	if (err < 0)
		return err;
	/* Another one that polls was first. */
	if (cmpxchg(&h->polled, 0, number))
		xa_erase(&conn->polled, number);
	return 0;
}

__poll_t fusewb_poll(struct file *file, poll_table *wait)
{
	struct inode *inode = file_inode(file);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct fuse_poll_in in = {
		.fh = h->fh,
		.events = mangle_poll(poll_requested_events(wait)),
	};
	struct fuse_poll_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_POLL,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	int err;

	if (fusewb_conn_nosys(conn, FUSE_POLL))
		return DEFAULT_POLLMASK;
	if (enter(conn, h))
		return EPOLLERR;
	poll_wait(file, &h->poll_wait, wait);
	in.kh = h->polled;
	/* Only then a notification would find somebody. */
	if (waitqueue_active(&h->poll_wait))
		in.flags |= FUSE_POLL_SCHEDULE_NOTIFY;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_POLL);
		return DEFAULT_POLLMASK;
	}
	return err ? EPOLLERR : demangle_poll(out.revents);
}

void fusewb_poll_wake(struct fusewb_conn *conn, u64 kh)
{
	struct fusewb_handle *h;

	if (kh > U32_MAX)
		return;
	xa_lock(&conn->polled);
	h = xa_load(&conn->polled, kh);
	if (h)
		wake_up_interruptible_sync(&h->poll_wait);
	xa_unlock(&conn->polled);
}

void fusewb_poll_wake_all(struct fusewb_conn *conn)
{
	struct fusewb_handle *h;
	unsigned long number;

	xa_lock(&conn->polled);
	xa_for_each(&conn->polled, number, h)
		wake_up_interruptible_all(&h->poll_wait);
	xa_unlock(&conn->polled);
}

void fusewb_poll_forget(struct fusewb_conn *conn, struct fusewb_handle *h)
{
	if (h->polled)
		xa_erase(&conn->polled, h->polled);
}
