// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notifications: names, attributes and data that changed on the server's side.
 *
 * They run in the server's thread, which may be the only one that could answer
 * a request. So none of them takes the lock of a directory: a LOOKUP that was
 * answered before sees that the directory's version moved, and what it found is
 * asked for again. Data that was written here and is not at the server yet is
 * newer than anything it can say of it, and stays.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "dir.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "listing.h"
#include "notify.h"
#include "poll.h"
#include "queue.h"
#include "range.h"
#include "request.h"
#include "symlink.h"
#include "xattr.h"

/* Without faults, for the connection's super block is held meanwhile: see fusewb_notify(). */
static int take(struct iov_iter *from, void *p, size_t len)
{
	size_t copied;

	pagefault_disable();
	copied = copy_from_iter(p, len, from);
	pagefault_enable();
	return copied == len ? 0 : -EFAULT;
}

/* The fixed part of a message of which more follows. */
static int take_head(struct iov_iter *from, void *p, size_t len)
{
	return iov_iter_count(from) < len ? -EBADMSG : take(from, p, len);
}

/* A message that has nothing else. */
static int take_all(struct iov_iter *from, void *p, size_t len)
{
	return iov_iter_count(from) != len ? -EBADMSG : take(from, p, len);
}

static int wake_poll(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_poll_wakeup_out out;
	int err;

	err = take_all(from, &out, sizeof(out));
	if (err)
		return err;
	fusewb_poll_wake(conn, out.kh);
	return 0;
}

static int inval_inode(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_inval_inode_out out;
	struct inode *inode;
	loff_t last = LLONG_MAX;
	int err;

	err = take_all(from, &out, sizeof(out));
	if (err)
		return err;
	inode = fusewb_find_inode(sb, out.ino);
	if (!inode)
		return -ENOENT;
	fusewb_invalidate_attr(inode);
	fusewb_acl_forget(inode);
	fusewb_link_forget(inode);
	/* A negative offset means the attributes alone, no length up to the end. */
	if (out.off >= 0) {
		if (out.len > 0 && check_add_overflow(out.off, out.len - 1, &last))
			last = LLONG_MAX;
		if (S_ISDIR(inode->i_mode))
			fusewb_listing_forget(inode);
		else
			fusewb_drop_clean(inode, out.off, last);
	}
	iput(inode);
	return err;
}

static int take_name(struct iov_iter *from, char *name, u32 len)
{
	int err;

	if (!len || len > FUSEWB_NAME_MAX || iov_iter_count(from) != len + 1)
		return -EBADMSG;
	err = take(from, name, len + 1);
	if (err)
		return err;
	return name[len] || strlen(name) != len ? -EBADMSG : 0;
}

/* Return: the cached name with a reference, or an error. */
static struct dentry *find_name(struct super_block *sb, u64 parent, const char *name, u32 len)
{
	struct qstr qname = QSTR_INIT(name, len);
	struct inode *dir = fusewb_find_inode(sb, parent);
	struct dentry *above, *dentry = NULL;

	if (!dir)
		return ERR_PTR(-ENOENT);
	if (!S_ISDIR(dir->i_mode)) {
		iput(dir);
		return ERR_PTR(-ENOTDIR);
	}
	/* Before the look at what is cached: see the top. */
	fusewb_dir_changed(dir);
	above = d_find_alias(dir);
	if (above) {
		qname.hash = full_name_hash(above, name, len);
		dentry = d_lookup(above, &qname);
		dput(above);
	}
	iput(dir);
	return dentry ?: ERR_PTR(-ENOENT);
}

/* Return: the cached name that the rest of a message says, or an error. */
static struct dentry *take_entry(struct super_block *sb, u64 parent, u32 len,
				 struct iov_iter *from)
{
	char *name = kmalloc(FUSEWB_NAME_MAX + 1, GFP_KERNEL);
	struct dentry *dentry;
	int err;

	if (!name)
		return ERR_PTR(-ENOMEM);
	err = take_name(from, name, len);
	dentry = err ? ERR_PTR(err) : find_name(sb, parent, name, len);
	kfree(name);
	return dentry;
}

static int inval_entry(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_inval_entry_out out;
	struct dentry *dentry;
	int err;

	err = take_head(from, &out, sizeof(out));
	if (err)
		return err;
	dentry = take_entry(sb, out.parent, out.namelen, from);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	fusewb_entry_ask_next_time(dentry);
	/* Expired only, what is open or mounted below it stays as it is. */
	if (!(out.flags & FUSE_EXPIRE_ONLY))
		d_invalidate(dentry);
	dput(dentry);
	return 0;
}

