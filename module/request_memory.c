// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of requests: the objects, their arguments and payload, and the reserve
 * with which a connection's WRITEs can be made when nothing can be allocated.
 */
#include <linux/cred.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "compat/compat.h"
#include "connection.h"
#include "request.h"
#include "trace.h"
#include "waits.h"

static struct kmem_cache *req_cache;
static struct kmem_cache *spans_cache;

/* Two WRITEs of a connection can be built when nothing can be allocated. */
#define RESERVE 2

/* And a folio of the largest order that write(2) makes can be copied. */
#define RESERVE_PAGES 16

/* How soon to look whether others have freed memory. */
#define RESERVE_PATIENCE (HZ / 10)

/* Neither warns nor tries for long: there is the reserve, or another time. */
#define GFP_WRITEBACK (GFP_NOFS | __GFP_NORETRY | __GFP_NOWARN)
#define GFP_RESERVE (GFP_NOWAIT | __GFP_NOWARN)

/*
 * The kernel's own pools of slab objects refuse caches with a constructor, for
 * they may write to what they keep. Nothing here minds.
 */
static void *alloc_object(gfp_t gfp, void *cache)
{
	return kmem_cache_alloc(cache, gfp);
}

static void free_object(void *object, void *cache)
{
	kmem_cache_free(cache, object);
}

int fusewb_req_reserve_init(struct fusewb_conn *conn)
{
	int err;

	init_waitqueue_head(&conn->reserve_wait);
	err = mempool_init(&conn->req_reserve, RESERVE, alloc_object, free_object, req_cache);
	if (!err)
		err = mempool_init(&conn->spans_reserve, RESERVE, alloc_object, free_object,
				   spans_cache);
	if (!err)
		err = mempool_init_page_pool(&conn->copy_reserve, RESERVE_PAGES, 0);
	return err;
}

void fusewb_req_reserve_exit(struct fusewb_conn *conn)
{
	mempool_exit(&conn->req_reserve);
	mempool_exit(&conn->spans_reserve);
	mempool_exit(&conn->copy_reserve);
}

int fusewb_req_wait_reserve(struct fusewb_conn *conn)
{
	ktime_t since = ktime_get();
	DEFINE_WAIT(wait);
	int err;

	/* A request that was freed just before is found soon enough. */
	prepare_to_wait(&conn->reserve_wait, &wait, FUSEWB_KILLABLE);
	schedule_timeout(RESERVE_PATIENCE);
	finish_wait(&conn->reserve_wait, &wait);
	err = fatal_signal_pending(current) ? -EINTR : 0;
	trace_fusewb_wait(conn->id, 0, FUSEWB_WAIT_RESERVE, since, err);
	return err;
}

/* Arguments of the message and room for those of the answer, in one piece. */
static int set_args(struct fusewb_req *req, const struct fusewb_args *args, gfp_t gfp)
{
	size_t in_size = 0, out_size = 0, out_off;
	unsigned int i;
	u8 *p;

	for (i = 0; i < args->nr_in; i++)
		in_size += args->in[i].len;
	in_size += args->ext_len;
	for (i = 0; i < args->nr_out; i++)
		out_size += args->out[i].len;
	out_off = ALIGN(in_size, sizeof(u64));

	p = req->inline_args;
	if (out_off + out_size > FUSEWB_INLINE_ARGS) {
		p = kvmalloc(out_off + out_size, gfp | __GFP_ACCOUNT);
		if (!p)
			return -ENOMEM;
	}
	req->in_args = p;
	req->in_args_len = in_size;
	req->out_args = p + out_off;
	req->out_args_size = out_size;
	for (i = 0; i < args->nr_in; i++) {
		memcpy(p, args->in[i].data, args->in[i].len);
		p += args->in[i].len;
	}
	if (args->ext_len)
		memcpy(p, args->ext, args->ext_len);
	req->in.total_extlen = args->ext_len / sizeof(u64);
	req->out_var = args->out_var;
	req->in.opcode = args->opcode;
	req->in.nodeid = args->nodeid;
	return 0;
}

static void init_req(struct fusewb_req *req, struct fusewb_conn *conn)
{
	memset(req, 0, sizeof(*req));
	kref_init(&req->ref);
	INIT_LIST_HEAD(&req->link);
	INIT_LIST_HEAD(&req->interrupt_link);
	req->conn = fusewb_conn_get(conn);
	mutex_init(&req->copying);
	init_waitqueue_head(&req->wait);
	INIT_LIST_HEAD(&req->unanswered);
	INIT_LIST_HEAD(&req->late);
}

