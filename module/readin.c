// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading in what somebody waits for.
 *
 * The kernel's core can read in, but it waits for a folio so that suspend fails
 * while the server does not answer. So it is only let at what is valid, and the
 * rest is asked for and waited for here: killable, freezable, and for a fault
 * without the lock of the mappings, as far as the fault can be taken once more. So
 * does a store wait here while too much is dirty (bound.c).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pipe_fs_i.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "compat/compat.h"
#include "bound.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "range.h"
#include "readin.h"
#include "reading.h"

/* A mapping that misses so much more often than it hits is read at random. */
#define MANY_MISSES 100

static bool behind_end(struct inode *inode, pgoff_t index)
{
	return index >= DIV_ROUND_UP_ULL(i_size_read(inode), PAGE_SIZE);
}

/* Pages that somebody is going to need. */
struct want {
	struct file *file;
	pgoff_t index;			/* this one now */
	unsigned long nr;		/* and that many from it on soon */
	bool mapped;			/* by a mapping of: */
	unsigned long vm_flags;
};

/* Around a page that a mapping needs: what is next to it may be next. */
static void ahead_of_fault(const struct want *want)
{
	struct address_space *mapping = want->file->f_mapping;
	struct file_ra_state *ra = &want->file->f_ra;
	DEFINE_READAHEAD(rac, want->file, ra, mapping, want->index);
	unsigned long end = DIV_ROUND_UP_ULL(i_size_read(mapping->host), PAGE_SIZE);
	unsigned long nr = ra->ra_pages;
	unsigned int misses = READ_ONCE(ra->mmap_miss);

	if (want->vm_flags & VM_RAND_READ || !nr || want->index >= end)
		return;
	if (want->vm_flags & VM_SEQ_READ) {
		page_cache_sync_ra(&rac, nr);
		return;
	}
	/* Hits are counted off by the core. */
	if (misses < 10 * MANY_MISSES)
		WRITE_ONCE(ra->mmap_miss, ++misses);
	if (misses > MANY_MISSES)
		return;
	rac._index = want->index - min(want->index, nr / 2);
	nr = min(nr, end - rac._index);
	ra->start = rac._index;
	ra->size = nr;
	ra->async_size = nr / 4;
	page_cache_ra_unbounded(&rac, nr, nr / 4);
}

static void read_ahead(const struct want *want)
{
	DEFINE_READAHEAD(rac, want->file, &want->file->f_ra, want->file->f_mapping, want->index);

	if (want->mapped)
		ahead_of_fault(want);
	else
		page_cache_sync_ra(&rac, want->nr);
}

/* The folio is where a reader of the file is to be some steps ahead. */
static void read_on(const struct want *want, struct folio *folio)
{
	DEFINE_READAHEAD(rac, want->file, &want->file->f_ra, want->file->f_mapping, want->index);

	page_cache_async_ra(&rac, folio, want->nr);
	/* Also where there is no readahead any more: it is not asked for again. */
	folio_clear_readahead(folio);
}

/* A locked folio, which was cached when it was found. */
static int fetch_if_needed(const struct want *want, struct folio *folio)
{
	struct address_space *mapping = want->file->f_mapping;

	if (folio->mapping != mapping || folio_test_uptodate(folio))
		return 0;
	return fusewb_fetch_folio(mapping->host, fusewb_file_handle(want->file), folio);
}

/*
 * Until the page is cached and valid, though it may be reclaimed again by then.
 * Return: 0, -EINTR, -ENOMEM, an error of the server.
 */
static int read_in(const struct want *want)
{
	struct address_space *mapping = want->file->f_mapping;
	struct fusewb_handle *h = fusewb_file_handle(want->file);
	struct fusewb_inode *fi = FUSEWB_I(mapping->host);
	u64 pos = (u64)want->index << PAGE_SHIFT;
	bool asked = false;
	int err;

	err = fusewb_drop_remnant(mapping->host, pos, pos + PAGE_SIZE - 1);
	if (err)
		return err;
	for (;;) {
		struct folio *folio = filemap_get_folio(mapping, want->index);

		if (IS_ERR_OR_NULL(folio) && !asked) {
			err = fusewb_read_wait(mapping->host, h);
			if (err)
				return err;
			read_ahead(want);
			asked = true;
			continue;
		}
		if (IS_ERR_OR_NULL(folio)) {
			folio = fusewb_add_page(mapping, want->index);
			if (PTR_ERR_OR_ZERO(folio) == -EEXIST)
				continue;
			if (IS_ERR(folio))
				return PTR_ERR(folio);
		} else {
			bool valid = folio_test_uptodate(folio);

			/* While it is being read, one more would not find its turn. */
			if (folio_test_readahead(folio) && !want->mapped &&
			    (valid || !fusewb_takes_turns(mapping->host, h)))
				read_on(want, folio);
			if (valid) {
				folio_put(folio);
				return 0;
			}
			err = fusewb_reading_lock(fi, folio);
			if (err) {
				folio_put(folio);
				return err;
			}
		}
		err = fetch_if_needed(want, folio);
		folio_unlock(folio);
		folio_put(folio);
		/* It may have been truncated just before it was locked. */
		if (err || behind_end(mapping->host, want->index))
			return err;
	}
}