/* The name is gone, and with it this inode, unless it has others. */
static int delete_entry(struct dentry *dentry, u64 child)
{
	struct inode *inode = d_inode(dentry);
	struct dentry *parent;

	if (!inode || FUSEWB_I(inode)->nodeid != child)
		return -ENOENT;
	if (d_mountpoint(dentry))
		return -EBUSY;
	if (d_is_dir(dentry)) {
		shrink_dcache_parent(dentry);
		if (!simple_empty(dentry))
			return -ENOTEMPTY;
		dont_mount(dentry);
		/* Nothing is made in it by who has it open. */
		inode_set_flags(inode, S_DEAD, S_DEAD);
	}
	ihold(inode);
	parent = dget_parent(dentry);
	fusewb_entry_gone(dentry);
	d_invalidate(dentry);
	fsnotify_delete(d_inode(parent), inode, dentry);
	dput(parent);
	iput(inode);
	return 0;
}

static int delete(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_delete_out out;
	struct dentry *dentry;
	int err;

	err = take_head(from, &out, sizeof(out));
	if (err)
		return err;
	dentry = take_entry(sb, out.parent, out.namelen, from);
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	err = delete_entry(dentry, out.child);
	dput(dentry);
	return err;
}

/* Data for one page. What would leave a folio half filled is not kept. */
static int store_part(struct inode *inode, loff_t pos, const void *data, size_t len)
{
	struct folio *folio;
	size_t off;
	void *to;

	folio = fusewb_lock_page(inode->i_mapping, pos >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	off = offset_in_folio(folio, pos);
	if (folio_test_dirty(folio) ||
	    fusewb_inflight_overlaps(FUSEWB_I(inode), pos, pos + len - 1))
		goto unlock;
	if (!folio_test_uptodate(folio) &&
	    (off || (len < folio_size(folio) && pos + len < i_size_read(inode))))
		goto unlock;
	to = kmap_local_folio(folio, off);
	memcpy(to, data, len);
	kunmap_local(to);
	flush_dcache_folio(folio);
	if (!folio_test_uptodate(folio)) {
		folio_zero_segment(folio, len, folio_size(folio));
		folio_mark_uptodate(folio);
	}
unlock:
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

static int store_data(struct inode *inode, loff_t pos, struct iov_iter *from)
{
	/* Its memory may not be there: no folio is locked meanwhile. */
	void *data = kmalloc(PAGE_SIZE, GFP_KERNEL);
	int err = 0;

	if (!data)
		return -ENOMEM;
	while (!err && iov_iter_count(from)) {
		size_t len = min(iov_iter_count(from), PAGE_SIZE - offset_in_page(pos));

		err = take(from, data, len);
		if (!err)
			err = store_part(inode, pos, data, len);
		pos += len;
	}
	kfree(data);
	return err;
}

static int store(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_store_out out;
	struct inode *inode;
	int err;

	err = take_head(from, &out, sizeof(out));
	if (err)
		return err;
	if (iov_iter_count(from) != out.size || out.offset > sb->s_maxbytes - out.size)
		return -EBADMSG;
	inode = fusewb_find_inode(sb, out.nodeid);
	if (!inode)
		return -ENOENT;
	err = -EBADMSG;
	if (S_ISREG(inode->i_mode)) {
		fusewb_server_has(FUSEWB_I(inode), out.offset + out.size);
		fusewb_grow(inode, out.offset + out.size);
		err = store_data(inode, out.offset, from);
	}
	iput(inode);
	return err;
}

/* What is cached from @pos on without a gap. Return: bytes. */
static size_t copy_cached(struct inode *inode, loff_t pos, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct folio *folio = filemap_get_folio(inode->i_mapping,
							(pos + done) >> PAGE_SHIFT);
		size_t off, n;
		void *from;

		if (IS_ERR_OR_NULL(folio))
			break;
		if (!folio_test_uptodate(folio)) {
			folio_put(folio);
			break;
		}
		off = offset_in_folio(folio, pos + done);
		n = min(len - done, PAGE_SIZE - offset_in_page(off));
		from = kmap_local_folio(folio, off);
		memcpy(to + done, from, n);
		kunmap_local(from);
		folio_put(folio);
		done += n;
	}
	return done;
}

/*
 * What is retrieved is copied, and the server reads it when it likes: so it is charged to the
 * server, and no more than this many are out.
 */
#define MAX_RETRIEVED 64

static void retrieved(struct fusewb_req *req, int error)
{
	atomic_dec(&req->conn->retrieved);
}

static int send_cached(struct fusewb_conn *conn, struct inode *inode,
		       const struct fuse_notify_retrieve_out *out)
{
	loff_t size = i_size_read(inode);
	size_t len = min(out->size, READ_ONCE(conn->max_write));
	struct fuse_notify_retrieve_in in = { .offset = out->offset };
	struct fusewb_args args = {
		.opcode = FUSE_NOTIFY_REPLY,
		.nodeid = out->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 2,
		.nocreds = true,
	};
	struct fusewb_req *req;
	void *data;
	int err;

	if (atomic_inc_return(&conn->retrieved) > MAX_RETRIEVED) {
		err = -EAGAIN;
		goto uncount;
	}
	len = out->offset < size ? min_t(u64, len, size - out->offset) : 0;
	err = -ENOMEM;
	data = kvmalloc(max_t(size_t, len, 1), GFP_KERNEL);
	if (!data)
		goto uncount;
	in.size = len ? copy_cached(inode, out->offset, data, len) : 0;
	args.in[1].data = data;
	args.in[1].len = in.size;
	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL_ACCOUNT);
	kvfree(data);
	if (!req)
		goto uncount;
	req->no_answer = true;
	req->end = retrieved;
	req->in.unique = out->notify_unique;
	fusewb_req_queue(req);
	return 0;

uncount:
	atomic_dec(&conn->retrieved);
	return err;
}

