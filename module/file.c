// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files: open, close, fsync, mmap.
 *
 * fsync and close wait for what was dirty, killably; a task that exits only
 * issues it, since nobody could end its wait, and its last handle is parked
 * (handle.c).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/once.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/siphash.h>
#include <linux/splice.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "blocks.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "inode_lock.h"
#include "ioctl.h"
#include "listing.h"
#include "lock.h"
#include "poll.h"
#include "range.h"
#include "readin.h"
#include "request.h"

u64 fusewb_owner_id(fl_owner_t owner)
{
	static siphash_key_t key __read_mostly;

	get_random_once(&key, sizeof(key));
	return siphash_1u64((unsigned long)owner, &key);
}

/* No WRITE of the old contents may come after the server truncates. */
static int send_open(struct inode *inode, u32 flags, bool dir, bool trunc,
		     struct fuse_open_out *out)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	u32 opcode = dir ? FUSE_OPENDIR : FUSE_OPEN;
	struct fuse_open_in in = {
		.flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC),
	};
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(*out) } },
		.nr_out = 1,
	};
	struct fusewb_req *req;
	int err;

	if (trunc) {
		in.flags |= O_TRUNC;
		if (conn->flags & FUSE_HANDLE_KILLPRIV_V2 && !capable(CAP_FSETID))
			in.open_flags |= FUSE_OPEN_KILL_SUIDGID;
	}
	if (fusewb_conn_nosys(conn, opcode))
		return -ENOSYS;
	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	err = trunc ? fusewb_truncate_call(req, inode, 0) : fusewb_req_call(req);
	if (!err) {
		memcpy(out, req->out_args, sizeof(*out));
		if (trunc)
			fusewb_truncated(inode, 0);
	}
	if (!req->left)
		fusewb_range_done(req);
	fusewb_req_put(req);
	if (err == -ENOSYS)
		fusewb_conn_set_nosys(conn, opcode);
	return err;
}

static void finish(struct inode *inode, struct file *file)
{
	struct fusewb_handle *h = fusewb_file_handle(file);

	if (h->open_flags & FOPEN_STREAM)
		stream_open(inode, file);
	else if (h->open_flags & FOPEN_NONSEEKABLE)
		nonseekable_open(inode, file);
	if (h->dir) {
		if (!(h->open_flags & FOPEN_KEEP_CACHE))
			fusewb_listing_forget(inode);
		return;
	}

	/* What is cached may be old. */
	if (!(h->open_flags & FOPEN_KEEP_CACHE))
		fusewb_drop_clean(inode, 0, LLONG_MAX);
	file->f_mode |= FMODE_CAN_ODIRECT;
	if (file->f_mode & FMODE_WRITE)
		fusewb_handle_list(h);
}

static bool opens_truncating(struct inode *inode, u32 flags)
{
	return S_ISREG(inode->i_mode) && flags & O_TRUNC &&
	       fusewb_inode_conn(inode)->flags & FUSE_ATOMIC_O_TRUNC;
}

int fusewb_finish_create(struct inode *inode, struct file *file)
{
	int err = 0;

	/*
	 * Somebody else made it, or it has another name: there was no place for
	 * the truncation among our WRITEs of it. A new one has.
	 */
	if (file->f_flags & O_TRUNC && (i_size_read(inode) || inode->i_mapping->nrpages))
		err = fusewb_truncate_opened(file);
	if (!err)
		finish(inode, file);
	return err;
}

struct fusewb_handle *fusewb_handle_open(struct inode *inode, u32 flags, bool dir)
{
	struct fusewb_handle *h = fusewb_handle_alloc(fusewb_inode_conn(inode), dir);
	bool trunc = opens_truncating(inode, flags);
	struct fuse_open_out out = {};
	bool opened = true;
	int err;

	if (!h)
		return ERR_PTR(-ENOMEM);
	err = trunc ? fusewb_inode_lock(inode) : 0;
	if (err)
		goto put;
	err = send_open(inode, flags, dir, trunc, &out);
	if (trunc)
		fusewb_inode_unlock(inode);
	if (err == -ENOSYS) {
		/* It keeps no state for open files: there is nothing to release. */
		out.open_flags = FOPEN_KEEP_CACHE | (dir ? FOPEN_CACHE_DIR : 0);
		opened = false;
		err = 0;
	}
	if (err)
		goto put;

	fusewb_handle_opened(h, inode, &out, flags);
	h->opened = opened;
	return h;
put:
	fusewb_handle_put(h);
	return ERR_PTR(err);
}

int fusewb_open_common(struct inode *inode, struct file *file, bool dir)
{
	int err = dir ? 0 : generic_file_open(inode, file);
	struct fusewb_handle *h;

	if (err)
		return err;
	h = fusewb_handle_open(inode, file->f_flags, dir);
	if (IS_ERR(h))
		return PTR_ERR(h);
	file->private_data = h;
	finish(inode, file);
	return 0;
}

static int fusewb_open(struct inode *inode, struct file *file)
{
	return fusewb_open_common(inode, file, false);
}

int fusewb_release_common(struct inode *inode, struct file *file)
{
	struct fusewb_handle *h = fusewb_file_handle(file);

	fusewb_locks_release(file);
	if (h->dir || list_empty(&h->link)) {
		fusewb_handle_put(h);
		return 0;
	}
	/* What a mapping or an exiting task left; nothing waits here. */
	write_inode_now(inode, 0);
	fusewb_handle_park(h);
	return 0;
}

/* FLUSH that nobody waits for: it comes before the RELEASE all the same. */
static void flushed(struct fusewb_req *req, int error)
{
	fusewb_handle_put(req->io.handle);
}

