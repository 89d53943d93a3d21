// SPDX-License-Identifier: GPL-2.0-only
/* The netlink family's commands about policy. */
#include "compat/compat.h"
#include "netlink.h"
#include "netlink_parts.h"

/*
 * The types alone: a value out of its range is refused with a text of ours,
 * which says what would be right.
 */
static const struct nla_policy value_policy[FUSEWB_A_POLICY_MAX + 1] = {
	[FUSEWB_A_POLICY_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_POLICY_WRITEBACK] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_DEADLINE_WRITEBACK] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_DEADLINE_METADATA] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_DEADLINE_READ] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_DEADLINE_LOCK] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_DEADLINE_ALL] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_ACTION] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_RETRY] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_SYNC_WAITS] = { .type = NLA_U8 },
	[FUSEWB_A_POLICY_MAX_DIRTY_RATIO] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_STRICT_LIMIT] = { .type = NLA_U8 },
	[FUSEWB_A_POLICY_MAX_WRITE] = { .type = NLA_U32 },
	[FUSEWB_A_POLICY_SPLICE_FOLIOS] = { .type = NLA_U8 },
	[FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE] = { .type = NLA_U8 },
};

const struct nla_policy fusewb_nl_default_policy[FUSEWB_A_DEFAULT_MAX + 1] = {
	[FUSEWB_A_DEFAULT_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_DEFAULT_PRIVILEGED] = NLA_POLICY_NESTED(value_policy),
	[FUSEWB_A_DEFAULT_OTHERS] = NLA_POLICY_NESTED(value_policy),
};

const struct nla_policy fusewb_nl_conn_set_policy[FUSEWB_A_CONN_POLICY + 1] = {
	[FUSEWB_A_CONN_UNSPEC] = { .type = NLA_REJECT },
	[FUSEWB_A_CONN_PAD] = { .type = NLA_REJECT },
	[FUSEWB_A_CONN_ID] = { .type = NLA_U64 },
	[FUSEWB_A_CONN_POLICY] = NLA_POLICY_NESTED(value_policy),
};

