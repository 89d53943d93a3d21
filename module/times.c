// SPDX-License-Identifier: GPL-2.0-only
/*
 * In writeback mode the kernel decides a regular file's mtime and ctime, since
 * the server sees a write long after it happened. The VFS sets them and marks
 * the inode dirty, which fusewb_dirty_inode() notes. A SETATTR takes them to
 * the server when the inode is written back or fsync asks, one at a time, for
 * servers may answer in any order. Only fsync waits for it.
 *
 * A SETATTR under way does not pin the inode, so that an unmount finds no busy
 * inode; the server must then not hear FORGET before it has answered, so evict
 * leaves the FORGET to the end of the SETATTR.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "request.h"
#include "waits.h"

struct fusewb_times_flush {
	struct kref ref;		/* the inode, the request, who waits */
	spinlock_t lock;		/* the next two; inside of fi->lock */
	bool done;
	u64 forget;			/* lookups to give back at the end */
	int error;			/* once done */
	struct fusewb_handle *handle;	/* that the request names, or NULL */
	wait_queue_head_t wait;
};

static void flush_free(struct kref *ref)
{
	kfree(container_of(ref, struct fusewb_times_flush, ref));
}

static void flush_put(struct fusewb_times_flush *flush)
{
	if (flush)
		kref_put(&flush->ref, flush_free);
}

static bool flush_done(struct fusewb_times_flush *flush)
{
	/* Pairs with flush_finish(): the error is there. */
	return smp_load_acquire(&flush->done);
}

/* Drops the request's reference. */
static void flush_finish(struct fusewb_conn *conn, u64 nodeid,
			 struct fusewb_times_flush *flush, int error)
{
	u64 forget;

	flush->error = error;
	spin_lock(&flush->lock);
	/* Pairs with flush_done(). */
	smp_store_release(&flush->done, true);
	forget = flush->forget;
	spin_unlock(&flush->lock);
	wake_up_all(&flush->wait);

	if (forget)
		fusewb_req_queue_forget(conn, nodeid, forget);
	if (flush->handle)
		fusewb_handle_put(flush->handle);
	flush_put(flush);
}

static void times_answered(struct fusewb_req *req, int error)
{
	const struct fuse_attr_out *out = req->out_args;

	if (!error && !fusewb_attr_valid(&out->attr))
		error = fusewb_bad_answer(req->conn, FUSE_SETATTR, FUSEWB_BAD_ATTR);
	/* A server that keeps no times cannot lose any. */
	if (error == -ENOSYS)
		error = 0;
	flush_finish(req->conn, req->in.nodeid, req->private, error);
}

static void fill_times(struct fuse_setattr_in *in, struct fusewb_conn *conn,
		       struct inode *inode, const struct fusewb_handle *handle)
{
	struct timespec64 mtime = inode_get_mtime(inode);
	struct timespec64 ctime = inode_get_ctime(inode);

	in->valid = FATTR_MTIME;
	in->mtime = mtime.tv_sec;
	in->mtimensec = mtime.tv_nsec;
	if (conn->minor >= 23) {
		in->valid |= FATTR_CTIME;
		in->ctime = ctime.tv_sec;
		in->ctimensec = ctime.tv_nsec;
	}
	if (handle && handle->opened) {
		in->valid |= FATTR_FH;
		in->fh = handle->fh;
	}
}

/*
 * Queues a SETATTR if the times are dirty; takes over the reference of @handle.
 * Return: NULL if there is nothing to do, the flush with a reference for the
 * caller, ERR_PTR(-EBUSY) if one is under way, ERR_PTR(-ENOMEM).
 */
