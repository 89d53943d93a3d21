// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cached writes: write(2) and shared mappings make folios dirty, and never wait
 * for their writeback.
 *
 * write(2) takes the largest folio that the write covers, up to
 * FUSEWB_FOLIO_ORDER, so that a write of whole folios reads nothing in. Behind the
 * end of the file it takes one of zeroes into which the next writes go as well.
 * What is covered only in part is read in first, unless the file ends before.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/uio.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "blocks.h"
#include "bound.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "inode_lock.h"
#include "range.h"
#include "reading.h"
#include "throttle.h"
#include "waits.h"

/* 64 KiB with pages of 4 KiB. */
#define APPEND_ORDER 4u

struct folio *fusewb_lock_cached(struct address_space *mapping, pgoff_t index)
{
	for (;;) {
		struct folio *folio = filemap_get_folio(mapping, index);
		int err;

		if (IS_ERR_OR_NULL(folio))
			return NULL;
		err = fusewb_reading_lock(FUSEWB_I(mapping->host), folio);
		if (err) {
			folio_put(folio);
			return ERR_PTR(err);
		}
		if (folio->mapping == mapping && folio_contains(folio, index))
			return folio;
		folio_unlock(folio);
		folio_put(folio);
	}
}

struct folio *fusewb_add_page(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_alloc_folio(mapping_gfp_mask(mapping), 0, NULL);
	int err;

	if (!folio)
		return ERR_PTR(-ENOMEM);
	err = filemap_add_folio(mapping, folio, index,
				mapping_gfp_constraint(mapping, GFP_KERNEL));
	if (!err)
		return folio;
	folio_put(folio);
	return ERR_PTR(err);
}

struct folio *fusewb_lock_page(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio;

	for (;;) {
		folio = fusewb_lock_cached(mapping, index);
		if (folio)
			return folio;
		folio = fusewb_add_page(mapping, index);
		if (folio != ERR_PTR(-EEXIST))
			return folio;
	}
}

/*
 * The largest order up to @max of an aligned folio that @index is in, begins not
 * before @first and ends not behind @last.
 */
static unsigned int order_within(pgoff_t index, pgoff_t first, pgoff_t last, unsigned int max)
{
	unsigned int order;

	for (order = max; order; order--) {
		pgoff_t start = round_down(index, 1ul << order);

		if (start >= first && start + (1ul << order) - 1 <= last)
			break;
	}
	/* Not every kernel can have two pages in a folio of the page cache. */
	return order == 1 ? 0 : order;
}

/* No folio is larger than a request. */
static unsigned int max_order(const struct inode *inode)
{
	unsigned int max = ilog2(READ_ONCE(fusewb_inode_conn(inode)->max_write) >> PAGE_SHIFT);

	return mapping_large_folio_support(inode->i_mapping) ? min(max, FUSEWB_FOLIO_ORDER) : 0;
}

/* Of a folio that the write of @len bytes at @pos, in page @index, covers. */
static unsigned int covered_order(const struct inode *inode, loff_t pos, size_t len)
{
	pgoff_t end = (pos + len) >> PAGE_SHIFT;
	pgoff_t index = pos >> PAGE_SHIFT;

	if (offset_in_page(pos) || end <= index)
		return 0;
	return order_within(index, index, end - 1, max_order(inode));
}

/*
 * Of a folio behind the end of the file, that holds nothing yet: what is
 * appended next finds its place. As it is as large as the file at most, small
 * files do not take much more memory than they need.
 */
static unsigned int append_order(const struct inode *inode, pgoff_t index)
{
	pgoff_t end = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE);

	if (index < end || !end)
		return 0;
	return order_within(index, end, ULONG_MAX,
			    min3(APPEND_ORDER, max_order(inode), (unsigned int)ilog2(end)));
}

/*
 * Return: a new folio with @index in it, cached, locked, -EEXIST or -ENOMEM.
 * With @zeroed it is valid, otherwise it is not uptodate. With @hard there is no
 * other way: somebody may be killed for its memory.
 */