ssize_t fusewb_read_cached(struct kiocb *iocb, struct iov_iter *to)
{
	struct want want = { .file = iocb->ki_filp };
	struct inode *inode = file_inode(want.file);
	ssize_t done = 0, ret;

	ret = fusewb_drop_remnant(inode, iocb->ki_pos, iocb->ki_pos + iov_iter_count(to) - 1);
	if (ret)
		return ret;
	/* Nobody asks us not to wait: FMODE_NOWAIT is not set. */
	iocb->ki_flags |= IOCB_NOIO;
	for (;;) {
		ret = generic_file_read_iter(iocb, to);
		if (ret > 0)
			done += ret;
		if ((ret < 0 && ret != -EAGAIN) || !iov_iter_count(to) ||
		    iocb->ki_pos >= i_size_read(inode))
			break;
		want.index = iocb->ki_pos >> PAGE_SHIFT;
		want.nr = DIV_ROUND_UP(iocb->ki_pos + iov_iter_count(to), PAGE_SIZE) - want.index;
		ret = read_in(&want);
		if (ret)
			break;
	}
	iocb->ki_flags &= ~IOCB_NOIO;
	return done ?: ret;
}

ssize_t fusewb_splice_cached(struct file *file, loff_t *pos, struct pipe_inode_info *pipe,
			     size_t len, unsigned int flags)
{
	struct inode *inode = file_inode(file);
	loff_t end = min_t(loff_t, *pos + min_t(size_t, len, pipe->max_usage * PAGE_SIZE),
			   i_size_read(inode));
	struct want want = { .file = file };
	loff_t at;
	int err;

	for (at = *pos; at < end; at = round_down(at, PAGE_SIZE) + PAGE_SIZE) {
		want.index = at >> PAGE_SHIFT;
		want.nr = DIV_ROUND_UP_ULL(end, PAGE_SIZE) - want.index;
		err = read_in(&want);
		if (err && at == *pos)
			return err;
		if (err) {
			len = at - *pos;
			break;
		}
	}
	return filemap_splice_read(file, pos, pipe, len, flags);
}

static bool has_remnant(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return fusewb_has_remnant(file_inode(vmf->vma->vm_file), (u64)first << PAGE_SHIFT,
				  ((u64)(last + 1) << PAGE_SHIFT) - 1);
}

static bool is_valid(struct address_space *mapping, pgoff_t index)
{
	struct folio *folio = filemap_get_folio(mapping, index);
	bool ret;

	if (IS_ERR_OR_NULL(folio))
		return false;
	ret = folio_test_uptodate(folio);
	folio_put(folio);
	return ret;
}

/* A store makes the page dirty, and waits as a writer does. */
static bool has_to_wait(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE && vmf->vma->vm_flags & VM_SHARED &&
	       fault_flag_allow_retry_first(vmf->flags) &&
	       fusewb_bound_closed(file_inode(vmf->vma->vm_file));
}

/* The fault's lock is given up, if that may be done. */
static vm_fault_t wait_unlocked(struct vm_fault *vmf, struct want *want, bool closed, bool valid)
{
	get_file(want->file);
	release_fault_lock(vmf);
	/* An error comes again, when the fault does. */
	if ((!closed || !fusewb_bound_wait(file_inode(want->file))) && !valid)
		read_in(want);
	fput(want->file);
	return VM_FAULT_MAJOR | VM_FAULT_RETRY;
}

/* What was invalidated since it was looked for is not mapped: the fault comes again. */
static vm_fault_t take(struct vm_fault *vmf)
{
	vm_fault_t ret = filemap_fault(vmf);
	struct folio *folio;

	if (!(ret & VM_FAULT_LOCKED) || !has_remnant(vmf, vmf->pgoff, vmf->pgoff))
		return ret;
	folio = page_folio(vmf->page);
	folio_unlock(folio);
	folio_put(folio);
	vmf->page = NULL;
	return (ret & ~VM_FAULT_LOCKED) | VM_FAULT_NOPAGE;
}

vm_fault_t fusewb_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct want want = {
		.file = file,
		.index = vmf->pgoff,
		.nr = 1,
		.mapped = true,
		.vm_flags = vmf->vma->vm_flags,
	};
	bool remnant = has_remnant(vmf, vmf->pgoff, vmf->pgoff);
	bool valid = !remnant && is_valid(file->f_mapping, vmf->pgoff);
	bool closed = has_to_wait(vmf);
	int err;

	if (remnant && vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if ((valid && !closed) || behind_end(file_inode(file), vmf->pgoff) ||
	    vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return take(vmf);
	if (!valid)
		count_vm_event(PGMAJFAULT);
	if (fault_flag_allow_retry_first(vmf->flags))
		return wait_unlocked(vmf, &want, closed, valid);

	err = read_in(&want);
	if (!err)
		return take(vmf);
	/* Signals are looked for only if the fault shall be taken once more. */
	if (err == -EINTR && vmf->flags & FAULT_FLAG_KILLABLE) {
		release_fault_lock(vmf);
		return VM_FAULT_RETRY;
	}
	return err == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
}

vm_fault_t fusewb_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	/*
	 * Each page has to be asked for, then. One that is invalidated right now may be
	 * seen as it was until it is read or stored to, which drops it.
	 */
	return has_remnant(vmf, first, last) ? 0 : filemap_map_pages(vmf, first, last);
}
