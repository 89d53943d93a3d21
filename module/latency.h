/* SPDX-License-Identifier: GPL-2.0-only */
/* How long servers take: FUSEWB_A_CONN_LATENCY. */
#ifndef FUSEWB_LATENCY_H
#define FUSEWB_LATENCY_H

#include <linux/bitops.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "connection.h"
#include "request.h"

/** fusewb_latency_answered() - count a request that the server has answered. */
static inline void fusewb_latency_answered(struct fusewb_req *req)
{
	u64 usec = ktime_us_delta(ktime_get(), req->queued_at);
	unsigned int bucket = min(fls64(usec), FUSEWB_LATENCY_BUCKETS - 1);

	atomic64_inc(&req->conn->latency[fusewb_class_of(req->in.opcode)][bucket]);
}

#endif
