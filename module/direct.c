// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads and writes that bypass the page cache: O_DIRECT, FOPEN_DIRECT_IO, and
 * every write(2) to a server without writeback cache.
 *
 * The data is in private pages of the request, so whoever waits may be killed.
 * A WRITE holds its range until the server has answered, also when nobody waits
 * any more; so the order among WRITEs, and between them and truncation, is that
 * of the requests. What is cached of the range is written back before, and
 * dropped after. The server is told whose locks a caller has, for it may keep
 * mandatory ones.
 *
 * A call of aio that one request is enough for ends when that does (aio.c), others
 * inside of the call. What a request holds does not depend on that.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include <linux/xattr.h>

#include "compat/compat.h"
#include "aio.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "inode_lock.h"
#include "range.h"
#include "request.h"
#include "xattr.h"

/*
 * The payload's pieces are of at most PAGE_ALLOC_COSTLY_ORDER and at least a
 * page, so this is room enough for any mixture.
 */
static unsigned int spans_for(size_t len)
{
	return DIV_ROUND_UP(len, PAGE_SIZE);
}

/*
 * How much of @len bytes there is to be read. The server decides, unless the
 * end of the file is ours: as long as what is behind @pos has not been written
 * back, its file ends sooner, and what is missing is a hole.
 */
static size_t readable(struct inode *inode, loff_t pos, size_t len, size_t received)
{
	if (!fusewb_local_times(inode))
		return received;
	return clamp_t(loff_t, i_size_read(inode) - pos, 0, len);
}

static struct fusewb_req *alloc_read(struct inode *inode, struct fusewb_handle *h, loff_t pos,
				     size_t len)
{
	struct fuse_read_in *in;
	struct fusewb_req *req;

	req = fusewb_alloc_read(inode, h, spans_for(len), GFP_KERNEL_ACCOUNT);
	if (!req)
		return NULL;
	if (fusewb_req_alloc_payload(req, len, GFP_KERNEL_ACCOUNT)) {
		fusewb_req_put(req);
		return NULL;
	}
	fusewb_set_read_range(req, pos);
	in = req->in_args;
	in->read_flags = FUSE_READ_LOCKOWNER;
	in->lock_owner = fusewb_owner_id(current->files);
	return req;
}

/*
 * Of the pages a copy is made: where @to is a pipe, the kernel would put them there
 * themselves, as pages of a cache, which they are not.
 */
static size_t copy_span(const struct fusewb_span *span, size_t len, struct iov_iter *to)
{
	size_t done = 0;

	while (done < len) {
		size_t off = span->off + done;
		size_t n = min_t(size_t, len - done, PAGE_SIZE - offset_in_page(off));
		void *from = kmap_local_folio(span->folio, off);
		size_t copied = copy_to_iter(from, n, to);

		kunmap_local(from);
		done += copied;
		if (copied < n)
			break;
	}
	return done;
}

/* What there is of an answer. */
static size_t total_of(struct fusewb_req *req, struct inode *inode)
{
	const struct fuse_read_in *in = req->in_args;

	return readable(inode, in->offset, in->size, req->payload_received);
}

/* Return: bytes copied, less than @total where @to has no room for more. */
static size_t copy_data(struct fusewb_req *req, size_t total, struct iov_iter *to)
{
	size_t left = min_t(size_t, total, req->payload_received), done = 0;
	unsigned int i;

	for (i = 0; i < req->nr_spans && left; i++) {
		const struct fusewb_span *span = &req->spans[i];
		size_t n = min_t(size_t, left, span->len);
		size_t copied = copy_span(span, n, to);

		done += copied;
		left -= copied;
		if (copied < n)
			break;
	}
	if (!left && done < total)
		done += iov_iter_zero(total - done, to);
	return done;
}

/* Return: bytes copied to @to, less than @len at the end, or an error. */
static ssize_t read_part(struct inode *inode, struct fusewb_handle *h, loff_t pos,
			 size_t len, struct iov_iter *to)
{
	struct fusewb_req *req = alloc_read(inode, h, pos, len);
	ssize_t ret;

	if (!req)
		return -ENOMEM;
	ret = fusewb_req_call(req);
	if (!ret) {
		size_t total = total_of(req, inode);

		ret = copy_data(req, total, to);
		if (!ret && total)
			ret = -EFAULT;
		atomic64_add(req->payload_received, &req->conn->counters.bytes_read);
	}
	fusewb_req_put(req);
	return ret;
}

