// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family. <linux/fusewb.h> is its manual.
 *
 * It lives in the initial network namespace only: a container learns nothing
 * of the mounts of its host.
 */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <net/genetlink.h>

#include "compat/compat.h"
#include "connection.h"
#include "init.h"
#include "netlink.h"
#include "netlink_parts.h"
#include "version.h"

static const struct {
	int attr;
	size_t offset;
} counters[] = {
#define COUNTER(attr, member) \
	{ FUSEWB_A_COUNTER_##attr, offsetof(struct fusewb_counters, member) }
	COUNTER(REQUESTS, requests),
	COUNTER(ANSWERS, answers),
	COUNTER(WAITING, waiting),
	COUNTER(WRITE_REQUESTS, write_requests),
	COUNTER(BYTES_DIRECT, bytes_direct),
	COUNTER(BYTES_COPIED, bytes_copied),
	COUNTER(BYTES_READ, bytes_read),
	COUNTER(BYTES_IN_FLIGHT, bytes_in_flight),
	COUNTER(SKIPPED, skipped),
	COUNTER(WRITE_ERRORS, write_errors),
	COUNTER(DEADLINES, deadlines),
	COUNTER(MIGRATE_AGAIN, migrate_again),
	COUNTER(MALFORMED, malformed),
	COUNTER(RETARGETS, retargets),
	COUNTER(RETRIES, retries),
#undef COUNTER
};

static_assert(ARRAY_SIZE(counters) == FUSEWB_A_COUNTER_MAX - FUSEWB_A_COUNTER_PAD);

static int put_counters(struct sk_buff *skb, struct fusewb_conn *conn)
{
	struct nlattr *nest = nla_nest_start(skb, FUSEWB_A_CONN_COUNTERS);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		atomic64_t *counter = (void *)&conn->counters + counters[i].offset;

		if (nla_put_u64_64bit(skb, counters[i].attr, atomic64_read(counter),
				      FUSEWB_A_COUNTER_PAD))
			return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static const u8 latencies[FUSEWB_CLASS_ALL] = {
	[FUSEWB_CLASS_WRITEBACK] = FUSEWB_A_LATENCY_WRITEBACK,
	[FUSEWB_CLASS_METADATA] = FUSEWB_A_LATENCY_METADATA,
	[FUSEWB_CLASS_READ] = FUSEWB_A_LATENCY_READ,
	[FUSEWB_CLASS_LOCK] = FUSEWB_A_LATENCY_LOCK,
};

#define LATENCY_SIZE (FUSEWB_LATENCY_BUCKETS * sizeof(u64))

static int put_latency(struct sk_buff *skb, struct fusewb_conn *conn)
{
	struct nlattr *nest = nla_nest_start(skb, FUSEWB_A_CONN_LATENCY);
	struct nlattr *attr;
	unsigned int class, i;
	u64 count;

	if (!nest)
		return -EMSGSIZE;
	for (class = 0; class < FUSEWB_CLASS_ALL; class++) {
		attr = nla_reserve(skb, latencies[class], LATENCY_SIZE);
		if (!attr)
			return -EMSGSIZE;
		for (i = 0; i < FUSEWB_LATENCY_BUCKETS; i++) {
			count = atomic64_read(&conn->latency[class][i]);
			/* It is aligned to four bytes only. */
			memcpy(nla_data(attr) + i * sizeof(u64), &count, sizeof(count));
		}
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* No less than what put_conn() takes. */
static size_t conn_size(void)
{
	return nla_total_size_64bit(sizeof(u64)) +
	       nla_total_size(sizeof(u32)) * 10 +
	       nla_total_size(sizeof(u8)) +
	       FUSEWB_NL_POLICY_SIZE +
	       nla_total_size(0) + nla_total_size(LATENCY_SIZE) * FUSEWB_CLASS_ALL +
	       nla_total_size(sizeof_field(struct fusewb_conn, subtype)) +
	       nla_total_size(0) +
	       nla_total_size_64bit(sizeof(u64)) * ARRAY_SIZE(counters);
}

/* @ns: in which the server's pid is told */
static int put_conn(struct sk_buff *skb, struct fusewb_conn *conn, u8 cmd,
		    u32 portid, u32 seq, int flags, struct pid_namespace *ns)
{
	void *msg = genlmsg_put(skb, portid, seq, &fusewb_family, flags, cmd);

	if (!msg)
		return -EMSGSIZE;
	if (nla_put_u64_64bit(skb, FUSEWB_A_CONN_ID, conn->id, FUSEWB_A_CONN_PAD) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_DEV, new_encode_dev(conn->dev)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_STATE, READ_ONCE(conn->state)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_WRITEBACK, READ_ONCE(conn->writeback)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_SERVER_PID, fusewb_conn_server_pid(conn, ns)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_SERVER_UID,
			from_kuid(&init_user_ns, conn->server_uid)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_SERVER_GID,
			from_kgid(&init_user_ns, conn->server_gid)) ||
	    nla_put_u8(skb, FUSEWB_A_CONN_SERVER_PRIVILEGED, conn->server_privileged) ||
	    (conn->subtype[0] &&
	     nla_put_string(skb, FUSEWB_A_CONN_SUBTYPE, conn->subtype)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_PROTO_MINOR, READ_ONCE(conn->minor)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_MAX_WRITE, READ_ONCE(conn->max_write)) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_MAX_READ, READ_ONCE(conn->max_read)) ||
	    put_counters(skb, conn) ||
	    fusewb_nl_put_policy(skb, FUSEWB_A_CONN_POLICY, &conn->policy) ||
	    put_latency(skb, conn) ||
	    nla_put_u32(skb, FUSEWB_A_CONN_ABORT_REASON, READ_ONCE(conn->abort_reason))) {
		genlmsg_cancel(skb, msg);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, msg);
	return 0;
}

static int info_get(struct sk_buff *request, struct genl_info *info)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *msg;

	if (!skb)
		return -ENOMEM;
	msg = genlmsg_put_reply(skb, info, &fusewb_family, 0, FUSEWB_CMD_INFO_GET);
	if (!msg ||
	    nla_put_string(skb, FUSEWB_A_INFO_VERSION, FUSEWB_VERSION) ||
	    nla_put_u32(skb, FUSEWB_A_INFO_PROTO_MAJOR, FUSEWB_PROTO_MAJOR) ||
	    nla_put_u32(skb, FUSEWB_A_INFO_PROTO_MINOR, FUSEWB_PROTO_MINOR) ||
	    nla_put_u32(skb, FUSEWB_A_INFO_CONNECTIONS, fusewb_conn_count())) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, msg);
	return genlmsg_reply(skb, info);
}

