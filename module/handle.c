// SPDX-License-Identifier: GPL-2.0-only
/*
 * Handles, and the references that requests hold on inodes.
 *
 * A WRITE needs a handle, and dirty data may outlive the last file: a shared
 * mapping is torn down, or a task is killed and may not wait. The last writable
 * handle of an inode is then parked: it stays on the list, the list owns its
 * reference, until nothing is dirty any more, or in flight, for that becomes
 * dirty again if it is recalled. Every WRITE in flight holds a reference of its
 * own, too. So RELEASE comes after all WRITEs, dirty data always
 * finds a handle, and through it keeps its inode.
 *
 * A handle pins its inode until RELEASE is answered, so that FORGET comes after
 * it.
 */
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "poll.h"
#include "request.h"

static LLIST_HEAD(inodes_to_put);

static void put_inodes(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&inodes_to_put);
	struct fusewb_inode *fi, *next;

	llist_for_each_entry_safe(fi, next, list, put_later)
		iput(&fi->inode);
}

static DECLARE_WORK(put_inodes_work, put_inodes);

void fusewb_put_inode_later(struct inode *inode)
{
	/*
	 * The last reference cannot be queued twice: as long as it is in the
	 * list, any other is not the last.
	 */
	if (atomic_add_unless(&inode->i_count, -1, 1))
		return;
	llist_add(&FUSEWB_I(inode)->put_later, &inodes_to_put);
	schedule_work(&put_inodes_work);
}

void fusewb_put_inodes_now(void)
{
	flush_work(&put_inodes_work);
}

struct fusewb_handle *fusewb_handle_alloc(struct fusewb_conn *conn, bool dir)
{
	struct fuse_release_in in = {};
	struct fusewb_args args = {
		.opcode = dir ? FUSE_RELEASEDIR : FUSE_RELEASE,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.nocreds = true,
	};
	struct fusewb_handle *h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);

	if (!h)
		return NULL;
	h->release = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);
	if (!h->release) {
		kfree(h);
		return NULL;
	}
	kref_init(&h->ref);
	INIT_LIST_HEAD(&h->link);
	init_waitqueue_head(&h->poll_wait);
	fusewb_turn_init(&h->read_turn);
	h->dir = dir;
	return h;
}

void fusewb_handle_opened(struct fusewb_handle *h, struct inode *inode,
			  const struct fuse_open_out *out, u32 flags)
{
	ihold(inode);
	h->inode = inode;
	h->fh = out->fh;
	h->open_flags = out->open_flags;
	h->flags = flags;
	h->opened = true;
}

struct fusewb_handle *fusewb_handle_get(struct fusewb_handle *h)
{
	kref_get(&h->ref);
	return h;
}

static void free_handle(struct fusewb_handle *h)
{
	if (h->inode)
		fusewb_put_inode_later(h->inode);
	kfree(h);
}

static void released(struct fusewb_req *req, int error)
{
	free_handle(req->private);
}

static void release_handle(struct kref *ref)
{
	struct fusewb_handle *h = container_of(ref, struct fusewb_handle, ref);
	struct fusewb_req *req = h->release;
	struct fuse_release_in *in = req->in_args;

	WARN_ON_ONCE(!list_empty(&h->link));
	fusewb_poll_forget(req->conn, h);
	if (!h->opened) {
		fusewb_req_put(req);
		free_handle(h);
		return;
	}
	in->fh = h->fh;
	in->flags = h->flags;
	if (h->flock_owner) {
		in->release_flags |= FUSE_RELEASE_FLOCK_UNLOCK;
		in->lock_owner = h->flock_owner;
	}
	req->in.nodeid = FUSEWB_I(h->inode)->nodeid;
	req->private = h;
	req->end = released;
	fusewb_req_queue(req);
}

void fusewb_handle_put(struct fusewb_handle *h)
{
	kref_put(&h->ref, release_handle);
}

struct fusewb_handle *fusewb_handle_for_write(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_handle *h;

	spin_lock(&fi->lock);
	h = list_first_entry_or_null(&fi->write_handles, struct fusewb_handle, link);
	if (h)
		fusewb_handle_get(h);
	spin_unlock(&fi->lock);
	return h;
}

void fusewb_handle_list(struct fusewb_handle *h)
{
	struct fusewb_inode *fi = FUSEWB_I(h->inode);

	spin_lock(&fi->lock);
	list_add(&h->link, &fi->write_handles);
	spin_unlock(&fi->lock);
}

void fusewb_handle_park(struct fusewb_handle *h)
{
	struct inode *inode = h->inode;
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool listed;

	spin_lock(&fi->lock);
	listed = !list_empty(&h->link);
	if (listed && list_is_singular(&fi->write_handles)) {
		h->parked = true;
		spin_unlock(&fi->lock);
		/* Whoever ended the last WRITE just before did not see it. */
		fusewb_handles_unpark(inode);
		return;
	}
	list_del_init(&h->link);
	spin_unlock(&fi->lock);
	fusewb_handle_put(h);
}

void fusewb_handles_unpark(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_handle *h, *next;
	LIST_HEAD(clean);

	if (!fusewb_inflight_clean(fi))
		return;

	spin_lock(&fi->lock);
	list_for_each_entry_safe(h, next, &fi->write_handles, link) {
		if (h->parked)
			list_move(&h->link, &clean);
	}
	spin_unlock(&fi->lock);

	list_for_each_entry_safe(h, next, &clean, link) {
		list_del_init(&h->link);
		fusewb_handle_put(h);
	}
}