static int send_flush(struct inode *inode, struct fusewb_handle *h, fl_owner_t owner)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_flush_in in = { .fh = h->fh, .lock_owner = fusewb_owner_id(owner) };
	struct fusewb_args args = {
		.opcode = FUSE_FLUSH,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
	};
	struct fusewb_req *req;
	int err;

	if (fusewb_conn_nosys(conn, FUSE_FLUSH))
		return 0;
	if (!(current->flags & PF_EXITING)) {
		err = fusewb_call(conn, &args);
		if (err != -ENOSYS)
			return err;
		fusewb_conn_set_nosys(conn, FUSE_FLUSH);
		return 0;
	}

	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	req->io.handle = fusewb_handle_get(h);
	req->end = flushed;
	fusewb_req_queue(req);
	return 0;
}

static int fusewb_flush(struct file *file, fl_owner_t owner)
{
	struct inode *inode = file_inode(file);
	struct fusewb_handle *h = fusewb_file_handle(file);
	bool writes = file->f_mode & FMODE_WRITE;
	int err = 0, flush_err;

	if (writes && current->flags & PF_EXITING) {
		filemap_flush(inode->i_mapping);
	} else if (writes) {
		err = fusewb_write_back(inode, 0, LLONG_MAX);
		/* Told here, and once more to fsync: close() is often ignored. */
		if (!err)
			err = filemap_check_wb_err(inode->i_mapping,
						   READ_ONCE(file->f_wb_err));
		if (!err)
			err = fusewb_flush_times(inode);
	}
	fusewb_locks_flush(inode, owner);
	if (h->open_flags & FOPEN_NOFLUSH && !fusewb_conn_writeback(fusewb_inode_conn(inode)))
		return err;
	flush_err = send_flush(inode, h, owner);
	return err ?: flush_err;
}

int fusewb_fsync_common(struct file *file, int datasync, u32 opcode)
{
	struct inode *inode = file_inode(file);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_fsync_in in = {
		.fh = fusewb_file_handle(file)->fh,
		.fsync_flags = datasync ? FUSE_FSYNC_FDATASYNC : 0,
	};
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
	};
	int err;

	if (fusewb_conn_nosys(conn, opcode))
		return 0;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, opcode);
		err = 0;
	}
	return err;
}

static int fusewb_fsync(struct file *file, loff_t first, loff_t last, int datasync)
{
	struct inode *inode = file_inode(file);
	int err, later;

	err = fusewb_write_back(inode, first, last);
	/* Killed: the error stays for the next fsync. */
	if (err)
		return err;
	err = file_check_and_advance_wb_err(file);

	later = datasync ? 0 : fusewb_flush_times(inode);
	if (!later)
		later = fusewb_fsync_common(file, datasync, FUSE_FSYNC);
	return err ?: later;
}

static const struct vm_operations_struct vm_ops = {
	.fault		= fusewb_fault,
	.map_pages	= fusewb_map_pages,
	.page_mkwrite	= fusewb_page_mkwrite,
};

static int fusewb_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct fusewb_conn *conn = fusewb_inode_conn(file_inode(file));

	if (fusewb_file_handle(file)->open_flags & FOPEN_DIRECT_IO) {
		/* Coherent with what the server has: only a private snapshot,
		 * unless it says that it does not mind.
		 */
		if (vma->vm_flags & VM_MAYSHARE &&
		    !(conn->flags & FUSE_DIRECT_IO_ALLOW_MMAP))
			return -ENODEV;
		fusewb_drop_clean(file_inode(file), 0, LLONG_MAX);
	}
	file_accessed(file);
	vma->vm_ops = &vm_ops;
	return 0;
}

static ssize_t fusewb_splice_read(struct file *file, loff_t *pos,
				  struct pipe_inode_info *pipe, size_t len,
				  unsigned int flags)
{
	if (fusewb_file_handle(file)->open_flags & FOPEN_DIRECT_IO)
		return copy_splice_read(file, pos, pipe, len, flags);
	return fusewb_splice_cached(file, pos, pipe, len, flags);
}

const struct file_operations fusewb_file_fops = {
	.llseek		= fusewb_llseek,
	.read_iter	= fusewb_read_iter,
	.write_iter	= fusewb_write_iter,
	.mmap		= fusewb_mmap,
	.open		= fusewb_open,
	.flush		= fusewb_flush,
	.release	= fusewb_release_common,
	.fsync		= fusewb_fsync,
	.poll		= fusewb_poll,
	.unlocked_ioctl	= fusewb_ioctl,
	.compat_ioctl	= fusewb_compat_ioctl,
	.lock		= fusewb_lock,
	.flock		= fusewb_flock,
	.setlease	= generic_setlease,
	.splice_read	= fusewb_splice_read,
	.splice_write	= iter_file_splice_write,
	.fallocate	= fusewb_fallocate,
	.copy_file_range = fusewb_copy_range,
};

const struct address_space_operations fusewb_aops = {
	.read_folio	= fusewb_read_folio,
	.readahead	= fusewb_readahead,
	.dirty_folio	= fusewb_dirty_folio,
	.release_folio	= fusewb_release_folio,
	.invalidate_folio = fusewb_invalidate_folio,
	.writepages	= fusewb_writepages,
	.migrate_folio	= fusewb_migrate_folio,
};

void fusewb_init_file_inode(struct inode *inode)
{
	inode->i_fop = &fusewb_file_fops;
	inode->i_mapping->a_ops = &fusewb_aops;
	mapping_set_folio_order_range(inode->i_mapping, 0, FUSEWB_FOLIO_ORDER);
}