struct fusewb_conn *fusewb_nl_conn(struct genl_info *info)
{
	struct fusewb_conn *conn;
	u64 id;

	if (GENL_REQ_ATTR_CHECK(info, FUSEWB_A_CONN_ID)) {
		NL_SET_ERR_MSG(info->extack, "the id of the connection is missing");
		return ERR_PTR(-EINVAL);
	}
	id = nla_get_u64(info->attrs[FUSEWB_A_CONN_ID]);
	conn = fusewb_conn_find_from(id);
	if (conn && conn->id == id)
		return conn;
	if (conn)
		fusewb_conn_put(conn);
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FUSEWB_A_CONN_ID],
			    "there is no connection with this id");
	return ERR_PTR(-ENOENT);
}

static int conn_get(struct sk_buff *request, struct genl_info *info)
{
	struct fusewb_conn *conn = fusewb_nl_conn(info);
	struct sk_buff *skb;
	int err;

	if (IS_ERR(conn))
		return PTR_ERR(conn);
	skb = genlmsg_new(conn_size(), GFP_KERNEL);
	err = skb ? put_conn(skb, conn, FUSEWB_CMD_CONN_GET, info->snd_portid,
			     info->snd_seq, 0, task_active_pid_ns(current)) : -ENOMEM;
	fusewb_conn_put(conn);
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	return genlmsg_reply(skb, info);
}