static int retrieve(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_retrieve_out out;
	struct inode *inode;
	int err;

	err = take_all(from, &out, sizeof(out));
	if (err)
		return err;
	if (out.offset > sb->s_maxbytes)
		return -EBADMSG;
	inode = fusewb_find_inode(sb, out.nodeid);
	if (!inode)
		return -ENOENT;
	err = S_ISREG(inode->i_mode) ? send_cached(conn, inode, &out) : -EBADMSG;
	iput(inode);
	return err;
}

/* No name is to be believed any more. */
static int inc_epoch(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	if (iov_iter_count(from))
		return -EBADMSG;
	atomic_long_inc(&conn->epoch);
	return 0;
}

/* Inodes that nobody uses are forgotten. */
static int prune(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	struct fuse_notify_prune_out out;
	struct inode *inode;
	u64 nodeid;
	int err;

	err = take_head(from, &out, sizeof(out));
	if (err)
		return err;
	if (iov_iter_count(from) != (u64)out.count * sizeof(nodeid))
		return -EBADMSG;
	while (out.count--) {
		err = take(from, &nodeid, sizeof(nodeid));
		if (err)
			return err;
		inode = fusewb_find_inode(sb, nodeid);
		if (!inode)
			continue;
		d_prune_aliases(inode);
		iput(inode);
		cond_resched();
	}
	return 0;
}

/* Another process serves the device now, and knows of nothing. */
static int resend(struct fusewb_conn *conn, struct super_block *sb, struct iov_iter *from)
{
	if (iov_iter_count(from) || !(conn->flags & FUSE_HAS_RESEND))
		return -EBADMSG;
	fusewb_queue_resend(conn);
	return 0;
}

static int (*const handlers[])(struct fusewb_conn *conn, struct super_block *sb,
			       struct iov_iter *from) = {
	[FUSE_NOTIFY_POLL] = wake_poll,
	[FUSE_NOTIFY_INVAL_INODE] = inval_inode,
	[FUSE_NOTIFY_INVAL_ENTRY] = inval_entry,
	[FUSE_NOTIFY_STORE] = store,
	[FUSE_NOTIFY_RETRIEVE] = retrieve,
	[FUSE_NOTIFY_DELETE] = delete,
	[FUSE_NOTIFY_RESEND] = resend,
	[FUSE_NOTIFY_INC_EPOCH] = inc_epoch,
	[FUSE_NOTIFY_PRUNE] = prune,
};

int fusewb_notify(struct fusewb_conn *conn, int code, struct iov_iter *from)
{
	size_t left = iov_iter_count(from);
	int err = -ENOENT;

	if (code <= 0 || code >= ARRAY_SIZE(handlers) || !handlers[code] ||
	    READ_ONCE(conn->state) != FUSEWB_CONN_READY)
		return fusewb_bad_notification(conn, code);
	if (down_read_killable(&conn->sb_lock))
		return -EINTR;
	if (conn->sb)
		err = handlers[code](conn, conn->sb, from);
	up_read(&conn->sb_lock);
	if (err == -EFAULT)
		iov_iter_revert(from, left - iov_iter_count(from));
	return err == -EBADMSG ? fusewb_bad_notification(conn, code) : err;
}
