/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request: one FUSE message to the server and its answer.
 *
 * A request owns everything that it points to: its arguments are copied into
 * it, its answer is received into it, the folios of its payload are held by
 * reference. Whoever waits can therefore leave at any time (a fatal signal, a
 * deadline, an abort) and an answer that comes late finds memory that is
 * still the request's own. What an abandoned answer had created on the server
 * (a lookup count, an open handle) is given back by fusewb_req_orphaned().
 *
 * The queue lock of the connection guards the step from and to QUEUED, the lock
 * of the device that it was handed to the steps from and to SENT.
 */
#ifndef FUSEWB_REQUEST_H
#define FUSEWB_REQUEST_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/fuse.h>

#include "inflight.h"

struct fusewb_conn;
struct fusewb_handle;
struct inode;

#define FUSEWB_MAX_ARGS 4

/* Room for the fixed arguments and the answer of most operations. */
#define FUSEWB_INLINE_ARGS 256

enum fusewb_req_flag {
	FUSEWB_REQ_F_SENT,		/* handed over once: an INTERRUPT helps */
	FUSEWB_REQ_F_INTERRUPTED,	/* an INTERRUPT is due or was sent */
	FUSEWB_REQ_F_LATE,		/* its deadline has been reported */
};

enum fusewb_req_fate {
	FUSEWB_FATE_OPEN,
	FUSEWB_FATE_ENDED,		/* answer or error are final */
	FUSEWB_FATE_ABANDONED,		/* the waiter left or the deadline
					 * passed; the server has it
					 */
	FUSEWB_FATE_ORPHANED,		/* and the end came after all */
};

enum fusewb_req_state {
	FUSEWB_REQ_NEW,		/* being built, nobody else knows it */
	FUSEWB_REQ_QUEUED,	/* on pending or background */
	FUSEWB_REQ_COPYING,	/* a server thread copies it out */
	FUSEWB_REQ_SENT,	/* handed over, the answer is awaited */
	FUSEWB_REQ_ANSWERING,	/* a server thread copies the answer in */
	FUSEWB_REQ_DONE,	/* error and answer are final */
};

/**
 * struct fusewb_span - bytes of one folio
 * @folio: the request holds a reference on it
 * @off: first byte within the folio
 * @len: bytes, all within the folio
 * @reserved: the folio is a page of the connection's reserve
 */
struct fusewb_span {
	struct folio *folio;
	u32 off;
	u32 len;
	bool reserved;
};

/**
 * struct fusewb_io - what a READ or WRITE of file data, or a lock, keeps until its end
 * @range: WRITE: the bytes that are reserved
 * @inode: pinned, see fusewb_put_inode_later()
 * @handle: a reference
 * @nr_pages: WRITE: what it is charged with as WB_WRITEBACK
 * @copied: WRITE: the payload is a private copy, and kept until the answer
 * @recalled: WRITE of writeback: it ends because its bytes are dirty again
 * @retry_since: WRITE of writeback: jiffies of the first answer that asked to
 *	try again, 0: there was none
 * @backoff: jiffies, how long it waited after the last such answer
 * @version: READ ahead: as fusewb_attr_version(), before it was sent
 * @asking: SETLK: its waiter counts, see lock.c; by the inode's lock
 *
 * It is a part of the request, for writeback must not need more memory.
 */
struct fusewb_io {
	struct fusewb_range range;
	struct inode *inode;
	struct fusewb_handle *handle;
	long nr_pages;
	bool copied;
	bool recalled;
	unsigned long retry_since;
	unsigned long backoff;
	u64 version;
	bool asking;
};