int fusewb_nl_may_change(struct sk_buff *request, struct genl_info *info)
{
	/* Of who opened the socket and of who sends, in the initial namespace. */
	if (netlink_capable(request, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(info->extack, "changes need CAP_SYS_ADMIN in the initial user namespace");
	return -EPERM;
}

static int conn_abort(struct sk_buff *request, struct genl_info *info)
{
	struct fusewb_conn *conn;
	int err;

	err = fusewb_nl_may_change(request, info);
	if (err)
		return err;
	conn = fusewb_nl_conn(info);
	if (IS_ERR(conn))
		return PTR_ERR(conn);
	fusewb_conn_abort(conn, FUSEWB_ABORT_REQUESTED);
	fusewb_conn_put(conn);
	return 0;
}

/* Where a dump is: the least id that was not told yet. */
struct dump_position {
	u64 next;
};

static int conn_dump_start(struct netlink_callback *cb)
{
	struct nlattr *id = genl_info_dump(cb)->attrs[FUSEWB_A_CONN_ID];
	struct dump_position *position = (void *)cb->ctx;

	BUILD_BUG_ON(sizeof(*position) > sizeof(cb->ctx));
	if (id) {
		NL_SET_ERR_MSG_ATTR(cb->extack, id, "a dump takes no attributes");
		return -EINVAL;
	}
	position->next = 0;
	return 0;
}

static int conn_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dump_position *position = (void *)cb->ctx;
	struct fusewb_conn *conn;

	while ((conn = fusewb_conn_find_from(position->next))) {
		u64 id = conn->id;
		int err = put_conn(skb, conn, FUSEWB_CMD_CONN_GET,
				   NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
				   NLM_F_MULTI, task_active_pid_ns(current));

		fusewb_conn_put(conn);
		/* The rest goes into the next message. */
		if (err)
			return skb->len ?: err;
		position->next = id + 1;
	}
	return skb->len;
}

bool fusewb_nl_listened(void)
{
	return genl_has_listeners(&fusewb_family, &init_net, 0);
}

void fusewb_nl_send(struct sk_buff *skb)
{
	if (skb)
		/* A receiver without room is told by the socket. */
		genlmsg_multicast(&fusewb_family, skb, 0, 0, GFP_KERNEL);
	else
		genl_set_err(&fusewb_family, &init_net, 0, 0, -ENOBUFS);
}

void fusewb_netlink_event(struct fusewb_conn *conn, enum fusewb_cmd cmd)
{
	struct sk_buff *skb;

	if (!fusewb_nl_listened())
		return;
	skb = genlmsg_new(conn_size(), GFP_KERNEL);
	if (skb && put_conn(skb, conn, cmd, 0, 0, 0, &init_pid_ns)) {
		nlmsg_free(skb);
		skb = NULL;
	}
	fusewb_nl_send(skb);
}

/* With strict validation what is not named here is refused. */
/* Of those that take no attribute. */
static const struct nla_policy nothing_policy[] = {
	[FUSEWB_A_INFO_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_INFO_PAD] = { .type = NLA_REJECT },
};

static const struct nla_policy conn_policy[] = {
	[FUSEWB_A_CONN_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_CONN_PAD] = { .type = NLA_REJECT },
	[FUSEWB_A_CONN_ID] = { .type = NLA_U64 },
};

static const struct genl_ops ops[] = {
	{
		.cmd	= FUSEWB_CMD_INFO_GET,
		.doit	= info_get,
		.policy	= nothing_policy,
		.maxattr = ARRAY_SIZE(nothing_policy) - 1,
	},
	{
		.cmd	= FUSEWB_CMD_CONN_GET,
		.doit	= conn_get,
		.start	= conn_dump_start,
		.dumpit	= conn_dump,
		.policy	= conn_policy,
		.maxattr = ARRAY_SIZE(conn_policy) - 1,
	},
	{
		.cmd	= FUSEWB_CMD_POLICY_GET,
		.doit	= fusewb_nl_policy_get,
		.policy	= nothing_policy,
		.maxattr = ARRAY_SIZE(nothing_policy) - 1,
	},
	{
		.cmd	= FUSEWB_CMD_POLICY_SET,
		.doit	= fusewb_nl_policy_set,
		.policy	= fusewb_nl_default_policy,
		.maxattr = FUSEWB_A_DEFAULT_MAX,
	},
	{
		.cmd	= FUSEWB_CMD_CONN_SET,
		.doit	= fusewb_nl_conn_set,
		.policy	= fusewb_nl_conn_set_policy,
		.maxattr = FUSEWB_A_CONN_POLICY,
	},
	{
		.cmd	= FUSEWB_CMD_CONN_ABORT,
		.doit	= conn_abort,
		.policy	= conn_policy,
		.maxattr = ARRAY_SIZE(conn_policy) - 1,
	},
	{
		.cmd	= FUSEWB_CMD_REQUEST_GET,
		.start	= fusewb_nl_request_start,
		.dumpit	= fusewb_nl_request_dump,
		.policy	= fusewb_nl_request_policy,
		.maxattr = FUSEWB_A_REQUEST_AGE_USEC,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = FUSEWB_MCGRP_EVENTS },
};

struct genl_family fusewb_family __ro_after_init = {
	.name		= FUSEWB_GENL_NAME,
	.version	= FUSEWB_GENL_VERSION,
	.module		= THIS_MODULE,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
	/* No command from the time before reserved fields were checked. */
	.resv_start_op	= FUSEWB_CMD_INFO_GET,
};

int __init fusewb_netlink_register(void)
{
	return genl_register_family(&fusewb_family);
}

void fusewb_netlink_unregister(void)
{
	genl_unregister_family(&fusewb_family);
}
