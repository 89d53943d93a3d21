/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what happens to requests and folios. docs/tracing.md is their
 * manual.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM fusewb

#if !defined(FUSEWB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FUSEWB_TRACE_H

#include <linux/ktime.h>
#include <linux/tracepoint.h>

#include "connection.h"
#include "request.h"

/* Which request: the first fields of most events. */
#define FUSEWB_TRACE_REQ_FIELDS						\
	__field(u64, conn)						\
	__field(u64, unique)						\
	__field(u64, nodeid)						\
	__field(u32, opcode)

#define FUSEWB_TRACE_REQ_ASSIGN						\
	__entry->conn = req->conn->id;					\
	__entry->unique = req->in.unique;				\
	__entry->nodeid = req->in.nodeid;				\
	__entry->opcode = req->in.opcode

#define FUSEWB_TRACE_REQ_FORMAT "conn=%llu unique=%llu opcode=%u node=%llu"
#define FUSEWB_TRACE_REQ_VALUES						\
	__entry->conn, __entry->unique, __entry->opcode, __entry->nodeid

TRACE_EVENT(fusewb_queue,
	TP_PROTO(const struct fusewb_req *req),
	TP_ARGS(req),
	TP_STRUCT__entry(
		FUSEWB_TRACE_REQ_FIELDS
		__field(u32, len)
		__field(bool, background)
	),
	TP_fast_assign(
		FUSEWB_TRACE_REQ_ASSIGN;
		__entry->len = req->in.len;
		__entry->background = req->background;
	),
	TP_printk(FUSEWB_TRACE_REQ_FORMAT " len=%u background=%d",
		  FUSEWB_TRACE_REQ_VALUES, __entry->len, __entry->background)
);

TRACE_EVENT(fusewb_copy,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error),
	TP_STRUCT__entry(
		FUSEWB_TRACE_REQ_FIELDS
		__field(u32, len)
		__field(int, error)
	),
	TP_fast_assign(
		FUSEWB_TRACE_REQ_ASSIGN;
		__entry->len = req->in.len;
		__entry->error = error;
	),
	TP_printk(FUSEWB_TRACE_REQ_FORMAT " len=%u error=%d",
		  FUSEWB_TRACE_REQ_VALUES, __entry->len, __entry->error)
);

DECLARE_EVENT_CLASS(fusewb_aged,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error),
	TP_STRUCT__entry(
		FUSEWB_TRACE_REQ_FIELDS
		__field(int, error)
		__field(s64, usec)
	),
	TP_fast_assign(
		FUSEWB_TRACE_REQ_ASSIGN;
		__entry->error = error;
		__entry->usec = ktime_us_delta(ktime_get(), req->queued_at);
	),
	TP_printk(FUSEWB_TRACE_REQ_FORMAT " error=%d usec=%lld",
		  FUSEWB_TRACE_REQ_VALUES, __entry->error, __entry->usec)
);

DEFINE_EVENT(fusewb_aged, fusewb_hand_over,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error));

DEFINE_EVENT(fusewb_aged, fusewb_answer,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error));

DEFINE_EVENT(fusewb_aged, fusewb_deadline,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error));

DEFINE_EVENT(fusewb_aged, fusewb_recall,
	TP_PROTO(const struct fusewb_req *req, int error),
	TP_ARGS(req, error));

TRACE_EVENT(fusewb_retarget,
	TP_PROTO(u64 conn, u64 nodeid, u64 offset, unsigned int requests, int error),
	TP_ARGS(conn, nodeid, offset, requests, error),
	TP_STRUCT__entry(
		__field(u64, conn)
		__field(u64, nodeid)
		__field(u64, offset)
		__field(unsigned int, requests)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->nodeid = nodeid;
		__entry->offset = offset;
		__entry->requests = requests;
		__entry->error = error;
	),
	TP_printk("conn=%llu node=%llu offset=%llu requests=%u error=%d",
		  __entry->conn, __entry->nodeid, __entry->offset, __entry->requests,
		  __entry->error)
);

#define FUSEWB_WAIT_ANSWER	0
#define FUSEWB_WAIT_IN_FLIGHT	1
#define FUSEWB_WAIT_RESERVE	2

TRACE_EVENT(fusewb_wait,
	TP_PROTO(u64 conn, u64 nodeid, int what, ktime_t since, int error),
	TP_ARGS(conn, nodeid, what, since, error),
	TP_STRUCT__entry(
		__field(u64, conn)
		__field(u64, nodeid)
		__field(int, what)
		__field(int, error)
		__field(s64, usec)
	),
	TP_fast_assign(
		__entry->conn = conn;
		__entry->nodeid = nodeid;
		__entry->what = what;
		__entry->error = error;
		__entry->usec = ktime_us_delta(ktime_get(), since);
	),
	TP_printk("conn=%llu node=%llu for=%s error=%d usec=%lld",
		  __entry->conn, __entry->nodeid,
		  __print_symbolic(__entry->what,
				   { FUSEWB_WAIT_ANSWER, "answer" },
				   { FUSEWB_WAIT_IN_FLIGHT, "in-flight" },
				   { FUSEWB_WAIT_RESERVE, "reserve" }),
		  __entry->error, __entry->usec)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