struct fusewb_req *fusewb_req_alloc(struct fusewb_conn *conn,
				    const struct fusewb_args *args,
				    unsigned int max_spans, gfp_t gfp)
{
	struct fusewb_req *req = kmem_cache_alloc(req_cache, gfp);

	if (!req)
		return NULL;
	init_req(req, conn);
	if (set_args(req, args, gfp))
		goto fail;
	if (max_spans) {
		req->spans = kvmalloc_array(max_spans, sizeof(*req->spans), gfp);
		if (!req->spans)
			goto fail;
		req->max_spans = max_spans;
	}
	if (!args->nocreds)
		fusewb_req_set_creds(req);
	return req;
fail:
	fusewb_req_put(req);
	return NULL;
}

/* Without reclaim, then from the reserve; what is left is to reclaim. */
static void *alloc_reserved(mempool_t *reserve, struct kmem_cache *cache)
{
	return mempool_alloc(reserve, GFP_RESERVE) ?: kmem_cache_alloc(cache, GFP_WRITEBACK);
}

struct fusewb_req *fusewb_req_alloc_writeback(struct fusewb_conn *conn,
					      const struct fusewb_args *args)
{
	struct fusewb_req *req = alloc_reserved(&conn->req_reserve, req_cache);

	if (!req)
		return NULL;
	init_req(req, conn);
	req->spans_reserved = true;
	req->spans = alloc_reserved(&conn->spans_reserve, spans_cache);
	if (!req->spans) {
		fusewb_req_put(req);
		return NULL;
	}
	req->max_spans = FUSEWB_WRITEBACK_SPANS;
	/* The arguments of a WRITE fit in line: nothing is allocated here. */
	WARN_ON_ONCE(set_args(req, args, GFP_NOFS));
	return req;
}

struct fusewb_req *fusewb_req_get(struct fusewb_req *req)
{
	kref_get(&req->ref);
	return req;
}

static void drop_span(struct fusewb_req *req, struct fusewb_span *span)
{
	/* Whoever else has a reference is to find the page as it is. */
	if (span->reserved && folio_ref_count(span->folio) == 1)
		mempool_free(folio_page(span->folio, 0), &req->conn->copy_reserve);
	else
		folio_put(span->folio);
}

static void drop_spans(struct fusewb_req *req)
{
	unsigned int i;

	for (i = 0; i < req->nr_spans; i++)
		drop_span(req, &req->spans[i]);
	req->nr_spans = 0;
}

static void free_spans(struct fusewb_req *req)
{
	if (!req->spans_reserved)
		kvfree(req->spans);
	else if (req->spans)
		mempool_free(req->spans, &req->conn->spans_reserve);
}

static void free_req(struct kref *ref)
{
	struct fusewb_req *req = container_of(ref, struct fusewb_req, ref);
	struct fusewb_conn *conn = req->conn;

	WARN_ON_ONCE(!list_empty(&req->interrupt_link));
	drop_spans(req);
	free_spans(req);
	if (req->in_args != req->inline_args)
		kvfree(req->in_args);
	mutex_destroy(&req->copying);
	put_pid(req->pid);
	mempool_free(req, &conn->req_reserve);
	/* Who is missed because he is about to wait looks again soon. */
	if (waitqueue_active(&conn->reserve_wait))
		wake_up_all(&conn->reserve_wait);
	fusewb_conn_put(conn);
}

void fusewb_req_put(struct fusewb_req *req)
{
	kref_put(&req->ref, free_req);
}

bool fusewb_req_keeps_payload(const struct fusewb_req *req)
{
	return !req->payload_in || req->io.copied || req->conn->flags & FUSE_HAS_RESEND;
}

void fusewb_req_drop_payload(struct fusewb_req *req)
{
	mutex_lock(&req->copying);
	drop_spans(req);
	mutex_unlock(&req->copying);
}

/* Takes over the caller's reference. */
static void add_span(struct fusewb_req *req, struct folio *folio, size_t off, size_t len,
		     bool reserved)
{
	if (WARN_ON_ONCE(req->nr_spans >= req->max_spans)) {
		folio_put(folio);
		return;
	}
	req->spans[req->nr_spans++] = (struct fusewb_span) {
		.folio = folio,
		.off = off,
		.len = len,
		.reserved = reserved,
	};
	req->payload_len += len;
}