static ssize_t finish_read(struct kiocb *iocb, struct fusewb_req *req, int error,
			   struct iov_iter *to)
{
	size_t total;

	if (error)
		return error;
	total = total_of(req, file_inode(iocb->ki_filp));
	if (copy_data(req, total, to) < total)
		return -EFAULT;
	atomic64_add(req->payload_received, &req->conn->counters.bytes_read);
	return total;
}

static ssize_t read_later(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct fusewb_req *req;
	ssize_t ret;

	req = alloc_read(file_inode(file), fusewb_file_handle(file), iocb->ki_pos,
			 iov_iter_count(to));
	if (!req)
		return -ENOMEM;
	ret = fusewb_aio_queue(iocb, req, to, finish_read);
	if (ret != -EIOCBQUEUED)
		fusewb_req_put(req);
	return ret;
}

ssize_t fusewb_direct_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	size_t max_read = fusewb_inode_conn(inode)->max_read;
	ssize_t ret = 0, done = 0;

	while (iov_iter_count(to)) {
		size_t len = min(iov_iter_count(to), max_read);

		ret = fusewb_drain(inode, iocb->ki_pos, iocb->ki_pos + len - 1);
		if (ret)
			break;
		if (!done && len == iov_iter_count(to) && fusewb_aio_may(iocb, len, max_read))
			return read_later(iocb, to);
		ret = read_part(inode, fusewb_file_handle(file), iocb->ki_pos, len, to);
		if (ret <= 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		if (ret < len)
			break;
	}
	return done ?: ret;
}

/* Of the bytes that were copied before a fault there is nothing to be gained. */
static int copy_payload(struct fusewb_req *req, struct iov_iter *from)
{
	size_t done = 0;
	unsigned int i;

	for (i = 0; i < req->nr_spans; i++) {
		const struct fusewb_span *span = &req->spans[i];
		size_t copied = copy_page_from_iter(folio_page(span->folio, 0), span->off,
						    span->len, from);

		done += copied;
		if (copied < span->len) {
			iov_iter_revert(from, done);
			return -EFAULT;
		}
	}
	return 0;
}

/* Return: bytes of @span from @done on that were copied to a page of the file, or passed over. */
static size_t update_part(struct address_space *mapping, loff_t pos,
			  const struct fusewb_span *span, size_t done, size_t len)
{
	struct folio *folio = filemap_get_folio(mapping, pos >> PAGE_SHIFT);
	size_t off = span->off + done;
	size_t n = min3(len, PAGE_SIZE - offset_in_page(pos), PAGE_SIZE - offset_in_page(off));
	void *from, *to;

	if (IS_ERR_OR_NULL(folio))
		return n;
	/* A dirty one is uptodate: whoever has it locked does not wait. */
	if (folio_test_dirty(folio)) {
		folio_lock(folio);
		if (folio->mapping == mapping && folio_contains(folio, pos >> PAGE_SHIFT)) {
			from = kmap_local_folio(span->folio, off);
			to = kmap_local_folio(folio, offset_in_folio(folio, pos));
			memcpy(to, from, n);
			kunmap_local(to);
			kunmap_local(from);
			flush_dcache_folio(folio);
		}
		folio_unlock(folio);
	}
	folio_put(folio);
	return n;
}

/*
 * A folio that was dirtied meanwhile could not be dropped, and more of it may be
 * written back than what was dirtied: it has to have the new bytes too, of which
 * there are @len. They are not the caller's any more, for a fault of his memory may
 * wait for this very range.
 */
static void update_dirty(struct fusewb_req *req, struct address_space *mapping, size_t len)
{
	loff_t pos = req->io.range.first;
	unsigned int i;

	for (i = 0; i < req->nr_spans; i++) {
		const struct fusewb_span *span = &req->spans[i];
		size_t end = min_t(size_t, span->len, len), done = 0;

		while (done < end)
			done += update_part(mapping, pos + done, span, done, end - done);
		pos += end;
		len -= end;
	}
}

