// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections: their list, their life, their end.
 */
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "compat/compat.h"
#include "connection.h"
#include "device.h"
#include "netlink.h"
#include "poll.h"
#include "queue.h"
#include "request.h"
#include "waits.h"

/*
 * Guards the list, which is in ascending order of id, and @last_id. The events
 * of a life are sent under it, so that they come in their order.
 */
static DEFINE_MUTEX(conns_lock);
static LIST_HEAD(conns);
static unsigned int nr_conns;
static u64 last_id;

struct fusewb_conn *fusewb_conn_alloc(const struct fusewb_mount_opts *opts,
				      struct user_namespace *user_ns,
				      const struct cred *cred, struct pid *pid)
{
	struct fusewb_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);

	if (!conn)
		return ERR_PTR(-ENOMEM);
	if (fusewb_req_reserve_init(conn)) {
		fusewb_req_reserve_exit(conn);
		kfree(conn);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&conn->ref);
	INIT_LIST_HEAD(&conn->node);
	INIT_LIST_HEAD(&conn->devs);
	init_waitqueue_head(&conn->ready_wait);
	init_waitqueue_head(&conn->bound_wait);
	fusewb_queue_init(&conn->queue);
	fusewb_deadlines_init(&conn->deadlines);
	mutex_init(&conn->policy_lock);
	conn->opts = *opts;
	conn->user_ns = get_user_ns(user_ns);
	conn->pid_ns = get_pid_ns(task_active_pid_ns(current));
	conn->server_pid = get_pid(pid);
	conn->server_uid = cred->euid;
	conn->server_gid = cred->egid;
	conn->server_privileged = cred->user_ns == &init_user_ns &&
				  cap_raised(cred->cap_effective, CAP_SYS_ADMIN);
	fusewb_policy_default(conn->server_privileged, &conn->policy);
	conn->max_write = PAGE_SIZE;
	conn->server_max_write = PAGE_SIZE;
	conn->max_read = PAGE_SIZE;
	/* The version that an answer to the first request can have. */
	atomic64_set(&conn->attr_version, 1);
	init_rwsem(&conn->sb_lock);
	xa_init_flags(&conn->polled, XA_FLAGS_ALLOC1);
	ratelimit_state_init(&conn->malformed_limit, DEFAULT_RATELIMIT_INTERVAL,
			     DEFAULT_RATELIMIT_BURST);
	return conn;
}

static void free_conn(struct kref *ref)
{
	struct fusewb_conn *conn = container_of(ref, struct fusewb_conn, ref);

	fusewb_deadlines_exit(&conn->deadlines);
	fusewb_queue_exit(&conn->queue);
	fusewb_req_reserve_exit(conn);
	put_pid(conn->server_pid);
	put_pid_ns(conn->pid_ns);
	put_user_ns(conn->user_ns);
	mutex_destroy(&conn->policy_lock);
	if (conn->bdi)
		bdi_put(conn->bdi);
	kfree(conn);
}

struct fusewb_conn *fusewb_conn_get(struct fusewb_conn *conn)
{
	kref_get(&conn->ref);
	return conn;
}

void fusewb_conn_put(struct fusewb_conn *conn)
{
	kref_put(&conn->ref, free_conn);
}

void fusewb_conn_register(struct fusewb_conn *conn)
{
	mutex_lock(&conns_lock);
	conn->id = ++last_id;
	list_add_tail(&conn->node, &conns);
	nr_conns++;
	fusewb_netlink_event(conn, FUSEWB_CMD_CONN_ADDED);
	mutex_unlock(&conns_lock);
}

void fusewb_conn_unregister(struct fusewb_conn *conn)
{
	mutex_lock(&conns_lock);
	list_del_init(&conn->node);
	nr_conns--;
	fusewb_netlink_event(conn, FUSEWB_CMD_CONN_REMOVED);
	mutex_unlock(&conns_lock);
}

void fusewb_conn_announce(struct fusewb_conn *conn, enum fusewb_cmd cmd)
{
	mutex_lock(&conns_lock);
	if (!list_empty(&conn->node))
		fusewb_netlink_event(conn, cmd);
	mutex_unlock(&conns_lock);
}

struct fusewb_conn *fusewb_conn_find_from(u64 id)
{
	struct fusewb_conn *conn, *found = NULL;

	mutex_lock(&conns_lock);
	list_for_each_entry(conn, &conns, node) {
		if (conn->id >= id) {
			found = fusewb_conn_get(conn);
			break;
		}
	}
	mutex_unlock(&conns_lock);
	return found;
}

unsigned int fusewb_conn_count(void)
{
	return READ_ONCE(nr_conns);
}

