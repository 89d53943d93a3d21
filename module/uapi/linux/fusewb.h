/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * fusewb: generic netlink family and device node
 *
 * Device
 * ------
 * FUSEWB_DEV_NAME under /dev speaks the FUSE protocol of <linux/fuse.h>. A
 * file system server opens it and passes the descriptor to mount(2) as the
 * option "fd=N", file system type FUSEWB_FS_NAME. FUSE_DEV_IOC_CLONE attaches
 * a further descriptor to the same connection.
 *
 * Generic netlink family FUSEWB_GENL_NAME, version FUSEWB_GENL_VERSION
 * --------------------------------------------------------------------
 * The family is there in the initial network namespace only.
 *
 * The enumerations below are the order on the wire; new entries are added at
 * the end only. All integers are in host byte order. A 64-bit attribute may be
 * preceded by a FUSEWB_A_*_PAD attribute, which carries nothing.
 *
 * FUSEWB_CMD_INFO_GET
 *	Request: no attributes. Anybody may ask.
 *	Reply: one FUSEWB_CMD_INFO_GET message with FUSEWB_A_INFO_*.
 *
 * FUSEWB_CMD_CONN_GET
 *	do: FUSEWB_A_CONN_ID names the connection; the reply is one
 *	FUSEWB_CMD_CONN_GET message with FUSEWB_A_CONN_*. -ENOENT if there is no
 *	such connection.
 *	dump: no attributes; one FUSEWB_CMD_CONN_GET message a connection, in
 *	ascending order of FUSEWB_A_CONN_ID. A connection that is there during
 *	the whole dump is reported exactly once.
 *	Anybody may ask; server pid and mount are what /proc shows as well.
 *
 * Multicast group FUSEWB_MCGRP_EVENTS: the same attributes as
 * FUSEWB_CMD_CONN_GET, as they were when the event happened:
 *
 * FUSEWB_CMD_CONN_ADDED	a file system was mounted on a descriptor
 * FUSEWB_CMD_CONN_READY	the server answered FUSE_INIT; mode and limits
 *				are final
 * FUSEWB_CMD_CONN_REMOVED	the file system is gone; the counters are final
 *
 * A receiver that cannot keep up gets ENOBUFS from its socket and dumps anew.
 */
#ifndef _UAPI_LINUX_FUSEWB_H
#define _UAPI_LINUX_FUSEWB_H

#define FUSEWB_FS_NAME		"fusewb"
#define FUSEWB_DEV_NAME		"fusewb"

#define FUSEWB_GENL_NAME	"fusewb"
#define FUSEWB_GENL_VERSION	1
#define FUSEWB_MCGRP_EVENTS	"events"

/**
 * enum fusewb_cmd - commands and events of the family
 *
 * The first two are requests and replies, the others events.
 */
enum fusewb_cmd {
	FUSEWB_CMD_UNSPEC,
	FUSEWB_CMD_INFO_GET,
	FUSEWB_CMD_CONN_GET,
	FUSEWB_CMD_CONN_ADDED,
	FUSEWB_CMD_CONN_READY,
	FUSEWB_CMD_CONN_REMOVED,
	__FUSEWB_CMD_MAX,
};

#define FUSEWB_CMD_MAX (__FUSEWB_CMD_MAX - 1)

/**
 * enum fusewb_writeback - how dirty data reach the server
 * @FUSEWB_WRITEBACK_THROUGH: the server has no writeback cache: write(2) is
 *	sent to it before it returns
 * @FUSEWB_WRITEBACK_COPY: written back later, from a copy made when the
 *	request is issued
 * @FUSEWB_WRITEBACK_DIRECT: written back later, straight from the page cache
 */
enum fusewb_writeback {
	FUSEWB_WRITEBACK_THROUGH,
	FUSEWB_WRITEBACK_COPY,
	FUSEWB_WRITEBACK_DIRECT,
};

/**
 * enum fusewb_conn_state - what a connection is doing
 * @FUSEWB_CONN_INIT: mounted, FUSE_INIT not answered yet
 * @FUSEWB_CONN_READY: serving
 * @FUSEWB_CONN_ABORTED: the server is gone or was given up; every request
 *	fails with ENOTCONN
 */
enum fusewb_conn_state {
	FUSEWB_CONN_INIT,
	FUSEWB_CONN_READY,
	FUSEWB_CONN_ABORTED,
};