int fusewb_nl_put_policy(struct sk_buff *skb, int attr, const struct fusewb_policy *policy)
{
	struct nlattr *nest = nla_nest_start(skb, attr);
	unsigned int i;

	if (!nest)
		return -EMSGSIZE;
	for (i = FUSEWB_A_POLICY_WRITEBACK; i <= FUSEWB_A_POLICY_MAX; i++) {
		u32 value = fusewb_policy_value(policy, i);

		if (fusewb_policy_values[i].size == sizeof(u8) ? nla_put_u8(skb, i, value) :
								  nla_put_u32(skb, i, value))
			return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/* Return: what is wrong with the value, or NULL. */
static const char *wrong(unsigned int attr, u32 value)
{
	const struct fusewb_policy_value *known = &fusewb_policy_values[attr];

	if (value < known->min || value > known->max)
		return known->range;
	if (attr == FUSEWB_A_POLICY_MAX_WRITE && value && value < PAGE_SIZE)
		return "max-write is neither 0 nor a page at least";
	return NULL;
}

static int parse(struct nlattr *nest, struct fusewb_policy_change *change,
		 struct netlink_ext_ack *extack)
{
	struct nlattr *tb[FUSEWB_A_POLICY_MAX + 1];
	unsigned int i;
	int err;

	err = nla_parse_nested(tb, FUSEWB_A_POLICY_MAX, nest, value_policy, extack);
	if (err)
		return err;
	memset(change, 0, sizeof(*change));
	for (i = FUSEWB_A_POLICY_WRITEBACK; i <= FUSEWB_A_POLICY_MAX; i++) {
		const char *text;
		u32 value;

		if (!tb[i])
			continue;
		value = fusewb_policy_values[i].size == sizeof(u8) ? nla_get_u8(tb[i]) :
								     nla_get_u32(tb[i]);
		text = wrong(i, value);
		if (text) {
			NL_SET_BAD_ATTR(extack, tb[i]);
			if (extack)
				extack->_msg = text;
			return -EINVAL;
		}
		fusewb_policy_set_value(&change->new, i, value);
		change->given |= BIT(i);
	}
	if (!change->given) {
		NL_SET_ERR_MSG_ATTR(extack, nest, "the policy says nothing");
		return -EINVAL;
	}
	return 0;
}

/* @privileged, @others: which of the two defaults */
static int put_defaults(struct sk_buff *skb, bool privileged, bool others)
{
	struct fusewb_policy policy;
	int err = 0;

	if (privileged) {
		fusewb_policy_default(true, &policy);
		err = fusewb_nl_put_policy(skb, FUSEWB_A_DEFAULT_PRIVILEGED, &policy);
	}
	if (!err && others) {
		fusewb_policy_default(false, &policy);
		err = fusewb_nl_put_policy(skb, FUSEWB_A_DEFAULT_OTHERS, &policy);
	}
	return err;
}

static struct sk_buff *defaults_message(u32 portid, u32 seq, u8 cmd, bool privileged,
					bool others)
{
	struct sk_buff *skb = genlmsg_new(2 * FUSEWB_NL_POLICY_SIZE, GFP_KERNEL);
	void *msg;

	if (!skb)
		return NULL;
	msg = genlmsg_put(skb, portid, seq, &fusewb_family, 0, cmd);
	if (!msg || put_defaults(skb, privileged, others)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, msg);
	return skb;
}

int fusewb_nl_policy_get(struct sk_buff *request, struct genl_info *info)
{
	struct sk_buff *skb = defaults_message(info->snd_portid, info->snd_seq,
					       FUSEWB_CMD_POLICY_GET, true, true);

	return skb ? genlmsg_reply(skb, info) : -ENOMEM;
}

int fusewb_nl_policy_set(struct sk_buff *request, struct genl_info *info)
{
	struct nlattr *privileged = info->attrs[FUSEWB_A_DEFAULT_PRIVILEGED];
	struct nlattr *others = info->attrs[FUSEWB_A_DEFAULT_OTHERS];
	struct fusewb_policy_change changes[2];
	int err;

	err = fusewb_nl_may_change(request, info);
	if (err)
		return err;
	if (!privileged && !others) {
		NL_SET_ERR_MSG(info->extack, "neither default is given");
		return -EINVAL;
	}
	if (privileged)
		err = parse(privileged, &changes[0], info->extack);
	if (!err && others)
		err = parse(others, &changes[1], info->extack);
	if (err)
		return err;
	fusewb_policy_set_defaults(privileged ? &changes[0] : NULL, others ? &changes[1] : NULL);
	if (fusewb_nl_listened())
		fusewb_nl_send(defaults_message(0, 0, FUSEWB_CMD_POLICY_CHANGED, privileged,
						others));
	return 0;
}

int fusewb_nl_conn_set(struct sk_buff *request, struct genl_info *info)
{
	struct fusewb_policy_change change;
	struct fusewb_conn *conn;
	int err;

	err = fusewb_nl_may_change(request, info);
	if (err)
		return err;
	if (!info->attrs[FUSEWB_A_CONN_POLICY]) {
		NL_SET_ERR_MSG(info->extack, "the policy is missing");
		return -EINVAL;
	}
	err = parse(info->attrs[FUSEWB_A_CONN_POLICY], &change, info->extack);
	if (err)
		return err;
	conn = fusewb_nl_conn(info);
	if (IS_ERR(conn))
		return PTR_ERR(conn);
	err = fusewb_policy_set(conn, &change);
	if (err)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[FUSEWB_A_CONN_POLICY],
				    "max-dirty-ratio is less than the min_ratio of the bdi");
	else
		fusewb_conn_announce(conn, FUSEWB_CMD_CONN_CHANGED);
	fusewb_conn_put(conn);
	return err;
}