struct fusewb_req {
	struct kref ref;
	struct list_head link;		/* a queue, or a device's hash */
	struct list_head interrupt_link;
	unsigned long due;		/* queue.later: jiffies */
	struct fusewb_conn *conn;	/* a reference */
	enum fusewb_req_state state;
	bool background;		/* nobody waits: conn->queue.background */
	bool quiet;			/* fusewb_queue_wake() follows */
	bool no_answer;			/* NOTIFY_REPLY: done when it was read,
					 * and in.unique is the server's
					 */
	bool spans_reserved;		/* spans go to the reserve */
	bool left;			/* the waiter's own: it left, the server
					 * has the request and @orphan follows
					 */
	unsigned long flags;		/* enum fusewb_req_flag, atomic */

	/*
	 * Who finishes it: the end, the deadline, or the waiter that leaves,
	 * whichever is first to change this from FUSEWB_FATE_OPEN.
	 */
	atomic_t fate;
	int error;			/* 0 or negative, once ENDED */

	/* The part that is copied to and from user space. */
	struct fuse_in_header in;
	struct fuse_out_header out;
	u8 inline_args[FUSEWB_INLINE_ARGS];

	/* Arguments, one after another: inline_args or memory of their own. */
	void *in_args;
	u32 in_args_len;
	void *out_args;			/* received here */
	u32 out_args_size;		/* bytes there is room for */
	u32 out_args_len;		/* bytes received; fixed part only */
	bool out_var;			/* the answer may be shorter */

	/*
	 * Payload: sent after the arguments of a WRITE, or received after
	 * the out arguments (READ, READDIR, READLINK).
	 */
	struct fusewb_span *spans;
	unsigned int nr_spans;
	unsigned int max_spans;
	u32 payload_len;		/* bytes, sum of the spans */
	u32 payload_received;		/* bytes, answer */
	bool payload_in;		/* true: server reads it (WRITE) */

	/*
	 * Held while the payload is being copied, by the server's thread, with
	 * page faults off; whoever takes the folios away takes it first. So
	 * it is never held for longer than one copy.
	 */
	struct mutex copying;

	wait_queue_head_t wait;

	u64 serial;			/* in the order of queueing */
	bool watched;			/* deadline.c knows it; by the lock of
					 * the list that the request is on
					 */
	/* deadline.c, by conn->deadlines.lock */
	struct list_head unanswered;
	struct list_head late;
	ktime_t queued_at;		/* when it was made, rather */

	/* Who asked; NULL: the kernel itself. */
	struct pid *pid;
	kuid_t uid;

	/**
	 * @end: runs once, in process context, without locks, when the request
	 * is DONE: answered (@error as the server said) or given up
	 * (-ENOTCONN: aborted, -EIO: malformed answer, -ETIMEDOUT: past its
	 * deadline; the server may answer it yet). The payload of a
	 * WRITE may be gone by then: see fusewb_req_keeps_payload().
	 * NULL for a request with a waiter.
	 */
	void (*end)(struct fusewb_req *req, int error);

	/**
	 * @again: asked before, in the server's thread, about an answer with
	 * the error @error. Return: 0 if the request was queued once more, and
	 * is no longer the caller's, or the error that it ends with: @error, or
	 * -ENOTCONN if an abort came between. NULL: never.
	 */
	int (*again)(struct fusewb_req *req, int error);
	void *private;			/* for @end */
	struct fusewb_io io;		/* for READ and WRITE */

	/**
	 * @orphan: runs instead, once, when the waiter left (@left is set, so
	 * not if the request could be recalled) and the end came after all, with
	 * @error as the waiter would have seen it: to give back what the answer
	 * brought and the request kept. Its payload is gone. What LOOKUP, OPEN,
	 * CREATE and their like bring, the request layer gives back before;
	 * without @orphan it also sees to it that names and attributes that it
	 * may have changed are asked for again.
	 */
	void (*orphan)(struct fusewb_req *req);

	/**
	 * @expire: runs instead of ending the request, when its deadline has
	 * passed and the policy says that it fails: for one that cannot end
	 * before the answer, to tell whoever waits, or that can be recalled in
	 * its own way. Process context, no locks, may end the request; must not
	 * wait for a server. @end waits until this has returned. NULL: the
	 * request ends with -ETIMEDOUT and is abandoned.
	 */
	void (*expire)(struct fusewb_req *req);
};