/* Attributes of FUSEWB_CMD_INFO_GET. */
enum fusewb_attr_info {
	FUSEWB_A_INFO_UNSPEC,
	FUSEWB_A_INFO_PAD,
	FUSEWB_A_INFO_VERSION,		/* string: the module's version */
	FUSEWB_A_INFO_PROTO_MAJOR,	/* u32: FUSE protocol spoken */
	FUSEWB_A_INFO_PROTO_MINOR,	/* u32 */
	FUSEWB_A_INFO_CONNECTIONS,	/* u32: how many there are now */
	__FUSEWB_A_INFO_MAX,
};

#define FUSEWB_A_INFO_MAX (__FUSEWB_A_INFO_MAX - 1)

/* Attributes of a connection: FUSEWB_CMD_CONN_GET and the events. */
enum fusewb_attr_conn {
	FUSEWB_A_CONN_UNSPEC,
	FUSEWB_A_CONN_PAD,
	FUSEWB_A_CONN_ID,		/* u64: never used twice while loaded */
	FUSEWB_A_CONN_DEV,		/* u32: st_dev, as makedev(3) on 32 bit:
					 * minor & 0xff | major << 8 |
					 * (minor & ~0xff) << 12
					 */
	FUSEWB_A_CONN_STATE,		/* u32: enum fusewb_conn_state */
	FUSEWB_A_CONN_WRITEBACK,	/* u32: enum fusewb_writeback */
	FUSEWB_A_CONN_SERVER_PID,	/* u32: of the process that answered
					 * FUSE_INIT, before that of the opener
					 * of the device; in the receiver's pid
					 * namespace for replies, the initial
					 * one for events; 0: not visible there
					 */
	FUSEWB_A_CONN_SERVER_UID,	/* u32: effective uid of the opener of
					 * the device, initial user namespace
					 */
	FUSEWB_A_CONN_SUBTYPE,		/* string: absent if there is none */
	FUSEWB_A_CONN_PROTO_MINOR,	/* u32: negotiated; 0 before INIT */
	FUSEWB_A_CONN_MAX_WRITE,	/* u32: bytes */
	FUSEWB_A_CONN_MAX_READ,		/* u32: bytes */
	FUSEWB_A_CONN_COUNTERS,		/* nest: enum fusewb_attr_counter */
	__FUSEWB_A_CONN_MAX,
};

#define FUSEWB_A_CONN_MAX (__FUSEWB_A_CONN_MAX - 1)

/*
 * Attributes in FUSEWB_A_CONN_COUNTERS, all u64. Those marked "now" are
 * gauges, the others only grow.
 */
enum fusewb_attr_counter {
	FUSEWB_A_COUNTER_UNSPEC,
	FUSEWB_A_COUNTER_PAD,
	FUSEWB_A_COUNTER_REQUESTS,	/* requests queued */
	FUSEWB_A_COUNTER_ANSWERS,	/* requests answered by the server */
	FUSEWB_A_COUNTER_WAITING,	/* now: requests without an answer */
	FUSEWB_A_COUNTER_WRITE_REQUESTS, /* WRITEs issued by writeback */
	FUSEWB_A_COUNTER_BYTES_DIRECT,	/* written back from the page cache */
	FUSEWB_A_COUNTER_BYTES_COPIED,	/* written back from a copy */
	FUSEWB_A_COUNTER_BYTES_READ,	/* answered to READ */
	FUSEWB_A_COUNTER_BYTES_IN_FLIGHT, /* now: WRITE issued, no answer */
	FUSEWB_A_COUNTER_SKIPPED,	/* dirty folios passed over by
					 * writeback since an earlier version
					 * was in flight
					 */
	FUSEWB_A_COUNTER_WRITE_ERRORS,	/* WRITEs failed or abandoned */
	FUSEWB_A_COUNTER_DEADLINES,	/* requests past their deadline */
	FUSEWB_A_COUNTER_MIGRATE_AGAIN,	/* migrate_folio answered -EAGAIN */
	__FUSEWB_A_COUNTER_MAX,
};

#define FUSEWB_A_COUNTER_MAX (__FUSEWB_A_COUNTER_MAX - 1)

#endif /* _UAPI_LINUX_FUSEWB_H */
