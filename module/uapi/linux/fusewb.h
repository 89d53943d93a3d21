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
 * Whoever may change something needs CAP_SYS_ADMIN in the initial user
 * namespace; the others get EPERM. Everything else anybody may ask. A request
 * that is refused changes nothing; the extended acknowledgment says why and
 * points at the attribute.
 *
 * FUSEWB_CMD_INFO_GET
 *	Request: no attributes.
 *	Reply: one FUSEWB_CMD_INFO_GET message with FUSEWB_A_INFO_*.
 *
 * FUSEWB_CMD_CONN_GET
 *	do: FUSEWB_A_CONN_ID names the connection; the reply is one
 *	FUSEWB_CMD_CONN_GET message with FUSEWB_A_CONN_*. ENOENT if there is no
 *	such connection.
 *	dump: no attributes; one FUSEWB_CMD_CONN_GET message a connection, in
 *	ascending order of FUSEWB_A_CONN_ID. A connection that is there during
 *	the whole dump is reported exactly once.
 *	Server pid and mount are what /proc shows as well.
 *
 * FUSEWB_CMD_POLICY_GET
 *	Request: no attributes.
 *	Reply: one FUSEWB_CMD_POLICY_GET message with both FUSEWB_A_DEFAULT_*,
 *	each with every FUSEWB_A_POLICY_*.
 *
 * FUSEWB_CMD_POLICY_SET (change)
 *	FUSEWB_A_DEFAULT_PRIVILEGED, FUSEWB_A_DEFAULT_OTHERS or both, each with
 *	those FUSEWB_A_POLICY_* that are to change. They apply to connections
 *	made from then on; those that exist keep theirs. EINVAL if there is
 *	nothing to change or a value is out of its range.
 *
 * FUSEWB_CMD_CONN_SET (change)
 *	FUSEWB_A_CONN_ID and FUSEWB_A_CONN_POLICY with those FUSEWB_A_POLICY_*
 *	that are to change. In force when the acknowledgment comes, for requests
 *	that are under way too: they are held to the new deadlines, and one
 *	that is past its new deadline expires at once. ENOENT if there is no
 *	such connection.
 *
 * FUSEWB_CMD_CONN_ABORT (change)
 *	FUSEWB_A_CONN_ID. Every request of the connection ends with ENOTCONN.
 *	The reason is told as FUSEWB_ABORT_REQUESTED. No error if the connection
 *	was aborted before; ENOENT if there is no such connection.
 *
 * FUSEWB_CMD_REQUEST_GET
 *	dump: one FUSEWB_CMD_REQUEST_GET message with FUSEWB_A_REQUEST_* for each
 *	request without an answer, the connections in ascending order of their
 *	id, the requests of each in the order in which they were made. Of the
 *	attributes in the request FUSEWB_A_REQUEST_CONN_ID limits it to one
 *	connection, FUSEWB_A_REQUEST_AGE_USEC to requests of at least this age.
 *	A request that has no answer during the whole dump is reported exactly
 *	once.
 *
 * Multicast group FUSEWB_MCGRP_EVENTS. The first five carry the attributes of
 * FUSEWB_CMD_CONN_GET, as they were when the event happened:
 *
 * FUSEWB_CMD_CONN_ADDED	a file system was mounted on a descriptor
 * FUSEWB_CMD_CONN_READY	the server answered FUSE_INIT; mode and limits
 *				are final
 * FUSEWB_CMD_CONN_CHANGED	FUSEWB_CMD_CONN_SET changed its policy
 * FUSEWB_CMD_CONN_ABORTED	it was given up; FUSEWB_A_CONN_ABORT_REASON says
 *				why
 * FUSEWB_CMD_CONN_REMOVED	the file system is gone; the counters are final
 *
 * FUSEWB_CMD_DEADLINE_EXPIRED	FUSEWB_A_REQUEST_* with the request that is late,
 *				and FUSEWB_A_REQUEST_ACTION with what was done
 * FUSEWB_CMD_POLICY_CHANGED	the FUSEWB_A_DEFAULT_* that
 *				FUSEWB_CMD_POLICY_SET changed
 *
 * A receiver that cannot keep up gets ENOBUFS from its socket and dumps anew;
 * so do all receivers when the kernel has no memory for an event.
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
 */