/**
 * struct fusewb_args - what fusewb_call() sends and receives
 *
 * Zero-initialise, then set. The memory behind @in and @out is the caller's
 * and is only touched by the caller's own task.
 */
struct fusewb_args {
	u32 opcode;
	u64 nodeid;
	struct {
		const void *data;
		u32 len;
	} in[FUSEWB_MAX_ARGS];
	unsigned int nr_in;
	void *ext;		/* behind them: extension.h */
	u32 ext_len;		/* a multiple of 8 */
	struct {
		void *data;
		u32 len;
	} out[2];
	unsigned int nr_out;
	bool out_var;		/* the last out may be shorter: see @out_len */
	u32 out_len;		/* bytes received in the last out */
	u32 out_total;		/* bytes received in all of them */
	bool nocreds;		/* uid, gid, pid 0: the kernel itself asks */
};

/**
 * fusewb_call() - send a request and wait for the answer
 *
 * The wait is killable and freezable. A signal that does not kill sends an
 * INTERRUPT to the server and waits on, for the server decides; a fatal one
 * leaves the request behind.
 *
 * In a task that exits (PF_EXITING) nobody could end the wait: such callers
 * use a background request.
 *
 * Return: 0, an error of the server (-EPERM...), -ENOTCONN (aborted), -EINTR
 * (killed), -ETIMEDOUT (past its deadline), -ENOMEM, -EIO (malformed answer).
 * May sleep; no spinlocks, no folio lock unless the VFS demands it.
 */
int fusewb_call(struct fusewb_conn *conn, struct fusewb_args *args);

/** fusewb_left() - does this error leave open whether the server did it? */
static inline bool fusewb_left(int error)
{
	return error == -EINTR || error == -ETIMEDOUT;
}

/**
 * fusewb_req_alloc() - a request with arguments copied into it
 * @gfp: GFP_KERNEL or GFP_NOFS; from writeback GFP_NOFS, which never fails
 *	since it falls back to a reserve (see fusewb_req_alloc_writeback())
 * @args: as for fusewb_call(); @args->out[].len says how much room the answer
 *	needs, @args->out[].data is ignored
 * @max_spans: room for that many spans of payload
 *
 * Return: the request with one reference, or NULL.
 */
struct fusewb_req *fusewb_req_alloc(struct fusewb_conn *conn,
				    const struct fusewb_args *args,
				    unsigned int max_spans, gfp_t gfp);

/**
 * fusewb_req_alloc_writeback() - the same for writeback, from a reserve
 *
 * It has room for FUSEWB_WRITEBACK_SPANS spans. Never waits for a server: what
 * the reserve of the connection gave comes back when its WRITEs have ended, which
 * may be never. So those who must not wait leave their folios dirty then, and the
 * others use fusewb_req_wait_reserve().
 * Return: the request with one reference, NULL if memory and reserve are used
 * up.
 */
struct fusewb_req *fusewb_req_alloc_writeback(struct fusewb_conn *conn,
					      const struct fusewb_args *args);
#define FUSEWB_WRITEBACK_SPANS 256u

struct fusewb_req *fusewb_req_get(struct fusewb_req *req);

/** fusewb_req_put() - drop a reference; the last one drops the folios too. */
void fusewb_req_put(struct fusewb_req *req);

/**
 * fusewb_req_add_span() - append bytes of a folio to the payload
 *
 * Takes a reference on @folio. Only in state NEW, while nr_spans < max_spans.
 */
void fusewb_req_add_span(struct fusewb_req *req, struct folio *folio,
			 size_t off, size_t len);

/**
 * fusewb_req_more_spans() - room for @len bytes of payload in pages
 *
 * The spans that there are stay. Return: false if there is no memory, then
 * nothing has changed. Does not wait for a server.
 */
bool fusewb_req_more_spans(struct fusewb_req *req, size_t len);