pid_t fusewb_conn_server_pid(struct fusewb_conn *conn, struct pid_namespace *ns)
{
	pid_t nr = 0;

	spin_lock(&conn->queue.lock);
	rcu_read_lock();
	/* The number of a process that was reaped may be another's by now. */
	if (pid_task(conn->server_pid, PIDTYPE_TGID))
		nr = pid_nr_ns(conn->server_pid, ns);
	rcu_read_unlock();
	spin_unlock(&conn->queue.lock);
	return nr;
}

void fusewb_conn_set_server(struct fusewb_conn *conn)
{
	struct pid *pid = get_pid(task_tgid(current));

	spin_lock(&conn->queue.lock);
	swap(pid, conn->server_pid);
	spin_unlock(&conn->queue.lock);
	put_pid(pid);
}

void fusewb_conn_doubt_attr(struct fusewb_conn *conn)
{
	s64 version = atomic64_inc_return(&conn->attr_version);
	s64 seen = atomic64_read(&conn->attr_doubted);

	/* Several at a time: the newest stays. */
	while (seen < version && !atomic64_try_cmpxchg(&conn->attr_doubted, &seen, version))
		;
}

void fusewb_conn_ready(struct fusewb_conn *conn)
{
	bool ready;

	spin_lock(&conn->queue.lock);
	ready = conn->state == FUSEWB_CONN_INIT;
	if (ready)
		/* Pairs with fusewb_conn_past_init(). */
		smp_store_release(&conn->state, FUSEWB_CONN_READY);
	spin_unlock(&conn->queue.lock);
	if (ready) {
		wake_up_all(&conn->ready_wait);
		fusewb_conn_announce(conn, FUSEWB_CMD_CONN_READY);
	}
}

bool fusewb_conn_past_init(struct fusewb_conn *conn)
{
	/* Pairs with fusewb_conn_ready(): READY comes after what was negotiated. */
	return smp_load_acquire(&conn->state) != FUSEWB_CONN_INIT;
}

int fusewb_conn_wait_ready(struct fusewb_conn *conn)
{
	if (unlikely(!fusewb_conn_past_init(conn)) &&
	    wait_event_state(conn->ready_wait, fusewb_conn_past_init(conn), FUSEWB_KILLABLE))
		return -EINTR;
	return fusewb_conn_aborted(conn) ? -ENOTCONN : 0;
}

/* What the descriptors of the device still have: sent, not answered. */
static void take_processing(struct fusewb_conn *conn, struct list_head *ended)
{
	struct fusewb_dev *dev;

	spin_lock(&conn->queue.lock);
	list_for_each_entry(dev, &conn->devs, node)
		fusewb_dev_take_sent(dev, ended);
	spin_unlock(&conn->queue.lock);
}

void fusewb_conn_abort(struct fusewb_conn *conn, enum fusewb_abort_reason reason)
{
	struct fusewb_req *req, *next;
	LIST_HEAD(ended);
	bool first, served;

	spin_lock(&conn->queue.lock);
	first = conn->state != FUSEWB_CONN_ABORTED;
	/* A server that leaves after the file system is gone gives nothing up. */
	served = !conn->queue.closing;
	if (first && served)
		WRITE_ONCE(conn->abort_reason, reason);
	WRITE_ONCE(conn->state, FUSEWB_CONN_ABORTED);
	spin_unlock(&conn->queue.lock);
	if (!first)
		return;

	/* From here on the device hands nothing over and takes nothing back. */
	fusewb_queue_abort(conn);
	take_processing(conn, &ended);
	list_for_each_entry_safe(req, next, &ended, link) {
		list_del_init(&req->link);
		fusewb_req_end(req, -ENOTCONN);
	}
	wake_up_all(&conn->ready_wait);
	fusewb_poll_wake_all(conn);
	if (served)
		fusewb_conn_announce(conn, FUSEWB_CMD_CONN_ABORTED);
}

void fusewb_conn_close(struct fusewb_conn *conn)
{
	struct fusewb_args args = { .opcode = FUSE_DESTROY, .nocreds = true };
	struct fusewb_req *req = NULL;

	/* A server that never answered INIT has nothing to be told. */
	if (READ_ONCE(conn->state) == FUSEWB_CONN_READY)
		req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);
	if (req)
		fusewb_req_queue(req);

	spin_lock(&conn->queue.lock);
	conn->queue.closing = true;
	spin_unlock(&conn->queue.lock);
	wake_up_all(&conn->queue.wait);
	/* Who still waits for INIT would wait for ever. */
	if (READ_ONCE(conn->state) == FUSEWB_CONN_INIT)
		fusewb_conn_abort(conn, FUSEWB_ABORT_UNMOUNTED);
}
