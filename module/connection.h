/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A connection: one mounted file system and the server behind it.
 *
 * It is created by the first mount on a device descriptor and lives until the
 * super block, every descriptor, every request and every open handle have
 * dropped their reference. What INIT negotiated is written once, before the
 * state turns FUSEWB_CONN_READY, and only read from then on.
 */
#ifndef FUSEWB_CONNECTION_H
#define FUSEWB_CONNECTION_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/fuse.h>
#include <linux/fusewb.h>

#include "deadline.h"
#include "policy.h"

struct backing_dev_info;
struct fusewb_req;
struct super_block;

struct fusewb_counters {
	atomic64_t requests;
	atomic64_t answers;
	atomic64_t waiting;
	atomic64_t write_requests;
	atomic64_t bytes_direct;
	atomic64_t bytes_copied;
	atomic64_t bytes_read;
	atomic64_t bytes_in_flight;
	atomic64_t skipped;
	atomic64_t write_errors;
	atomic64_t deadlines;
	atomic64_t migrate_again;
	atomic64_t malformed;
	atomic64_t retargets;
	atomic64_t retries;
};

/* What the server waits for in its read(2) of the device. */
struct fusewb_queue {
	/* guards everything here, and the state of the requests on it */
	spinlock_t lock;
	struct list_head pending;	/* somebody waits for the answer */
	struct list_head background;	/* nobody does: writeback, readahead,
					 * release
					 */
	struct list_head later;		/* background, when they are due */
	struct delayed_work later_work;
	struct list_head interrupts;
	struct list_head forgets;
	bool forget_turn;		/* forgets and requests alternate */
	unsigned int active_background;	/* handed over, no answer */
	unsigned int max_background;
	u64 next_unique;
	u64 last_serial;
	bool closing;			/* deliver what is queued, then ENODEV */
	bool aborted;
	wait_queue_head_t wait;		/* readers of the device */
	struct fasync_struct *fasync;
};

struct fusewb_mount_opts {
	unsigned int rootmode;
	kuid_t user_id;
	kgid_t group_id;
	unsigned int max_read;		/* bytes; 0: no limit */
	unsigned int blksize;		/* bytes */
	bool default_permissions;
	bool allow_other;
	enum {
		FUSEWB_OPT_AUTO,
		FUSEWB_OPT_DIRECT,
		FUSEWB_OPT_COPY,
	} writeback;
};

struct fusewb_conn {
	struct kref ref;
	u64 id;
	struct list_head node;		/* in the list of all connections */

	struct fusewb_queue queue;
	struct list_head devs;		/* struct fusewb_dev; queue.lock */

	enum fusewb_conn_state state;	/* written under queue.lock */
	enum fusewb_abort_reason abort_reason; /* set before ABORTED */
	wait_queue_head_t ready_wait;	/* until state leaves INIT */

	/* The file system; NULL before the mount and once kill_sb has begun. */
	struct super_block *sb;
	struct rw_semaphore sb_lock;	/* read: a notification uses sb */

	struct backing_dev_info *bdi;	/* a reference, from the mount on */

	struct fusewb_mount_opts opts;
	char subtype[256];		/* empty: none */
	dev_t dev;			/* of the super block */
	struct user_namespace *user_ns;	/* ids on the wire are of it */
	struct pid_namespace *pid_ns;	/* pids on the wire are of it */
	struct pid *server_pid;		/* queue.lock: who answered INIT, before
					 * that the opener of the device
					 */
	kuid_t server_uid;
	kgid_t server_gid;
	bool server_privileged;		/* it had CAP_SYS_ADMIN in the initial
					 * user namespace
					 */
	struct fusewb_policy policy;
	struct mutex policy_lock;	/* to write it */
	bool negotiated;		/* policy_lock: @server_max_write and
					 * @flags are known
					 */
	struct fusewb_deadlines deadlines;

	/* negotiated by INIT */
	enum fusewb_writeback writeback;
	unsigned int minor;
	unsigned int max_write;		/* bytes in one WRITE, by the policy */
	unsigned int server_max_write;	/* bytes, that the server takes */
	unsigned int max_read;		/* bytes in one READ */
	unsigned int max_readahead;	/* bytes */
	u64 flags;			/* FUSE_* of INIT both sides know */
	u32 time_gran;			/* nanoseconds */

	/*
	 * Operations answered with ENOSYS, which are not sent again: a bit per
	 * opcode (opcodes up to 63). Set by fusewb_conn_set_nosys().
	 */
	unsigned long nosys[BITS_TO_LONGS(64)];

	atomic_long_t epoch;		/* names of earlier ones are asked for
					 * again
					 */
	atomic_t retrieved;		/* answers to FUSE_NOTIFY_RETRIEVE that
					 * the server has not read
					 */
	atomic64_t aio_bytes;		/* submitted and not ended; aio.c */
	struct xarray polled;		/* handles that were polled; poll.c */
	u32 next_polled;

	/* how much may be dirty: bound.c */
	atomic_long_t answered;		/* pages, since the server was silent */
	unsigned long answered_at;	/* jiffies: of the last WRITE */
	wait_queue_head_t bound_wait;	/* for room */