static struct fusewb_req *alloc_write(struct kiocb *iocb, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_write_in in = {
		.fh = fusewb_file_handle(iocb->ki_filp)->fh,
		.offset = iocb->ki_pos,
		.size = len,
		.flags = iocb->ki_filp->f_flags,
		.write_flags = FUSE_WRITE_LOCKOWNER,
		.lock_owner = fusewb_owner_id(current->files),
	};
	struct fusewb_args args = {
		.opcode = FUSE_WRITE,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_write_out) } },
		.nr_out = 1,
	};
	struct fusewb_req *req;

	if (iocb->ki_flags & IOCB_DSYNC)
		in.flags |= O_DSYNC;
	if (fusewb_inode_conn(inode)->flags & FUSE_HANDLE_KILLPRIV_V2 && !capable(CAP_FSETID))
		in.write_flags |= FUSE_WRITE_KILL_SUIDGID;
	req = fusewb_req_alloc(fusewb_inode_conn(inode), &args, spans_for(len), GFP_KERNEL_ACCOUNT);
	if (!req)
		return NULL;
	req->payload_in = true;
	req->io.copied = true;
	if (fusewb_req_alloc_payload(req, len, GFP_KERNEL_ACCOUNT)) {
		fusewb_req_put(req);
		return NULL;
	}
	return req;
}

/*
 * Return: a request for the next @len bytes of @from, which moves, or an error.
 * It holds its range.
 */
static struct fusewb_req *begin_write(struct kiocb *iocb, struct iov_iter *from, size_t len,
				      bool shared)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	u64 first = iocb->ki_pos, last = first + len - 1;
	struct fusewb_req *req = alloc_write(iocb, len);
	int err;

	if (!req)
		return ERR_PTR(-ENOMEM);
	err = copy_payload(req, from);
	if (err)
		goto put;
	err = fusewb_drain(inode, first, last);
	if (!err && shared)
		err = fusewb_inflight_hold_shared(FUSEWB_I(inode), &req->io.range, first, last);
	else if (!err)
		err = fusewb_inflight_hold(FUSEWB_I(inode), &req->io.range, first, last);
	if (err)
		goto revert;

	fusewb_range_pin(req, inode, fusewb_file_handle(iocb->ki_filp));
	return req;
revert:
	iov_iter_revert(from, len);
put:
	fusewb_req_put(req);
	return ERR_PTR(err);
}

/* @err: of the request. Return: bytes that the server took, or an error. */
static ssize_t end_write(struct fusewb_req *req, struct inode *inode, int err)
{
	const struct fusewb_range *range = &req->io.range;
	const struct fuse_write_out *out = req->out_args;
	ssize_t ret = err;

	/* The range is the late answer's. */
	if (req->left)
		return err;
	if (!err && (out->size > req->payload_len || !out->size))
		ret = fusewb_bad_answer(req->conn, FUSE_WRITE, "a count that was not asked for");
	if (!ret) {
		ret = out->size;
		fusewb_grow(inode, range->first + ret);
	}
	/* Not known, after an error, what the server has now. */
	fusewb_drop_clean(inode, range->first, range->last);
	if (ret > 0 && fusewb_has_dirty(inode))
		update_dirty(req, inode->i_mapping, ret);
	fusewb_range_done(req);
	return ret;
}

/* Return: bytes that the server took, or an error. */
static ssize_t write_part(struct kiocb *iocb, struct iov_iter *from, size_t len, bool shared)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fusewb_req *req = begin_write(iocb, from, len, shared);
	ssize_t ret;

	if (IS_ERR(req))
		return PTR_ERR(req);
	ret = end_write(req, inode, fusewb_req_call(req));
	iov_iter_revert(from, len - max_t(ssize_t, ret, 0));
	fusewb_req_put(req);
	return ret;
}

static ssize_t finish_write(struct kiocb *iocb, struct fusewb_req *req, int error,
			    struct iov_iter *to)
{
	return end_write(req, file_inode(iocb->ki_filp), error);
}

