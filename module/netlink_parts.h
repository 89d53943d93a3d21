/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the netlink family share. */
#ifndef FUSEWB_NETLINK_PARTS_H
#define FUSEWB_NETLINK_PARTS_H

#include <net/genetlink.h>

#include "connection.h"
#include "policy.h"

extern struct genl_family fusewb_family;

/** fusewb_nl_conn() - the connection that FUSEWB_A_CONN_ID of a request names
 * Return: a new reference, or an ERR_PTR() whose reason is in the extended ack.
 */
struct fusewb_conn *fusewb_nl_conn(struct genl_info *info);

/** fusewb_nl_may_change() - may the sender change something?
 * Return: 0 or -EPERM, with the reason in the extended ack.
 */
int fusewb_nl_may_change(struct sk_buff *request, struct genl_info *info);

/** fusewb_nl_listened() - is there a receiver of events? */
bool fusewb_nl_listened(void);

/**
 * fusewb_nl_send() - an event to all receivers
 * @skb: taken over; NULL: it could not be made, which they are told as ENOBUFS
 */
void fusewb_nl_send(struct sk_buff *skb);

/* netlink_policy.c */
#define FUSEWB_NL_POLICY_SIZE \
	(nla_total_size(0) + nla_total_size(sizeof(u32)) * FUSEWB_A_POLICY_MAX)
int fusewb_nl_put_policy(struct sk_buff *skb, int attr, const struct fusewb_policy *policy);
int fusewb_nl_policy_get(struct sk_buff *request, struct genl_info *info);
int fusewb_nl_policy_set(struct sk_buff *request, struct genl_info *info);
int fusewb_nl_conn_set(struct sk_buff *request, struct genl_info *info);
extern const struct nla_policy fusewb_nl_default_policy[FUSEWB_A_DEFAULT_MAX + 1];
extern const struct nla_policy fusewb_nl_conn_set_policy[FUSEWB_A_CONN_POLICY + 1];

/* netlink_request.c */
int fusewb_nl_request_start(struct netlink_callback *cb);
int fusewb_nl_request_dump(struct sk_buff *skb, struct netlink_callback *cb);
extern const struct nla_policy fusewb_nl_request_policy[FUSEWB_A_REQUEST_AGE_USEC + 1];

#endif
