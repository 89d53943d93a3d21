// SPDX-License-Identifier: GPL-2.0-only
/* The netlink family's messages about requests without an answer. */
#include <linux/pid_namespace.h>

#include "compat/compat.h"
#include "deadline.h"
#include "netlink.h"
#include "netlink_parts.h"
#include "queue.h"
#include "request.h"

const struct nla_policy fusewb_nl_request_policy[FUSEWB_A_REQUEST_AGE_USEC + 1] = {
	[FUSEWB_A_REQUEST_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_REQUEST_PAD] = { .type = NLA_REJECT },
	[FUSEWB_A_REQUEST_CONN_ID] = { .type = NLA_U64 },
	[FUSEWB_A_REQUEST_AGE_USEC] = { .type = NLA_U64 },
};

/* No less than what put_request() takes. */
#define REQUEST_SIZE \
	(nla_total_size_64bit(sizeof(u64)) * 4 + nla_total_size(sizeof(u32)) * 8)

/* Return: an enum fusewb_request_state; -1: it is new, or has ended. */
static int state_of(const struct fusewb_req *req)
{
	switch (atomic_read(&req->fate)) {
	case FUSEWB_FATE_OPEN:
		break;
	case FUSEWB_FATE_ABANDONED:
		return FUSEWB_REQUEST_ABANDONED;
	default:
		return -1;
	}
	switch (READ_ONCE(req->state)) {
	case FUSEWB_REQ_QUEUED:
		return FUSEWB_REQUEST_QUEUED;
	case FUSEWB_REQ_COPYING:
		return FUSEWB_REQUEST_COPYING;
	case FUSEWB_REQ_SENT:
		return FUSEWB_REQUEST_SENT;
	case FUSEWB_REQ_ANSWERING:
		return FUSEWB_REQUEST_ANSWERING;
	default:
		return -1;
	}
}

/* @ns: in which the pid is told. Return: 0 or -EMSGSIZE. */
static int put_request(struct sk_buff *skb, const struct fusewb_req *req, u32 state,
		       struct pid_namespace *ns)
{
	u64 age = ktime_us_delta(ktime_get(), req->queued_at);

	if (nla_put_u64_64bit(skb, FUSEWB_A_REQUEST_CONN_ID, req->conn->id,
			      FUSEWB_A_REQUEST_PAD) ||
	    nla_put_u64_64bit(skb, FUSEWB_A_REQUEST_UNIQUE, req->in.unique,
			      FUSEWB_A_REQUEST_PAD) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_OPCODE, req->in.opcode) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_CLASS, fusewb_class_of(req->in.opcode)) ||
	    nla_put_u64_64bit(skb, FUSEWB_A_REQUEST_NODEID, req->in.nodeid,
			      FUSEWB_A_REQUEST_PAD) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_STATE, state) ||
	    nla_put_u64_64bit(skb, FUSEWB_A_REQUEST_AGE_USEC, age, FUSEWB_A_REQUEST_PAD) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_PID, pid_nr_ns(req->pid, ns)) ||
	    (req->pid && nla_put_u32(skb, FUSEWB_A_REQUEST_UID,
				     from_kuid(&init_user_ns, req->uid))) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_DEADLINE_MS, fusewb_deadline_ms(req)) ||
	    nla_put_u32(skb, FUSEWB_A_REQUEST_BYTES, req->payload_len))
		return -EMSGSIZE;
	return 0;
}

/* Where a dump is, and what it is of. */
struct request_position {
	u64 only;			/* 0: all connections */
	u64 min_age;			/* microseconds */
	u64 conn;			/* the least id that was not done yet */
	u64 serial;			/* the same of its requests */
};

int fusewb_nl_request_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = genl_info_dump(cb)->attrs;
	struct request_position *position = (void *)cb->ctx;
	struct fusewb_conn *conn;

	BUILD_BUG_ON(sizeof(*position) > sizeof(cb->ctx));
	memset(position, 0, sizeof(*position));
	if (attrs[FUSEWB_A_REQUEST_AGE_USEC]) {
		position->min_age = nla_get_u64(attrs[FUSEWB_A_REQUEST_AGE_USEC]);
		if (position->min_age > S64_MAX) {
			NL_SET_ERR_MSG_ATTR(cb->extack, attrs[FUSEWB_A_REQUEST_AGE_USEC],
					    "age-usec is no age that a request can have");
			return -EINVAL;
		}
	}
	if (attrs[FUSEWB_A_REQUEST_CONN_ID]) {
		position->only = nla_get_u64(attrs[FUSEWB_A_REQUEST_CONN_ID]);
		position->conn = position->only;
		conn = fusewb_conn_find_from(position->only);
		if (!conn || conn->id != position->only) {
			if (conn)
				fusewb_conn_put(conn);
			NL_SET_ERR_MSG_ATTR(cb->extack, attrs[FUSEWB_A_REQUEST_CONN_ID],
					    "there is no connection with this id");
			return -ENOENT;
		}
		fusewb_conn_put(conn);
	}
	return 0;
}