static struct fusewb_times_flush *flush_start(struct inode *inode, struct fusewb_handle *handle)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_times_flush *flush, *old;
	struct fuse_setattr_in in = {};
	struct fusewb_args args = {
		.opcode = FUSE_SETATTR,
		.nodeid = fi->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_attr_out) } },
		.nr_out = 1,
		.nocreds = true,
	};
	struct fusewb_req *req;
	int err = 0;

	flush = kzalloc(sizeof(*flush), GFP_NOFS);
	if (!flush) {
		err = -ENOMEM;
		goto out;
	}
	kref_init(&flush->ref);
	spin_lock_init(&flush->lock);
	init_waitqueue_head(&flush->wait);
	flush->handle = handle;

	spin_lock(&fi->lock);
	old = fi->times_flush;
	if (old && !flush_done(old)) {
		err = -EBUSY;
	} else if (!fi->times_dirty) {
		kfree(flush);
		flush = NULL;
	} else {
		fi->times_dirty = false;
		fill_times(&in, conn, inode, handle);
		kref_get(&flush->ref);
		kref_get(&flush->ref);
		fi->times_flush = flush;
		flush_put(old);
	}
	spin_unlock(&fi->lock);
	if (err || !flush) {
		kfree(flush);
		goto out;
	}

	req = fusewb_req_alloc(conn, &args, 0, GFP_NOFS);
	if (!req) {
		spin_lock(&fi->lock);
		fi->times_dirty = true;
		spin_unlock(&fi->lock);
		flush_finish(conn, fi->nodeid, flush, -ENOMEM);
		flush_put(flush);
		return ERR_PTR(-ENOMEM);
	}
	req->private = flush;
	req->end = times_answered;
	fusewb_req_queue(req);
	return flush;
out:
	if (handle)
		fusewb_handle_put(handle);
	return ERR_PTR(err);
}

static int flush_wait(struct fusewb_times_flush *flush)
{
	/* Nobody could end the wait of a task that exits. */
	if (current->flags & PF_EXITING)
		return 0;
	return wait_event_state(flush->wait, flush_done(flush), FUSEWB_KILLABLE) ? -EINTR : 0;
}

int fusewb_wait_times(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_times_flush *flush;
	int err = 0;

	spin_lock(&fi->lock);
	flush = fi->times_flush;
	if (flush)
		kref_get(&flush->ref);
	spin_unlock(&fi->lock);
	if (flush) {
		err = flush_wait(flush);
		flush_put(flush);
	}
	return err;
}

int fusewb_flush_times(struct inode *inode)
{
	struct fusewb_times_flush *flush;
	int err;

	if (!fusewb_local_times(inode))
		return 0;
	do {
		err = fusewb_wait_times(inode);
		if (err)
			return err;
		flush = flush_start(inode, fusewb_handle_for_write(inode));
	} while (flush == ERR_PTR(-EBUSY) && !(current->flags & PF_EXITING));
	if (IS_ERR_OR_NULL(flush))
		return PTR_ERR_OR_ZERO(flush);

	err = flush_wait(flush);
	if (!err && flush_done(flush))
		err = flush->error;
	flush_put(flush);
	return err;
}

int fusewb_write_inode(struct inode *inode, struct writeback_control *wbc)
{
	struct fusewb_times_flush *flush;

	if (!fusewb_local_times(inode))
		return 0;
	flush = flush_start(inode, NULL);
	if (IS_ERR(flush))
		mark_inode_dirty_sync(inode);	/* the flusher comes again */
	else
		flush_put(flush);
	return 0;
}

void fusewb_dirty_inode(struct inode *inode, int flags)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	if (!fusewb_local_times(inode) || !(flags & (I_DIRTY_SYNC | I_DIRTY_DATASYNC)))
		return;
	spin_lock(&fi->lock);
	fi->times_dirty = true;
	spin_unlock(&fi->lock);
}

void fusewb_touch_ctime(struct inode *inode)
{
	if (!fusewb_local_times(inode))
		return;
	inode_set_ctime_current(inode);
	mark_inode_dirty_sync(inode);
}

void fusewb_forget_inode(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_times_flush *flush;
	u64 nlookup;

	/* The last chance; of a deleted file nobody will ask. */
	if (inode->i_nlink && fusewb_local_times(inode)) {
		flush = flush_start(inode, NULL);
		if (!IS_ERR(flush))
			flush_put(flush);
	}

	spin_lock(&fi->lock);
	flush = fi->times_flush;
	fi->times_flush = NULL;
	nlookup = fi->nodeid == FUSE_ROOT_ID ? 0 : fi->nlookup;
	fi->nlookup = 0;
	spin_unlock(&fi->lock);

	if (flush) {
		spin_lock(&flush->lock);
		if (!flush->done) {
			flush->forget = nlookup;
			nlookup = 0;
		}
		spin_unlock(&flush->lock);
		flush_put(flush);
	}
	if (nlookup)
		fusewb_req_queue_forget(fusewb_inode_conn(inode), fi->nodeid, nlookup);
}
