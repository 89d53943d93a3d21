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
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include <linux/writeback.h>
#include <linux/xattr.h>

#include "compat/compat.h"
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

/* Return: bytes copied to @to, less than @len at the end, or an error. */
static ssize_t read_part(struct inode *inode, struct fusewb_handle *h, loff_t pos,
			 size_t len, struct iov_iter *to)
{
	struct fuse_read_in *in;
	struct fusewb_req *req;
	size_t total, left, done = 0;
	unsigned int i;
	ssize_t ret;

	req = fusewb_alloc_read(inode, h, spans_for(len), GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	ret = fusewb_req_alloc_payload(req, len, GFP_KERNEL);
	if (ret)
		goto put;
	fusewb_set_read_range(req, pos);
	in = req->in_args;
	in->read_flags = FUSE_READ_LOCKOWNER;
	in->lock_owner = fusewb_owner_id(current->files);
	ret = fusewb_req_call(req);
	if (ret)
		goto put;

	atomic64_add(req->payload_received, &req->conn->counters.bytes_read);
	total = readable(inode, pos, len, req->payload_received);
	left = min_t(size_t, total, req->payload_received);
	for (i = 0; i < req->nr_spans && left; i++) {
		const struct fusewb_span *span = &req->spans[i];
		size_t n = min(left, span->len);
		size_t copied = copy_page_to_iter(folio_page(span->folio, 0), span->off, n, to);

		done += copied;
		left -= copied;
		if (copied < n)
			break;
	}
	if (!left && done < total)
		done += iov_iter_zero(total - done, to);
	ret = done || !total ? done : -EFAULT;
put:
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

/*
 * A folio that a mapping dirtied meanwhile could not be dropped, and will be
 * written back as a whole: it has to have the new bytes too.
 */
static void update_dirty(struct address_space *mapping, struct iov_iter *from, loff_t pos,
			 size_t len)
{
	while (len) {
		struct folio *folio = filemap_get_folio(mapping, pos >> PAGE_SHIFT);
		size_t n = min_t(size_t, len, PAGE_SIZE - offset_in_page(pos));
		size_t copied = 0;

		/* A dirty one is uptodate: whoever has it locked does not wait. */
		if (!IS_ERR_OR_NULL(folio) && folio_test_dirty(folio)) {
			fault_in_iov_iter_readable(from, n);
			folio_lock(folio);
			if (folio->mapping == mapping && folio_contains(folio, pos >> PAGE_SHIFT))
				copied = copy_folio_from_iter_atomic(folio,
								     offset_in_folio(folio, pos),
								     n, from);
			folio_unlock(folio);
		}
		if (!IS_ERR_OR_NULL(folio))
			folio_put(folio);
		iov_iter_advance(from, n - copied);
		pos += n;
		len -= n;
	}
}

static struct fusewb_req *alloc_write(struct kiocb *iocb, struct fusewb_handle *h, size_t len)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct fuse_write_in in = {
		.fh = h->fh,
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
	req = fusewb_req_alloc(fusewb_inode_conn(inode), &args, spans_for(len), GFP_KERNEL);
	if (!req)
		return NULL;
	req->payload_in = true;
	if (fusewb_req_alloc_payload(req, len, GFP_KERNEL)) {
		fusewb_req_put(req);
		return NULL;
	}
	return req;
}

/* Return: bytes that the server took, or an error. */
static ssize_t write_part(struct kiocb *iocb, struct iov_iter *from, size_t len, bool shared)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct fusewb_handle *h = fusewb_file_handle(file);
	loff_t pos = iocb->ki_pos;
	struct iov_iter source = *from;
	const struct fuse_write_out *out;
	struct fusewb_req *req;
	ssize_t ret;

	req = alloc_write(iocb, h, len);
	if (!req)
		return -ENOMEM;
	ret = copy_payload(req, from);
	if (ret)
		goto put;
	ret = fusewb_drain(inode, pos, pos + len - 1);
	if (ret)
		goto revert;
	if (shared)
		ret = fusewb_inflight_hold_shared(FUSEWB_I(inode), &req->io.range, pos,
						  pos + len - 1);
	else
		ret = fusewb_inflight_hold(FUSEWB_I(inode), &req->io.range, pos, pos + len - 1);
	if (ret)
		goto revert;

	ihold(inode);
	req->io.inode = inode;
	req->io.handle = fusewb_handle_get(h);
	req->orphan = fusewb_range_done_late;
	ret = fusewb_req_call(req);
	/* From here on the range is the late answer's. */
	if (req->left)
		goto revert;

	out = req->out_args;
	if (!ret && (out->size > len || !out->size))
		ret = fusewb_bad_answer(fusewb_inode_conn(inode), FUSE_WRITE,
					"a count that was not asked for");
	if (!ret) {
		ret = out->size;
		fusewb_grow(inode, pos + ret);
	}
	/* Not known, after an error, what the server has now. */
	fusewb_drop_clean(inode, pos, pos + len - 1);
	if (ret > 0 && fusewb_has_dirty(inode))
		update_dirty(inode->i_mapping, &source, pos, ret);
	fusewb_range_done(req);
	if (ret >= 0) {
		iov_iter_revert(from, len - ret);
		goto put;
	}
revert:
	iov_iter_revert(from, len);
put:
	fusewb_req_put(req);
	return ret;
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
