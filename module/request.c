// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: queueing, waiting, leaving, ending. request.h says who owns what.
 */
#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "deadline.h"
#include "inode.h"
#include "queue.h"
#include "request.h"
#include "trace.h"
#include "waits.h"

/* Start the clock and queue. On error the request was not queued. */
static int submit(struct fusewb_req *req)
{
	struct fusewb_counters *counters = &req->conn->counters;
	int err;

	req->in.len = sizeof(req->in) + req->in_args_len +
		      (req->payload_in ? req->payload_len : 0);
	atomic64_inc(&counters->requests);
	atomic64_inc(&counters->waiting);
	req->queued_at = ktime_get();
	err = fusewb_queue_add(req->conn, req);
	if (err)
		atomic64_dec(&counters->waiting);
	return err;
}

void fusewb_req_queue(struct fusewb_req *req)
{
	int err;

	req->background = true;
	err = submit(req);
	if (!err)
		return;
	req->error = err;
	atomic_set(&req->fate, FUSEWB_FATE_ENDED);
	WRITE_ONCE(req->state, FUSEWB_REQ_DONE);
	if (req->end)
		req->end(req, err);
	fusewb_req_put(req);
}

static void forget_after_release(struct fusewb_req *req, int error)
{
	fusewb_req_queue_forget(req->conn, req->in.nodeid, 1);
}

static void release_orphan(struct fusewb_req *req, u64 nodeid,
			   const struct fuse_open_out *open, bool forget)
{
	struct fuse_release_in in = { .fh = open->fh };
	struct fusewb_args args = {
		.opcode = req->in.opcode == FUSE_OPENDIR ? FUSE_RELEASEDIR : FUSE_RELEASE,
		.nodeid = nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.nocreds = true,
	};
	struct fusewb_req *release;

	release = fusewb_req_alloc(req->conn, &args, 0, GFP_NOFS | __GFP_NOFAIL);
	if (forget)
		release->end = forget_after_release;
	fusewb_req_queue(release);
}

static void check_orphan(struct fusewb_req *req, const struct fuse_entry_out *entry)
{
	if (!fusewb_entry_valid(entry))
		fusewb_bad_answer(req->conn, req->in.opcode, FUSEWB_BAD_INODE);
}

/* Nobody took the answer: give back what it brought. */
static void orphaned(struct fusewb_req *req)
{
	const struct fuse_entry_out *entry = req->out_args;

	switch (req->in.opcode) {
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		release_orphan(req, req->in.nodeid, req->out_args, false);
		break;
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		check_orphan(req, entry);
		if (entry->nodeid)
			release_orphan(req, entry->nodeid, req->out_args + sizeof(*entry),
				       true);
		break;
	case FUSE_LOOKUP:
		if (!entry->nodeid)
			break;
		fallthrough;
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		check_orphan(req, entry);
		fusewb_req_queue_forget(req->conn, entry->nodeid, 1);
		break;
	}
}

/*
 * The server dealt with what nobody waits for any more: what others asked for
 * since the waiter left may be of before, however long it is valid, and which
 * names and inodes that would be is not known here. An error does not say that
 * nothing was done: it may have been interrupted, or have failed half-way.
 */
static void changed_late(struct fusewb_req *req)
{
	switch (req->in.opcode) {
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
		atomic_long_inc(&req->conn->epoch);
		fallthrough;
	case FUSE_SETATTR:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_FALLOCATE:
	case FUSE_IOCTL:
		fusewb_conn_doubt_attr(req->conn);
		break;
	}
}

void fusewb_req_end(struct fusewb_req *req, int error)
{
	struct fusewb_conn *conn = req->conn;
	int fate;

	fusewb_deadline_stop(req);
	if (req->background)
		fusewb_queue_background_done(conn);

	trace_fusewb_answer(req, error);
	req->error = error;
	WRITE_ONCE(req->state, FUSEWB_REQ_DONE);
	/* Orders the answer before it, for whoever sees the fate. */
	fate = atomic_cmpxchg(&req->fate, FUSEWB_FATE_OPEN, FUSEWB_FATE_ENDED);
	if (fate == FUSEWB_FATE_ABANDONED)
		atomic_set(&req->fate, FUSEWB_FATE_ORPHANED);
	/* The state before the flag; who interrupts it does the opposite. */
	smp_mb();
	if (test_bit(FUSEWB_REQ_F_INTERRUPTED, &req->flags))
		fusewb_queue_forget_interrupt(req);

	if (fate == FUSEWB_FATE_ABANDONED) {
		if (!error)
			orphaned(req);
		if (req->orphan)
			req->orphan(req);
		else if (!req->background)
			changed_late(req);
	} else if (req->end) {
		req->end(req, error);
	} else {
		wake_up(&req->wait);
	}
	/* Not before: an unmount takes zero for no inode held by a request. */
	atomic64_dec(&conn->counters.waiting);
	fusewb_req_put(req);
}