static struct folio *add_folio(struct address_space *mapping, pgoff_t index,
			       unsigned int order, bool zeroed, bool hard)
{
	gfp_t gfp = mapping_gfp_mask(mapping) | __GFP_WRITE;
	struct folio *folio;
	int err;

	if (!hard)
		gfp |= __GFP_NORETRY | __GFP_NOWARN;
	folio = filemap_alloc_folio(zeroed ? gfp | __GFP_ZERO : gfp, order, NULL);
	if (!folio)
		return ERR_PTR(-ENOMEM);
	err = filemap_add_folio(mapping, folio, round_down(index, 1ul << order), gfp);
	if (err) {
		folio_put(folio);
		return ERR_PTR(err);
	}
	if (zeroed)
		folio_mark_uptodate(folio);
	return folio;
}

/*
 * The group that the memory is charged to may be full of what this server has
 * not been given yet. Reclaim waits for writeback that it sees; of what is in
 * flight here it sees references only, and would kill for lack of memory. So the
 * writer waits for the server, as at the limit of dirty data.
 *
 * @delay: jiffies, longer from time to time, for trying costs a round of reclaim
 * Return: 0 to try again, -ENOMEM if no answer would free anything, -EINTR.
 */
static int wait_for_room(struct address_space *mapping, long *delay)
{
	struct fusewb_conn *conn = fusewb_inode_conn(mapping->host);

	filemap_flush(mapping);
	if (!atomic64_read(&conn->counters.bytes_in_flight))
		return -ENOMEM;
	*delay = min(*delay * 2, HZ / 5L);
	return fusewb_pause(*delay);
}

/* Return: the folio for a write of @len bytes at @pos, locked, or an error. */
static struct folio *get_folio(struct address_space *mapping, loff_t pos, size_t len)
{
	pgoff_t index = pos >> PAGE_SHIFT;
	bool zeroed = false, hard = false;
	unsigned int order;
	struct folio *folio;
	long delay = 1;

	folio = fusewb_lock_cached(mapping, index);
	if (folio)
		return folio;
	order = covered_order(mapping->host, pos, len);
	if (order < APPEND_ORDER) {
		unsigned int append = append_order(mapping->host, index);

		zeroed = append > order;
		order = max(order, append);
	}
	for (;;) {
		folio = add_folio(mapping, index, order, zeroed, hard);
		if (!IS_ERR(folio))
			return folio;
		/* A smaller one has room where a larger would overlap others. */
		if (order) {
			order = order == 2 ? 0 : order - 1;
			zeroed = zeroed && order;
			continue;
		}
		if (PTR_ERR(folio) == -ENOMEM && !hard) {
			int err = wait_for_room(mapping, &delay);

			if (err == -EINTR)
				return ERR_PTR(err);
			hard = err;
			continue;
		}
		if (PTR_ERR(folio) != -EEXIST)
			return folio;
		folio = fusewb_lock_cached(mapping, index);
		if (folio)
			return folio;
	}
}

/* Would old bytes be sent with the @len bytes at @off, which are not whole pages? */
static bool keeps_remnant(struct folio *folio, size_t off, size_t len)
{
	return (offset_in_page(off) && !fusewb_blocks_has(folio, off)) ||
	       (offset_in_page(off + len) && !fusewb_blocks_has(folio, off + len));
}

/* The same as get_folio(), and there is nothing old in its pages. */
static struct folio *get_renewed(struct address_space *mapping, loff_t pos, size_t len)
{
	struct folio *folio = get_folio(mapping, pos, len);
	size_t off;
	int err;

	if (IS_ERR(folio) || !fusewb_has_remnant(mapping->host, pos, pos + len - 1))
		return folio;
	off = offset_in_folio(folio, pos);
	if (!keeps_remnant(folio, off, min(len, folio_size(folio) - off)))
		return folio;
	folio_unlock(folio);
	folio_put(folio);
	err = fusewb_drop_remnant(mapping->host, pos, pos + len - 1);
	return err ? ERR_PTR(err) : get_folio(mapping, pos, len);
}

/*
 * Makes sure that all of a locked folio will be valid once @len bytes at @off
 * are copied into it.
 */