static ssize_t write_later(struct kiocb *iocb, struct iov_iter *from, bool shared)
{
	size_t len = iov_iter_count(from);
	struct fusewb_req *req = begin_write(iocb, from, len, shared);
	ssize_t ret;

	if (IS_ERR(req))
		return PTR_ERR(req);
	ret = fusewb_aio_queue(iocb, req, NULL, finish_write);
	if (ret != -EIOCBQUEUED) {
		fusewb_range_done(req);
		iov_iter_revert(from, len);
		fusewb_req_put(req);
	}
	return ret;
}

/* What makes the file longer, or has to be synced, is waited for. */
static bool may_end_later(const struct kiocb *iocb, size_t len)
{
	const struct inode *inode = file_inode(iocb->ki_filp);

	return fusewb_aio_may(iocb, len, READ_ONCE(fusewb_inode_conn(inode)->max_write)) &&
	       !iocb_is_dsync(iocb) && iocb->ki_pos + len <= i_size_read(inode);
}

/*
 * A server of FOPEN_PARALLEL_DIRECT_WRITES orders writes of different bytes
 * itself, as long as nothing but these bytes changes.
 */
static bool may_share(const struct kiocb *iocb, size_t len)
{
	const struct inode *inode = file_inode(iocb->ki_filp);

	return fusewb_file_handle(iocb->ki_filp)->open_flags & FOPEN_PARALLEL_DIRECT_WRITES &&
	       !(iocb->ki_flags & IOCB_APPEND) && !(inode->i_mode & (S_ISUID | S_ISGID)) &&
	       iocb->ki_pos + len <= i_size_read(inode);
}

/*
 * Does the file have capabilities that the kernel takes away? Under the inode
 * lock nobody gives it any here. If the server cannot tell, it may have them.
 */
static bool may_have_capability(struct inode *inode)
{
	ssize_t ret;

	if (fusewb_inode_conn(inode)->flags & (FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2))
		return false;
	ret = fusewb_getxattr(inode, XATTR_NAME_CAPS, NULL, 0);
	return ret != -ENODATA && ret != -EOPNOTSUPP;
}

/* Return: 0 or -EINTR. If it is shared there are no privileges to be removed. */
static int lock_for_write(const struct kiocb *iocb, size_t len, bool *shared)
{
	struct inode *inode = file_inode(iocb->ki_filp);

	*shared = may_share(iocb, len);
	if (*shared) {
		if (fusewb_inode_lock_shared(inode))
			return -EINTR;
		if (may_share(iocb, len) && !may_have_capability(inode))
			return 0;
		/* The file became shorter or privileged meanwhile. */
		fusewb_inode_unlock_shared(inode);
		*shared = false;
	}
	return fusewb_inode_lock(inode);
}

ssize_t fusewb_direct_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	ssize_t ret, done = 0;
	bool shared;

	ret = lock_for_write(iocb, iov_iter_count(from), &shared);
	if (ret)
		return ret;
	/* Where the end is, the server may know better. */
	if (iocb->ki_flags & IOCB_APPEND && !fusewb_local_times(inode)) {
		ret = fusewb_update_attributes(inode, file);
		if (ret)
			goto unlock;
	}
	ret = generic_write_checks(iocb, from);
	if (ret > 0 && !shared)
		ret = file_remove_privs(file) ?: ret;
	if (ret > 0)
		ret = file_update_time(file) ?: ret;
	if (ret <= 0)
		goto unlock;
	if (iocb->ki_pos > i_size_read(inode)) {
		ret = fusewb_zero_gap(inode, i_size_read(inode), iocb->ki_pos);
		if (ret)
			goto unlock;
	}
	while (iov_iter_count(from)) {
		size_t len = min_t(size_t, iov_iter_count(from), READ_ONCE(conn->max_write));
		size_t absent = fault_in_iov_iter_readable(from, len);

		if (absent == len) {
			ret = -EFAULT;
			break;
		}
		len -= absent;
		if (!done && len == iov_iter_count(from) && may_end_later(iocb, len)) {
			ret = write_later(iocb, from, shared);
			break;
		}
		ret = write_part(iocb, from, len, shared);
		if (ret < 0)
			break;
		iocb->ki_pos += ret;
		done += ret;
		if (ret < len)
			break;
	}
unlock:
	if (shared)
		fusewb_inode_unlock_shared(inode);
	else
		fusewb_inode_unlock(inode);
	if (done > 0)
		return generic_write_sync(iocb, done);
	return ret;
}