	atomic64_t attr_version;	/* see struct fusewb_inode */
	atomic64_t attr_doubted;	/* attributes that were asked for before this
					 * version are asked for again
					 */

	/*
	 * Writeback must go on when nothing can be allocated. The reserve is
	 * the connection's own: a server that hangs uses up nobody else's.
	 */
	mempool_t req_reserve;
	mempool_t spans_reserve;
	mempool_t copy_reserve;		/* pages */
	wait_queue_head_t reserve_wait;	/* until a request is freed */

	struct fusewb_counters counters;
	struct ratelimit_state malformed_limit;	/* of messages about them */

	/* FUSEWB_A_CONN_LATENCY, by class */
	atomic64_t latency[FUSEWB_CLASS_ALL][FUSEWB_LATENCY_BUCKETS];
};

/**
 * fusewb_conn_alloc() - a connection in state INIT
 * @opts: mount options, copied
 * @user_ns: what uids and gids on the wire are relative to; a reference is
 *	taken
 * @cred: of the opener of the device
 * @pid: of the opener; a reference is taken
 *
 * The caller owns the one reference. Not yet in the list of connections.
 * Return: the connection or ERR_PTR(-ENOMEM).
 */
struct fusewb_conn *fusewb_conn_alloc(const struct fusewb_mount_opts *opts,
				      struct user_namespace *user_ns,
				      const struct cred *cred, struct pid *pid);

struct fusewb_conn *fusewb_conn_get(struct fusewb_conn *conn);
void fusewb_conn_put(struct fusewb_conn *conn);

/**
 * fusewb_conn_register() - enter the list of connections, announce ADDED
 *
 * Called once, when the super block exists. fusewb_conn_unregister() announces
 * REMOVED; both may sleep.
 */
void fusewb_conn_register(struct fusewb_conn *conn);
void fusewb_conn_unregister(struct fusewb_conn *conn);

/** fusewb_conn_announce() - an event, if registered; in the order of its life. */
void fusewb_conn_announce(struct fusewb_conn *conn, enum fusewb_cmd cmd);

/**
 * fusewb_conn_find_from() - look a connection up by id
 * @id: the connection with this id, or the first one with a greater id
 *
 * Return: a new reference, NULL if there is none. May sleep.
 */
struct fusewb_conn *fusewb_conn_find_from(u64 id);
unsigned int fusewb_conn_count(void);

/**
 * fusewb_conn_abort() - give the server up
 *
 * Every request ends with -ENOTCONN, every waiter wakes, readers of the device
 * get ENODEV. Idempotent: the first @reason counts, and is announced if the file
 * system is mounted; may sleep, waits for nobody's good will.
 */
void fusewb_conn_abort(struct fusewb_conn *conn, enum fusewb_abort_reason reason);

/**
 * fusewb_conn_close() - the file system is gone, let the server finish
 *
 * Requests queued so far (RELEASE, FORGET) and a last DESTROY can still be
 * read; then the device says ENODEV. Does not wait.
 */
void fusewb_conn_close(struct fusewb_conn *conn);

/**
 * fusewb_conn_wait_ready() - wait until INIT was answered
 *
 * Killable and freezable. Return: 0, -EINTR, or -ENOTCONN once aborted.
 */
int fusewb_conn_wait_ready(struct fusewb_conn *conn);

/** fusewb_conn_past_init() - would that not wait? Does not sleep. */
bool fusewb_conn_past_init(struct fusewb_conn *conn);

/** fusewb_conn_doubt_attr() - no attributes are to be believed any more. */
void fusewb_conn_doubt_attr(struct fusewb_conn *conn);

/** fusewb_conn_send_init() - queue FUSE_INIT. Return: 0 or -ENOMEM. */
int fusewb_conn_send_init(struct fusewb_conn *conn);

/** fusewb_conn_server_pid() - the server's pid as @ns sees it, 0 if it does not. */
pid_t fusewb_conn_server_pid(struct fusewb_conn *conn, struct pid_namespace *ns);

/** fusewb_conn_set_server() - the current process is the server. */
void fusewb_conn_set_server(struct fusewb_conn *conn);

/** fusewb_conn_ready() - INIT was answered, the negotiated fields are set. */
void fusewb_conn_ready(struct fusewb_conn *conn);

static inline bool fusewb_conn_aborted(const struct fusewb_conn *conn)
{
	return READ_ONCE(conn->state) == FUSEWB_CONN_ABORTED;
}

static inline bool fusewb_conn_writeback(const struct fusewb_conn *conn)
{
	return READ_ONCE(conn->writeback) != FUSEWB_WRITEBACK_THROUGH;
}

static inline bool fusewb_conn_nosys(const struct fusewb_conn *conn, u32 opcode)
{
	return test_bit(opcode, conn->nosys);
}

static inline void fusewb_conn_set_nosys(struct fusewb_conn *conn, u32 opcode)
{
	set_bit(opcode, conn->nosys);
}

#endif