static int prepare(struct inode *inode, struct fusewb_handle *h, struct folio *folio,
		   size_t off, size_t len)
{
	loff_t pos = folio_pos(folio);
	size_t size = folio_size(folio);
	loff_t valid = i_size_read(inode) - pos;

	if (folio_test_uptodate(folio) || len == size)
		return 0;
	/* Nothing of the file is in it that the write does not cover. */
	if (valid <= 0 || (!off && len >= valid)) {
		folio_zero_segments(folio, 0, off, off + len, size);
		return 0;
	}
	return fusewb_fetch_folio(inode, h, folio);
}

/* Beside a server that stores data, which makes it longer as well. */
static void extend(struct inode *inode, loff_t end)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	if (end > i_size_read(inode))
		i_size_write(inode, end);
	spin_unlock(&fi->lock);
}

/*
 * @dirtied: set if a clean folio became dirty
 * Return: bytes written, 0 to try again with less, or an error.
 */
static ssize_t write_folio(struct file *file, struct iov_iter *from, loff_t pos, size_t len,
			   bool *dirtied)
{
	struct address_space *mapping = file->f_mapping;
	struct inode *inode = mapping->host;
	struct folio *folio;
	size_t off, copied;
	int err;

	folio = get_renewed(mapping, pos, len);
	if (IS_ERR(folio))
		return PTR_ERR(folio);

	off = offset_in_folio(folio, pos);
	len = min(len, folio_size(folio) - off);
	err = prepare(inode, fusewb_file_handle(file), folio, off, len);
	if (err) {
		folio_unlock(folio);
		folio_put(folio);
		return err;
	}

	copied = copy_folio_from_iter_atomic(folio, off, len, from);
	flush_dcache_folio(folio);
	if (copied < len && !folio_test_uptodate(folio)) {
		/* Part of it has never been valid. */
		iov_iter_revert(from, copied);
		copied = 0;
	}
	if (copied) {
		if (!folio_test_uptodate(folio))
			folio_mark_uptodate(folio);
		*dirtied = fusewb_blocks_dirty(folio, off, copied);
		/*
		 * Under the folio lock, for writeback clips by it. After the folio is
		 * dirty, for a late truncation looks the other way round.
		 */
		if (pos + copied > i_size_read(inode))
			extend(inode, pos + copied);
	}
	folio_unlock(folio);
	folio_mark_accessed(folio);
	folio_put(folio);
	return copied;
}

int fusewb_zero_gap(struct inode *inode, loff_t from, loff_t to)
{
	struct folio *folio;
	size_t first;

	lockdep_assert_held_write(&inode->i_rwsem);

	/* What the server has there it can tell. */
	if (!fusewb_local_times(inode)) {
		fusewb_drop_behind(inode, from);
		return 0;
	}
	folio = fusewb_lock_cached(inode->i_mapping, from >> PAGE_SHIFT);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	if (!folio)
		return 0;
	first = offset_in_folio(folio, from);
	folio_zero_segment(folio, first, min_t(loff_t, folio_size(folio), first + (to - from)));
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

/* Until the mm and the connection let more be dirty. Return: 0 or -EINTR. */
static int hold_up(struct inode *inode)
{
	return fusewb_throttle(inode->i_mapping) ?: fusewb_bound_wait(inode);
}

/* @owes: set if the writer has to be held up once the inode is unlocked */
static ssize_t write_cached(struct kiocb *iocb, struct iov_iter *from, bool *owes)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	size_t chunk = PAGE_SIZE << FUSEWB_FOLIO_ORDER;
	loff_t size = i_size_read(inode);
	ssize_t written = 0, ret = 0;

	if (iocb->ki_pos > size) {
		ret = fusewb_zero_gap(inode, size, iocb->ki_pos);
		if (ret)
			return ret;
	}
	while (iov_iter_count(from)) {
		size_t len = min(iov_iter_count(from),
				 chunk - (size_t)(iocb->ki_pos & (chunk - 1)));
		bool dirtied = false;

		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = write_folio(file, from, iocb->ki_pos, len, &dirtied);
		if (ret < 0)
			break;
		if (!ret) {
			/*
			 * Not all of the source was there. It may be a mapping
			 * of the folio itself, which is not locked now.
			 */
			if (fault_in_iov_iter_readable(from, len) == len) {
				ret = -EFAULT;
				break;
			}
			/* If it is reclaimed again, less has a better chance. */
			chunk = PAGE_SIZE;
			continue;
		}
		iocb->ki_pos += ret;
		written += ret;
		cond_resched();
		/* Who made nothing dirty owes nothing. */
		if (!dirtied)
			continue;
		if (!iov_iter_count(from)) {
			*owes = true;
			break;
		}
		/* What was written stays written. */
		ret = hold_up(inode);
		if (ret)
			break;
	}
	return written ?: ret;
}