void fusewb_req_add_span(struct fusewb_req *req, struct folio *folio,
			 size_t off, size_t len)
{
	folio_get(folio);
	add_span(req, folio, off, len, false);
}

void fusewb_req_trim(struct fusewb_req *req, unsigned int nr)
{
	while (req->nr_spans > nr) {
		struct fusewb_span *span = &req->spans[--req->nr_spans];

		req->payload_len -= span->len;
		drop_span(req, span);
	}
}

bool fusewb_req_more_spans(struct fusewb_req *req, size_t len)
{
	/* The first and the last may be parts of pages. */
	unsigned int max = DIV_ROUND_UP(len, PAGE_SIZE) + 1;
	struct fusewb_span *spans = kvmalloc_array(max, sizeof(*spans), GFP_WRITEBACK);

	if (!spans)
		return false;
	memcpy(spans, req->spans, req->nr_spans * sizeof(*spans));
	free_spans(req);
	req->spans = spans;
	req->max_spans = max;
	req->spans_reserved = false;
	return true;
}

/* A folio of no more than @len bytes, or of a page; NULL. */
static struct folio *alloc_piece(size_t len, gfp_t gfp)
{
	unsigned int order = 0;
	struct folio *folio = NULL;

	/* Larger pieces are cheaper, but never worth waiting for. */
	if (len >= PAGE_SIZE)
		order = min_t(unsigned int, ilog2(len >> PAGE_SHIFT), PAGE_ALLOC_COSTLY_ORDER);
	if (order)
		folio = folio_alloc(gfp | __GFP_NORETRY | __GFP_NOWARN, order);
	return folio ?: folio_alloc(gfp, 0);
}

int fusewb_req_alloc_payload(struct fusewb_req *req, size_t len, gfp_t gfp)
{
	while (len) {
		struct folio *folio = alloc_piece(len, gfp);
		size_t n;

		if (!folio)
			return -ENOMEM;
		n = min(len, folio_size(folio));
		add_span(req, folio, 0, n, false);
		len -= n;
	}
	return 0;
}

bool fusewb_req_alloc_copy(struct fusewb_req *req, size_t len)
{
	unsigned int before = req->nr_spans;

	while (len) {
		struct folio *folio = alloc_piece(len, GFP_WRITEBACK);
		bool reserved = !folio;
		size_t n;

		if (reserved) {
			struct page *page = mempool_alloc(&req->conn->copy_reserve, GFP_RESERVE);

			if (!page) {
				fusewb_req_trim(req, before);
				return false;
			}
			folio = page_folio(page);
		}
		n = min(len, folio_size(folio));
		add_span(req, folio, 0, n, reserved);
		len -= n;
	}
	return true;
}

void fusewb_req_set_creds(struct fusewb_req *req)
{
	struct fusewb_conn *conn = req->conn;

	req->in.uid = from_kuid_munged(conn->user_ns, current_fsuid());
	req->in.gid = from_kgid_munged(conn->user_ns, current_fsgid());
	req->in.pid = pid_nr_ns(task_pid(current), conn->pid_ns);
	req->pid = get_pid(task_pid(current));
	req->uid = current_fsuid();
}

/*
 * What has a constructor is not filled with zeroes at each allocation, as kernels
 * that are built so do (init_on_alloc): nothing here is read before it was written.
 */
static void constructed(void *object)
{
}

int fusewb_req_init_caches(void)
{
	/*
	 * What the device copies: both headers and the arguments in line. Not
	 * charged to a memory group: a request has a task that waits for it, or
	 * dirty data that was charged, or brings both to their end.
	 */
	req_cache = kmem_cache_create_usercopy("fusewb_req", sizeof(struct fusewb_req), 0, 0,
					       offsetof(struct fusewb_req, in),
					       offsetofend(struct fusewb_req, inline_args) -
					       offsetof(struct fusewb_req, in), constructed);
	spans_cache = kmem_cache_create("fusewb_spans",
					FUSEWB_WRITEBACK_SPANS * sizeof(struct fusewb_span), 0, 0,
					constructed);
	if (req_cache && spans_cache)
		return 0;
	fusewb_req_destroy_caches();
	return -ENOMEM;
}

void fusewb_req_destroy_caches(void)
{
	kmem_cache_destroy(spans_cache);
	kmem_cache_destroy(req_cache);
}
