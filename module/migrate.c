// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migration.
 *
 * The core of the kernel moves a folio whose references it can all explain. One
 * that waits in a request has more, by as many spans as refer to it. Here they
 * are explained, and then the spans are pointed at the new folio: whoever sends
 * the request later, or once more, finds the same bytes there.
 *
 * The folio is locked, so it joins no request meanwhile. What its requests have
 * of it is kept still by their copying locks, which are tried, never waited
 * for: migration goes on elsewhere while a server's thread copies. A reference
 * that no span explains, of a pipe that the folio was spliced to or of somebody
 * who pinned it, makes the core refuse, as it should.
 */
#include <linux/fs.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "request.h"
#include "trace.h"

/* A folio is in more than one request only if it is larger than they may be. */
#define MAX_REQUESTS 8

/**
 * struct users - the requests that have bytes of a folio
 * @reqs: a reference on each
 * @nr: how many
 * @locked: how many of them have their copying lock held
 * @refs: references on the folio that their spans hold
 */
struct users {
	struct fusewb_req *reqs[MAX_REQUESTS];
	unsigned int nr;
	unsigned int locked;
	unsigned int refs;
};

static bool note_user(struct fusewb_range *range, void *arg)
{
	struct users *users = arg;

	if (users->nr == MAX_REQUESTS)
		return false;
	users->reqs[users->nr++] =
		fusewb_req_get(container_of(range, struct fusewb_req, io.range));
	return true;
}

/* One that is being built has spans that nothing guards. */
static bool is_new(struct fusewb_req *req)
{
	struct fusewb_queue *q = &req->conn->queue;
	bool ret;

	spin_lock(&q->lock);
	ret = req->state == FUSEWB_REQ_NEW;
	spin_unlock(&q->lock);
	return ret;
}

static void put_users(struct users *users)
{
	unsigned int i;

	for (i = 0; i < users->nr; i++) {
		if (i < users->locked)
			mutex_unlock(&users->reqs[i]->copying);
		fusewb_req_put(users->reqs[i]);
	}
}

/* Return: 0, or -EAGAIN if their spans cannot be had now. */
static int get_users(struct fusewb_inode *fi, struct folio *folio, struct users *users)
{
	u64 first = folio_pos(folio);
	unsigned int i;

	if (!fusewb_inflight_each(fi, first, first + folio_size(folio) - 1, note_user, users))
		return -EAGAIN;

	while (users->locked < users->nr) {
		struct fusewb_req *req = users->reqs[users->locked];

		if (is_new(req) || !mutex_trylock(&req->copying))
			return -EAGAIN;
		users->locked++;
		for (i = 0; i < req->nr_spans; i++)
			users->refs += req->spans[i].folio == folio;
	}
	return 0;
}

static int retarget(struct address_space *mapping, struct folio *dst, struct folio *src,
		    struct users *users)
{
	unsigned int i, j;
	int err;

	err = folio_migrate_mapping(mapping, dst, src, users->refs);
	if (err)
		return err;
	if (folio_get_private(src))
		folio_attach_private(dst, folio_detach_private(src));
	compat_migrate_contents(dst, src);

	for (i = 0; i < users->nr; i++) {
		struct fusewb_req *req = users->reqs[i];

		for (j = 0; j < req->nr_spans; j++) {
			if (req->spans[j].folio != src)
				continue;
			folio_get(dst);
			req->spans[j].folio = dst;
			folio_put(src);
		}
	}
	return 0;
}

bool fusewb_migrating(struct fusewb_inode *fi)
{
	/* After the look at the page cache, whose entries are published with release. */
	smp_rmb();
	return atomic_read_acquire(&fi->migrating);
}

int fusewb_migrate_folio(struct address_space *mapping, struct folio *dst,
			 struct folio *src, enum migrate_mode mode)
{
	struct inode *inode = mapping->host;
	struct fusewb_counters *counters = &fusewb_inode_conn(inode)->counters;
	struct users users = {};
	u64 pos = folio_pos(src);
	int err;

	/* Before the copy can be found, until after it is valid: fusewb_migrating() */
	atomic_inc(&FUSEWB_I(inode)->migrating);
	err = get_users(FUSEWB_I(inode), src, &users);
	if (!err)
		err = users.refs ? retarget(mapping, dst, src, &users) :
				   filemap_migrate_folio(mapping, dst, src, mode);
	atomic_dec_return_release(&FUSEWB_I(inode)->migrating);
	if (err == -EAGAIN)
		atomic64_inc(&counters->migrate_again);
	else if (!err && users.refs)
		atomic64_inc(&counters->retargets);
	if (users.nr)
		trace_fusewb_retarget(fusewb_inode_conn(inode)->id, FUSEWB_I(inode)->nodeid,
				      pos, users.nr, err);
	put_users(&users);
	return err;
}
