/* SPDX-License-Identifier: GPL-2.0-only */
/* The generic netlink family: <linux/fusewb.h> documents it. */
#ifndef FUSEWB_NETLINK_H
#define FUSEWB_NETLINK_H

#include <linux/fusewb.h>

struct fusewb_conn;

/**
 * fusewb_netlink_event() - tell the events group about a connection
 * @cmd: FUSEWB_CMD_CONN_ADDED, _READY or _REMOVED
 *
 * Best effort: without memory the receivers' next dump tells. May sleep.
 */
void fusewb_netlink_event(struct fusewb_conn *conn, enum fusewb_cmd cmd);

int fusewb_netlink_register(void);
void fusewb_netlink_unregister(void);

#endif