enum fusewb_cmd {
	FUSEWB_CMD_UNSPEC,
	FUSEWB_CMD_INFO_GET,
	FUSEWB_CMD_CONN_GET,
	FUSEWB_CMD_CONN_ADDED,
	FUSEWB_CMD_CONN_READY,
	FUSEWB_CMD_CONN_REMOVED,
	FUSEWB_CMD_POLICY_GET,
	FUSEWB_CMD_POLICY_SET,
	FUSEWB_CMD_CONN_SET,
	FUSEWB_CMD_CONN_ABORT,
	FUSEWB_CMD_REQUEST_GET,
	FUSEWB_CMD_CONN_CHANGED,
	FUSEWB_CMD_CONN_ABORTED,
	FUSEWB_CMD_DEADLINE_EXPIRED,
	FUSEWB_CMD_POLICY_CHANGED,
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

/**
 * enum fusewb_abort_reason - why a connection was given up
 * @FUSEWB_ABORT_NONE: it was not
 * @FUSEWB_ABORT_DEVICE_CLOSED: the last descriptor of the device was closed:
 *	the server exited or was killed
 * @FUSEWB_ABORT_REQUESTED: FUSEWB_CMD_CONN_ABORT
 * @FUSEWB_ABORT_DEADLINE: a request expired and the policy says so
 * @FUSEWB_ABORT_UMOUNT_FORCED: umount2(2) with MNT_FORCE
 * @FUSEWB_ABORT_INIT: the server refused FUSE_INIT, or its answer made no sense
 * @FUSEWB_ABORT_UNMOUNTED: the file system was unmounted and the server did not
 *	answer what was left
 */
enum fusewb_abort_reason {
	FUSEWB_ABORT_NONE,
	FUSEWB_ABORT_DEVICE_CLOSED,
	FUSEWB_ABORT_REQUESTED,
	FUSEWB_ABORT_DEADLINE,
	FUSEWB_ABORT_UMOUNT_FORCED,
	FUSEWB_ABORT_INIT,
	FUSEWB_ABORT_UNMOUNTED,
};

/**
 * enum fusewb_class - classes of operations
 * @FUSEWB_CLASS_WRITEBACK: WRITE, FSYNC, FSYNCDIR, FLUSH
 * @FUSEWB_CLASS_METADATA: what is in no other class
 * @FUSEWB_CLASS_READ: READ, READDIR, READDIRPLUS, READLINK
 * @FUSEWB_CLASS_LOCK: GETLK, SETLK, SETLKW
 * @FUSEWB_CLASS_ALL: no class of its own: its deadline is that of the requests
 *	whose class has none
 */
enum fusewb_class {
	FUSEWB_CLASS_WRITEBACK,
	FUSEWB_CLASS_METADATA,
	FUSEWB_CLASS_READ,
	FUSEWB_CLASS_LOCK,
	FUSEWB_CLASS_ALL,
};

/**
 * enum fusewb_action - what happens to a request that is past its deadline
 * @FUSEWB_ACTION_REPORT: it is counted and told, and waits on
 * @FUSEWB_ACTION_FAIL: it ends with ETIMEDOUT. What a late answer brings is
 *	given back to the server. The data of a WRITE that the server has not
 *	been given stay dirty and are sent again later; of one that it has, the
 *	loss is reported by fsync(2), and nothing is sent over the same bytes
 *	until the server has answered or the connection is aborted. A request
 *	that gives something back to the server (RELEASE, DESTROY) waits on.
 * @FUSEWB_ACTION_ABORT: the connection is aborted
 */
enum fusewb_action {
	FUSEWB_ACTION_REPORT,
	FUSEWB_ACTION_FAIL,
	FUSEWB_ACTION_ABORT,
};

/**
 * enum fusewb_request_state - where a request is
 * @FUSEWB_REQUEST_QUEUED: the server has not read it
 * @FUSEWB_REQUEST_COPYING: a thread of the server is being given it
 * @FUSEWB_REQUEST_SENT: the server has it
 * @FUSEWB_REQUEST_ANSWERING: a thread of the server is giving the answer
 * @FUSEWB_REQUEST_ABANDONED: it ended with ETIMEDOUT, or who waited was killed;
 *	the server has it and has not answered
 */
enum fusewb_request_state {
	FUSEWB_REQUEST_QUEUED,
	FUSEWB_REQUEST_COPYING,
	FUSEWB_REQUEST_SENT,
	FUSEWB_REQUEST_ANSWERING,
	FUSEWB_REQUEST_ABANDONED,
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

/* Attributes of a connection: FUSEWB_CMD_CONN_* and the events. */
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
					 * one for events; 0: not visible there,
					 * or it has ended. The number is that
					 * process's for as long as it is told
					 */
	FUSEWB_A_CONN_SERVER_UID,	/* u32: effective uid of the opener of
					 * the device, initial user namespace
					 */
	FUSEWB_A_CONN_SUBTYPE,		/* string: absent if there is none */
	FUSEWB_A_CONN_PROTO_MINOR,	/* u32: negotiated; 0 before INIT */
	FUSEWB_A_CONN_MAX_WRITE,	/* u32: bytes */
	FUSEWB_A_CONN_MAX_READ,		/* u32: bytes */
	FUSEWB_A_CONN_COUNTERS,		/* nest: enum fusewb_attr_counter */
	FUSEWB_A_CONN_POLICY,		/* nest: enum fusewb_attr_policy */
	FUSEWB_A_CONN_LATENCY,		/* nest: enum fusewb_attr_latency */
	FUSEWB_A_CONN_ABORT_REASON,	/* u32: enum fusewb_abort_reason */
	FUSEWB_A_CONN_SERVER_GID,	/* u32: effective gid of the opener of
					 * the device, initial user namespace
					 */
	/*
	 * u8: 1: the opener had CAP_SYS_ADMIN in the initial user namespace,
	 * which chose the default policy
	 */
	FUSEWB_A_CONN_SERVER_PRIVILEGED,
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
	FUSEWB_A_COUNTER_MALFORMED,	/* answers and notifications that
					 * cannot be
					 */
	FUSEWB_A_COUNTER_RETARGETS,	/* folios migrated while a WRITE had them */
	FUSEWB_A_COUNTER_RETRIES,	/* WRITEs queued again, for the server
					 * answered EAGAIN, EINTR or ENOMEM
					 */
	__FUSEWB_A_COUNTER_MAX,
};

#define FUSEWB_A_COUNTER_MAX (__FUSEWB_A_COUNTER_MAX - 1)

/* Attributes of FUSEWB_CMD_POLICY_*. */
enum fusewb_attr_default {
	FUSEWB_A_DEFAULT_UNSPEC,
	FUSEWB_A_DEFAULT_PRIVILEGED,	/* nest: enum fusewb_attr_policy, for
					 * connections whose device was opened
					 * with CAP_SYS_ADMIN in the initial user
					 * namespace
					 */
	FUSEWB_A_DEFAULT_OTHERS,	/* nest: the same for all others */
	__FUSEWB_A_DEFAULT_MAX,
};

#define FUSEWB_A_DEFAULT_MAX (__FUSEWB_A_DEFAULT_MAX - 1)

/* Attributes of a policy. Durations are in milliseconds. */
enum fusewb_attr_policy {
	FUSEWB_A_POLICY_UNSPEC,
	FUSEWB_A_POLICY_WRITEBACK,	/* u32: enum fusewb_writeback, COPY or
					 * DIRECT. The mount option writeback=
					 * can restrict it further; what is in
					 * force is FUSEWB_A_CONN_WRITEBACK
					 */
	/* u32: since the request was made, by class; 0: that of DEADLINE_ALL */
	FUSEWB_A_POLICY_DEADLINE_WRITEBACK,
	FUSEWB_A_POLICY_DEADLINE_METADATA,
	FUSEWB_A_POLICY_DEADLINE_READ,
	FUSEWB_A_POLICY_DEADLINE_LOCK,
	FUSEWB_A_POLICY_DEADLINE_ALL,	/* u32: 0: none */
	FUSEWB_A_POLICY_ACTION,		/* u32: enum fusewb_action */
	FUSEWB_A_POLICY_RETRY,		/* u32: how long a WRITE that was answered
					 * with EAGAIN, EINTR or ENOMEM is tried
					 * again
					 */
	FUSEWB_A_POLICY_SYNC_WAITS,	/* u8: 1: sync(2) waits for the server */
	/* u32: 1 to 100, percent of the dirty memory of the system */
	FUSEWB_A_POLICY_MAX_DIRTY_RATIO,
	FUSEWB_A_POLICY_STRICT_LIMIT,	/* u8: 1: that limit holds even while the
					 * system is below its own; 0: only a
					 * server that does not answer is
					 * limited then
					 */
	FUSEWB_A_POLICY_MAX_WRITE,	/* u32: bytes in one WRITE at most, a
					 * page at least; 0: what the server
					 * asked for
					 */
	FUSEWB_A_POLICY_SPLICE_FOLIOS,	/* u8: 1: a server that splices is given
					 * pages of the page cache, not copies
					 */
	/*
	 * u8: 1: written back later even if the server did not ask for
	 * FUSE_WRITEBACK_CACHE; looked at when FUSE_INIT is answered
	 */
	FUSEWB_A_POLICY_FORCE_WRITEBACK_CACHE,
	__FUSEWB_A_POLICY_MAX,
};

#define FUSEWB_A_POLICY_MAX (__FUSEWB_A_POLICY_MAX - 1)

/*
 * Attributes in FUSEWB_A_CONN_LATENCY, a histogram each: a binary array of
 * FUSEWB_LATENCY_BUCKETS u64 (not aligned to 8 bytes in the message). Element
 * 0 counts the requests answered in less than a microsecond, element n those
 * in less than 2^n microseconds but not less than 2^(n-1), the last one all
 * that took longer. The time runs from the making of the request.
 */
enum fusewb_attr_latency {
	FUSEWB_A_LATENCY_UNSPEC,
	FUSEWB_A_LATENCY_WRITEBACK,
	FUSEWB_A_LATENCY_METADATA,
	FUSEWB_A_LATENCY_READ,
	FUSEWB_A_LATENCY_LOCK,
	__FUSEWB_A_LATENCY_MAX,
};

#define FUSEWB_A_LATENCY_MAX (__FUSEWB_A_LATENCY_MAX - 1)
#define FUSEWB_LATENCY_BUCKETS 32

/*
 * Attributes of a request without an answer: FUSEWB_CMD_REQUEST_GET and
 * FUSEWB_CMD_DEADLINE_EXPIRED.
 */
enum fusewb_attr_request {
	FUSEWB_A_REQUEST_UNSPEC,
	FUSEWB_A_REQUEST_PAD,
	FUSEWB_A_REQUEST_CONN_ID,	/* u64: of its connection */
	FUSEWB_A_REQUEST_UNIQUE,	/* u64: as in struct fuse_in_header */
	FUSEWB_A_REQUEST_OPCODE,	/* u32: enum fuse_opcode */
	FUSEWB_A_REQUEST_CLASS,		/* u32: enum fusewb_class */
	FUSEWB_A_REQUEST_NODEID,	/* u64: as in struct fuse_in_header */
	FUSEWB_A_REQUEST_STATE,		/* u32: enum fusewb_request_state */
	FUSEWB_A_REQUEST_AGE_USEC,	/* u64: microseconds since it was made */
	FUSEWB_A_REQUEST_PID,		/* u32: of who asked, in the receiver's
					 * pid namespace for replies, the initial
					 * one for events; 0: the kernel itself,
					 * or not visible there
					 */
	FUSEWB_A_REQUEST_UID,		/* u32: of who asked, initial user
					 * namespace; absent if the kernel asks
					 */
	FUSEWB_A_REQUEST_DEADLINE_MS,	/* u32: in force for it; 0: none */
	FUSEWB_A_REQUEST_BYTES,		/* u32: payload, of READ or WRITE etc. */
	FUSEWB_A_REQUEST_ACTION,	/* u32: enum fusewb_action; only in
					 * FUSEWB_CMD_DEADLINE_EXPIRED
					 */
	__FUSEWB_A_REQUEST_MAX,
};

#define FUSEWB_A_REQUEST_MAX (__FUSEWB_A_REQUEST_MAX - 1)

#endif /* _UAPI_LINUX_FUSEWB_H */