/**
 * struct batch - requests without an answer
 * @position: from there on
 * @now: ages are as of it
 * @serials: in ascending order, none left out
 * @reqs: those of them that were still there afterwards, with a reference
 *	each, or NULL
 * @nr: how many; fewer than there is room for: these are all
 *
 * They are chosen first and taken then, in two walks: a reference on one that
 * is not among the first after all would have to be dropped under spinlocks, and
 * may be the last by then.
 */
struct batch {
	const struct request_position *position;
	ktime_t now;
	u64 serials[32];
	struct fusewb_req *reqs[32];
	unsigned int nr;
};

static void choose(struct fusewb_req *req, void *arg)
{
	struct batch *batch = arg;
	unsigned int at = batch->nr;

	if (req->serial < batch->position->serial ||
	    ktime_us_delta(batch->now, req->queued_at) < (s64)batch->position->min_age)
		return;
	/* Most lists are in order, so this is short. */
	while (at && batch->serials[at - 1] > req->serial)
		at--;
	if (at == ARRAY_SIZE(batch->serials))
		return;
	if (batch->nr == ARRAY_SIZE(batch->serials))
		batch->nr--;
	memmove(&batch->serials[at + 1], &batch->serials[at],
		(batch->nr - at) * sizeof(batch->serials[0]));
	batch->serials[at] = req->serial;
	batch->nr++;
}

static void take(struct fusewb_req *req, void *arg)
{
	struct batch *batch = arg;
	unsigned int i = batch->nr;

	while (i && batch->serials[i - 1] > req->serial)
		i--;
	if (i && batch->serials[i - 1] == req->serial)
		batch->reqs[i - 1] = fusewb_req_get(req);
}

static int dump_request(struct sk_buff *skb, struct netlink_callback *cb, struct fusewb_req *req)
{
	int state = state_of(req);
	void *msg;

	if (state < 0)
		return 0;
	msg = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &fusewb_family,
			  NLM_F_MULTI, FUSEWB_CMD_REQUEST_GET);
	if (!msg)
		return -EMSGSIZE;
	if (put_request(skb, req, state, task_active_pid_ns(current))) {
		genlmsg_cancel(skb, msg);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, msg);
	return 0;
}

/* Return: 0 when all are told, -EMSGSIZE if the message is full. */
static int dump_conn(struct sk_buff *skb, struct netlink_callback *cb,
		     struct fusewb_conn *conn, struct request_position *position)
{
	struct batch batch = { .position = position, .now = ktime_get() };
	unsigned int i;
	int err = 0;

	do {
		batch.nr = 0;
		fusewb_queue_each(conn, choose, &batch);
		memset(batch.reqs, 0, sizeof(batch.reqs));
		if (batch.nr)
			fusewb_queue_each(conn, take, &batch);
		for (i = 0; i < batch.nr; i++) {
			if (!err && batch.reqs[i])
				err = dump_request(skb, cb, batch.reqs[i]);
			if (!err)
				position->serial = batch.serials[i] + 1;
			if (batch.reqs[i])
				fusewb_req_put(batch.reqs[i]);
		}
	} while (!err && batch.nr == ARRAY_SIZE(batch.serials));
	return err;
}

int fusewb_nl_request_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct request_position *position = (void *)cb->ctx;
	struct fusewb_conn *conn;
	int err;

	while ((conn = fusewb_conn_find_from(position->conn))) {
		u64 id = conn->id;

		if (position->only && id != position->only) {
			fusewb_conn_put(conn);
			break;
		}
		/* Another one than last time, which has gone? */
		if (id != position->conn)
			position->serial = 0;
		position->conn = id;
		err = dump_conn(skb, cb, conn, position);
		fusewb_conn_put(conn);
		/* The rest goes into the next message. */
		if (err)
			return skb->len ?: err;
		position->conn = id + 1;
		position->serial = 0;
	}
	return skb->len;
}

void fusewb_netlink_expired(const struct fusewb_req *req, u32 action)
{
	int state = state_of(req);
	struct sk_buff *skb;
	void *msg;

	if (!fusewb_nl_listened())
		return;
	skb = genlmsg_new(REQUEST_SIZE, GFP_KERNEL);
	if (skb) {
		msg = genlmsg_put(skb, 0, 0, &fusewb_family, 0, FUSEWB_CMD_DEADLINE_EXPIRED);
		/* It may be answered now, but it was not when it expired. */
		if (!msg || put_request(skb, req, state < 0 ? FUSEWB_REQUEST_ANSWERING : state,
					&init_pid_ns) ||
		    nla_put_u32(skb, FUSEWB_A_REQUEST_ACTION, action)) {
			nlmsg_free(skb);
			skb = NULL;
		} else {
			genlmsg_end(skb, msg);
		}
	}
	fusewb_nl_send(skb);
}