/* The end came, or the deadline without it. */
static bool decided(struct fusewb_req *req)
{
	return atomic_read_acquire(&req->fate) != FUSEWB_FATE_OPEN;
}

/* The waiter goes, the server keeps the request. */
static void abandon(struct fusewb_req *req)
{
	req->left = true;
	fusewb_req_drop_payload(req);
}

static int outcome(struct fusewb_req *req)
{
	if (atomic_read(&req->fate) == FUSEWB_FATE_ENDED)
		return req->error;
	abandon(req);
	return -ETIMEDOUT;
}

/* The waiter was killed. Return: -EINTR, or what was decided just before. */
static int leave(struct fusewb_req *req)
{
	if (fusewb_queue_recall(req)) {
		fusewb_deadline_stop(req);
		atomic64_dec(&req->conn->counters.waiting);
		fusewb_req_put(req);
		return -EINTR;
	}
	if (atomic_cmpxchg(&req->fate, FUSEWB_FATE_OPEN, FUSEWB_FATE_ABANDONED) !=
	    FUSEWB_FATE_OPEN)
		return outcome(req);
	abandon(req);
	return -EINTR;
}

void fusewb_req_interrupt(struct fusewb_req *req)
{
	if (fusewb_conn_nosys(req->conn, FUSE_INTERRUPT))
		return;
	set_bit(FUSEWB_REQ_F_INTERRUPTED, &req->flags);
	/* Pairs with the hand-over, which marks SENT, then looks here. */
	smp_mb__after_atomic();
	if (test_bit(FUSEWB_REQ_F_SENT, &req->flags))
		fusewb_queue_interrupt(req);
}

void fusewb_req_give_up(struct fusewb_req *req, int error)
{
	if (fusewb_queue_recall(req)) {
		fusewb_req_end(req, error);
		return;
	}
	if (atomic_cmpxchg(&req->fate, FUSEWB_FATE_OPEN, FUSEWB_FATE_ABANDONED) !=
	    FUSEWB_FATE_OPEN)
		return;
	fusewb_req_interrupt(req);
	if (!req->background) {
		wake_up(&req->wait);
		return;
	}
	/* An answer that is being copied finds the fate, or is waited for. */
	mutex_lock(&req->copying);
	mutex_unlock(&req->copying);
	req->left = true;
	if (req->end)
		req->end(req, error);
	fusewb_req_drop_payload(req);
}

static int wait_for_answer(struct fusewb_req *req)
{
	if (!wait_event_state(req->wait, decided(req), FUSEWB_INTERRUPTIBLE))
		return outcome(req);

	/* The server decides what a signal means for a request that it has. */
	fusewb_req_interrupt(req);
	if (!wait_event_state(req->wait, decided(req), FUSEWB_KILLABLE))
		return outcome(req);
	return leave(req);
}

int fusewb_req_call(struct fusewb_req *req)
{
	int err;

	err = fusewb_conn_wait_ready(req->conn);
	if (err)
		return err;
	fusewb_req_get(req);
	err = submit(req);
	if (err) {
		fusewb_req_put(req);
		return err;
	}
	err = wait_for_answer(req);
	trace_fusewb_wait(req->conn->id, req->in.nodeid, FUSEWB_WAIT_ANSWER, req->queued_at, err);
	return err;
}

int fusewb_call(struct fusewb_conn *conn, struct fusewb_args *args)
{
	struct fusewb_req *req = fusewb_req_alloc(conn, args, 0, GFP_KERNEL);
	unsigned int i;
	size_t left;
	u8 *p;
	int err;

	if (!req)
		return -ENOMEM;
	err = fusewb_req_call(req);
	if (!err) {
		p = req->out_args;
		left = req->out_args_len;
		args->out_total = left;
		for (i = 0; i < args->nr_out; i++) {
			size_t n = min_t(size_t, left, args->out[i].len);

			memcpy(args->out[i].data, p, n);
			args->out_len = n;
			p += n;
			left -= n;
		}
	}
	fusewb_req_put(req);
	return err;
}