/**
 * fusewb_req_alloc_payload() - append fresh pages for @len bytes
 *
 * Private memory for direct I/O and copies; the request is their only owner.
 * Return: 0 or -ENOMEM.
 */
int fusewb_req_alloc_payload(struct fusewb_req *req, size_t len, gfp_t gfp);

/**
 * fusewb_req_alloc_copy() - the same for a copy that writeback makes
 *
 * From the reserve of the connection if need be. Return: false if there is no
 * memory; then nothing was added.
 */
bool fusewb_req_alloc_copy(struct fusewb_req *req, size_t len);

/** fusewb_req_trim() - take back the spans from @nr on. Only in state NEW. */
void fusewb_req_trim(struct fusewb_req *req, unsigned int nr);

/**
 * fusewb_req_wait_reserve() - until a request of the connection was freed, or
 * a moment has passed in which others may have freed memory
 *
 * Without a folio lock, and with nothing gathered that is not queued. Killable
 * and freezable. Return: 0 or -EINTR.
 */
int fusewb_req_wait_reserve(struct fusewb_conn *conn);

/**
 * fusewb_req_set_creds() - stamp uid, gid and pid of the current task
 *
 * Ids that do not map into the server's namespace become the overflow ids.
 */
void fusewb_req_set_creds(struct fusewb_req *req);

/**
 * fusewb_req_queue() - hand a request to the queue, nobody waits here
 *
 * @req->end is called at the end, at once with -ENOTCONN when the connection
 * is aborted. The caller's reference passes to the queue; to look at the
 * request afterwards take another one before.
 */
void fusewb_req_queue(struct fusewb_req *req);

/**
 * fusewb_req_call() - queue a request that the caller built and wait for it
 *
 * For requests with a payload (READ, WRITE, READDIR). The caller keeps its
 * reference and reads out_args, out_args_len and payload_received afterwards.
 * Waits and errors as fusewb_call(). After -EINTR and -ETIMEDOUT the payload's
 * folios are no longer touched by anybody.
 */
int fusewb_req_call(struct fusewb_req *req);

/** fusewb_req_queue_forget() - tell the server, some time, never fails
 * @nodeid: nothing is sent for none (0) and the root, which are never counted
 * @nlookup: lookups to give back, > 0
 */
void fusewb_req_queue_forget(struct fusewb_conn *conn, u64 nodeid, u64 nlookup);

/* Called by the device and by abort, not by those who make requests. */

/** fusewb_req_end() - finish: run @end or wake the waiter; drops the queue's
 * reference. @error: 0 or negative.
 */
void fusewb_req_end(struct fusewb_req *req, int error);

/**
 * fusewb_req_give_up() - end it without the server
 * @error: for @end; one with a waiter ends with -ETIMEDOUT
 *
 * The caller has a reference, and it was queued. One that was not handed over ends,
 * others are left to the server (@left), which is told. Nothing if it has ended.
 */
void fusewb_req_give_up(struct fusewb_req *req, int error);

/** fusewb_req_interrupt() - tell the server that nobody waits any more. */
void fusewb_req_interrupt(struct fusewb_req *req);

/**
 * fusewb_req_keeps_payload() - does the payload stay until the answer?
 *
 * So that it can be sent again: to a server that may ask for it (resend), or
 * where it is a copy that costs nobody else anything. All others give their
 * folios back at the hand-over.
 */
bool fusewb_req_keeps_payload(const struct fusewb_req *req);

/** fusewb_req_drop_payload() - give the folios back; waits for a copy that is
 * under way, which is short (see @copying).
 */
void fusewb_req_drop_payload(struct fusewb_req *req);

/** fusewb_req_reserve_init() - the reserve of a connection. 0 or -ENOMEM. */
int fusewb_req_reserve_init(struct fusewb_conn *conn);
void fusewb_req_reserve_exit(struct fusewb_conn *conn);

int fusewb_req_init_caches(void);
void fusewb_req_destroy_caches(void);

#endif