/*
 * A file without the bits of S_ISUID and S_ISGID has file capabilities to lose at
 * most, which the core asks for by name at each write. A server without extended
 * attributes has none.
 */
static int remove_privs(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!(inode->i_mode & (S_ISUID | S_ISGID)) &&
	    fusewb_conn_nosys(fusewb_inode_conn(inode), FUSE_GETXATTR))
		return 0;
	return file_remove_privs(file);
}

ssize_t fusewb_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	bool owes = false;
	ssize_t ret;

	if (fusewb_conn_aborted(fusewb_inode_conn(inode)))
		return -ENOTCONN;
	if (!fusewb_local_times(inode) || iocb->ki_flags & IOCB_DIRECT ||
	    fusewb_file_handle(file)->open_flags & FOPEN_DIRECT_IO)
		return fusewb_direct_write(iocb, from);

	if (fusewb_inode_lock(inode))
		return -EINTR;
	ret = generic_write_checks(iocb, from);
	if (ret > 0)
		ret = remove_privs(file) ?: file_update_time(file) ?: ret;
	if (ret > 0)
		ret = write_cached(iocb, from, &owes);
	fusewb_inode_unlock(inode);
	/* What was written stays written, whatever ends the wait. */
	if (owes)
		hold_up(inode);
	if (ret > 0)
		ret = generic_write_sync(iocb, ret);
	return ret;
}

/* Are there bytes among these that were invalidated, and are not dirty? */
static bool would_revive(struct inode *inode, struct folio *folio, size_t off, size_t len)
{
	u64 first = folio_pos(folio) + off;
	bool dirty = len == PAGE_SIZE ? fusewb_blocks_has(folio, off) :
		     folio_test_dirty(folio) && fusewb_blocks_whole(folio, off + len);

	return !dirty && fusewb_has_remnant(inode, first, first + len - 1);
}

vm_fault_t fusewb_page_mkwrite(struct vm_fault *vmf)
{
	struct folio *folio = page_folio(vmf->page);
	size_t off = folio_page_idx(folio, vmf->page) << PAGE_SHIFT, len = PAGE_SIZE;
	struct file *file = vmf->vma->vm_file;
	struct inode *inode = file_inode(file);
	vm_fault_t ret = VM_FAULT_LOCKED;

	/*
	 * Nothing can be waited for here, with a lock of the mappings held. Without
	 * its entry the store faults once more, in fusewb_fault(), which waits.
	 */
	if (vmf->pte && fusewb_bound_closed(inode)) {
		unmap_mapping_pages(inode->i_mapping, vmf->pgoff, 1, false);
		return VM_FAULT_NOPAGE;
	}

	sb_start_pagefault(inode->i_sb);
	file_update_time(file);
	/* It is mapped, so it is uptodate: nobody who has it locked waits. */
	folio_lock(folio);
	if (folio->mapping != inode->i_mapping ||
	    (loff_t)vmf->pgoff << PAGE_SHIFT >= i_size_read(inode)) {
		folio_unlock(folio);
		ret = VM_FAULT_NOPAGE;
		goto out;
	}
	/* Without an entry for the page the fault may make more than one. */
	if (!vmf->pte && fusewb_store_maps_all(folio)) {
		off = 0;
		len = folio_size(folio);
	}
	/* Invalidated since fusewb_fault() or an entry was there: it reads the page anew. */
	if (would_revive(inode, folio, off, len)) {
		folio_unlock(folio);
		unmap_mapping_pages(inode->i_mapping, vmf->pgoff, 1, false);
		ret = VM_FAULT_NOPAGE;
		goto out;
	}
	fusewb_blocks_fault(folio, off, len);
out:
	sb_end_pagefault(inode->i_sb);
	return ret;
}
