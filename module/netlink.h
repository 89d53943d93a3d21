/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family: <linux/fusewb.h> documents it. */
#ifndef FUSEWB_NETLINK_H
#define FUSEWB_NETLINK_H

#include <linux/fusewb.h>

struct fusewb_conn;
struct fusewb_req;

/**
 * fusewb_netlink_event() - tell the events group about a connection
 * @cmd: an event that carries the attributes of FUSEWB_CMD_CONN_GET
 *
 * Without memory the receivers get ENOBUFS, and dump. May sleep.
 */
void fusewb_netlink_event(struct fusewb_conn *conn, enum fusewb_cmd cmd);

/** fusewb_netlink_expired() - a request is past its deadline. May sleep.
 * @action: enum fusewb_action, what will be done
 */
void fusewb_netlink_expired(const struct fusewb_req *req, u32 action);

int fusewb_netlink_register(void);
void fusewb_netlink_unregister(void);

#endif
