// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUSE_INIT: what this client offers, what the server took, what follows.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "connection.h"
#include "init.h"
#include "request.h"
#include "super.h"

/* The answer before 7.23, the shortest that is understood: up to max_write. */
#define INIT_OUT_MIN offsetofend(struct fuse_init_out, max_write)

/* Before this, answers of other operations had other sizes. */
#define MINOR_MIN 12

#define OFFERED (FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |	\
		 FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ |	\
		 FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |			\
		 FUSE_WRITEBACK_CACHE | FUSE_PARALLEL_DIROPS |			\
		 FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT |		\
		 FUSE_MAX_PAGES | FUSE_INIT_EXT |				\
		 FUSE_SETXATTR_EXT | FUSE_POSIX_ACL | FUSE_DONT_MASK |		\
		 FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_HAS_RESEND |	\
		 FUSE_HAS_IOCTL_DIR | FUSE_HAS_EXPIRE_ONLY |		\
		 FUSE_AUTO_INVAL_DATA | FUSE_EXPLICIT_INVAL_DATA |		\
		 FUSE_CACHE_SYMLINKS | FUSE_EXPORT_SUPPORT |			\
		 FUSE_NO_EXPORT_SUPPORT | FUSE_HANDLE_KILLPRIV |		\
		 FUSE_HANDLE_KILLPRIV_V2 | FUSE_DIRECT_IO_ALLOW_MMAP |		\
		 FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP)

/* Without FUSE_MAX_PAGES a request has at most so many pages of 4 KiB. */
#define DEFAULT_MAX_PAGES 32

static void take_over(struct fusewb_conn *conn, const struct fuse_init_out *out)
{
	unsigned int max_pages = DEFAULT_MAX_PAGES;
	unsigned int limit;

	conn->minor = min_t(unsigned int, out->minor, FUSEWB_PROTO_MINOR);
	conn->flags = out->flags;
	if (conn->flags & FUSE_INIT_EXT)
		conn->flags |= (u64)out->flags2 << 32;
	conn->flags &= OFFERED;
	if (READ_ONCE(conn->policy.force_writeback_cache))
		conn->flags |= FUSE_WRITEBACK_CACHE;
	/* Without it nobody would look at the ACLs. */
	if (conn->flags & FUSE_POSIX_ACL)
		conn->opts.default_permissions = true;
	if (conn->flags & FUSE_MAX_PAGES)
		max_pages = max_t(unsigned int, out->max_pages, 1);
	limit = min_t(u64, (u64)max_pages << PAGE_SHIFT, FUSEWB_MAX_TRANSFER);

	/* The protocol promises the server's readers one page at least. */
	WRITE_ONCE(conn->server_max_write,
		   clamp_t(unsigned int, out->max_write, PAGE_SIZE, limit));
	conn->max_read = limit;
	if (conn->opts.max_read)
		conn->max_read = clamp_t(unsigned int, conn->opts.max_read, PAGE_SIZE, limit);
	conn->max_readahead = out->max_readahead;
	/* Zero: the server leaves it to the kernel; zero or more than 1 s is none. */
	conn->time_gran = out->time_gran && out->time_gran <= NSEC_PER_SEC ?
			  out->time_gran : 1;
	/* Before 7.13 there was nothing in its place. */
	if (conn->minor >= 13 && out->max_background) {
		spin_lock(&conn->queue.lock);
		conn->queue.max_background = out->max_background;
		spin_unlock(&conn->queue.lock);
	}
}

static void init_end(struct fusewb_req *req, int error)
{
	struct fusewb_conn *conn = req->conn;
	struct fuse_init_out out = {};

	memcpy(&out, req->out_args, min_t(size_t, req->out_args_len, sizeof(out)));
	/* Not by the error, which a server may answer, too. */
	if (fusewb_conn_aborted(conn))
		return;
	if (error || req->out_args_len < INIT_OUT_MIN || out.major != FUSEWB_PROTO_MAJOR ||
	    out.minor < MINOR_MIN) {
		if (!error)
			atomic64_inc(&conn->counters.malformed);
		pr_warn_ratelimited("connection %llu: the server refused FUSE_INIT (error %d) or speaks FUSE %u.%u; %u.%u to %u.%u is needed\n",
				    conn->id, error, out.major, out.minor, FUSEWB_PROTO_MAJOR,
				    MINOR_MIN, FUSEWB_PROTO_MAJOR, FUSEWB_PROTO_MINOR);
		fusewb_conn_abort(conn, FUSEWB_ABORT_INIT);
		return;
	}
	take_over(conn, &out);
	fusewb_policy_negotiated(conn);
	fusewb_super_negotiated(conn);
	fusewb_conn_set_server(conn);
	fusewb_conn_ready(conn);
}

int fusewb_conn_send_init(struct fusewb_conn *conn)
{
	struct fuse_init_in in = {
		.major = FUSEWB_PROTO_MAJOR,
		.minor = FUSEWB_PROTO_MINOR,
		.max_readahead = VM_READAHEAD_PAGES << PAGE_SHIFT,
		.flags = lower_32_bits(OFFERED),
		.flags2 = upper_32_bits(OFFERED),
	};
	struct fusewb_args args = {
		.opcode = FUSE_INIT,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_init_out) } },
		.nr_out = 1,
		.out_var = true,
		.nocreds = true,
	};
	struct fusewb_req *req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);

	if (!req)
		return -ENOMEM;
	req->end = init_end;
	fusewb_req_queue(req);
	return 0;
}
