// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty pages of large folios.
 *
 * A folio has one dirty flag. So that a small write into a large folio sends
 * what was written and not all of it, a large folio that is dirty in part only
 * carries a map of its dirty pages as folio->private. Without one, a dirty
 * folio is dirty as a whole: so are those written as a whole, which never need
 * one. A map stays until the folio is released, invalidated or freed.
 *
 * Who makes a page dirty through a mapping had it marked by page_mkwrite, and
 * a mark is only taken back after the mappings were made read-only. So when
 * the mm finds a dirty page table entry, its page is marked already. Somebody
 * who holds the page itself (GUP) is different: he dirties it at any time, and
 * may find that the folio is dirty, for another page, and say nothing. Such a
 * folio is taken as dirty as a whole from the first sign of him on: a pin, or a
 * mark under the folio lock that neither a fault nor writeback explains.
 */
#include <linux/bitmap.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "blocks.h"

struct fusewb_blocks {
	/* for the mm marks without the folio lock; inside page table locks */
	spinlock_t lock;
	bool expected;		/* lock: the mm's next mark under the folio
				 * lock is of a page that is marked already
				 */
	bool unmapping;		/* lock: so are all of its marks under the folio
				 * lock for now
				 */
	bool foreign;		/* lock: somebody holds pages */
	unsigned long dirty[];	/* lock */
};

static struct fusewb_blocks *blocks_of(struct folio *folio)
{
	return folio_get_private(folio);
}

static struct fusewb_blocks *attach(struct folio *folio)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (blocks)
		return blocks;
	blocks = kzalloc(struct_size(blocks, dirty, BITS_TO_LONGS(folio_nr_pages(folio))),
			 GFP_NOFS | __GFP_NOWARN);
	if (!blocks)
		return NULL;
	spin_lock_init(&blocks->lock);
	folio_attach_private(folio, blocks);
	return blocks;
}

static void mark_all(struct folio *folio, struct fusewb_blocks *blocks)
{
	lockdep_assert_held(&blocks->lock);
	bitmap_fill(blocks->dirty, folio_nr_pages(folio));
}

bool fusewb_blocks_dirty(struct folio *folio, size_t off, size_t len)
{
	unsigned int first = off >> PAGE_SHIFT;
	unsigned int nr = ((off + len - 1) >> PAGE_SHIFT) - first + 1;
	struct fusewb_blocks *blocks = blocks_of(folio);

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);

	/* Dirty without a map: there is nothing to add. */
	if (!blocks && nr < folio_nr_pages(folio) && !folio_test_dirty(folio))
		blocks = attach(folio);
	if (blocks) {
		spin_lock(&blocks->lock);
		bitmap_set(blocks->dirty, first, nr);
		spin_unlock(&blocks->lock);
	}
	return filemap_dirty_folio(folio->mapping, folio);
}

static void expect_mark(struct fusewb_blocks *blocks)
{
	spin_lock(&blocks->lock);
	blocks->expected = true;
	spin_unlock(&blocks->lock);
}

void fusewb_blocks_fault(struct folio *folio, size_t off, size_t len)
{
	struct fusewb_blocks *blocks;

	fusewb_blocks_dirty(folio, off, len);
	/* The mm marks the folio once more before it unlocks it. */
	blocks = blocks_of(folio);
	if (blocks)
		expect_mark(blocks);
}

size_t fusewb_blocks_next(struct folio *folio, size_t *off, size_t end)
{
	struct fusewb_blocks *blocks = blocks_of(folio);
	unsigned int nr = DIV_ROUND_UP(end, PAGE_SIZE), first, last;

	if (*off >= end)
		return 0;
	if (!blocks)
		return end - *off;
	spin_lock(&blocks->lock);
	first = find_next_bit(blocks->dirty, nr, *off >> PAGE_SHIFT);
	last = find_next_zero_bit(blocks->dirty, nr, first);
	spin_unlock(&blocks->lock);
	if (first >= nr)
		return 0;
	*off = (size_t)first << PAGE_SHIFT;
	return min(end, (size_t)last << PAGE_SHIFT) - *off;
}

void fusewb_blocks_clear(struct folio *folio)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (!blocks) {
		folio_clear_dirty_for_io(folio);
		return;
	}
	expect_mark(blocks);
	folio_clear_dirty_for_io(folio);

	spin_lock(&blocks->lock);
	blocks->expected = false;
	if (folio_maybe_dma_pinned(folio))
		blocks->foreign = true;
	if (blocks->foreign)
		mark_all(folio, blocks);
	spin_unlock(&blocks->lock);
}

void fusewb_blocks_unmap(struct folio *folio, size_t off, size_t len)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (!folio_mapped(folio))
		return;
	if (blocks) {
		spin_lock(&blocks->lock);
		blocks->unmapping = true;
		spin_unlock(&blocks->lock);
	}
	unmap_mapping_pages(folio->mapping, folio->index + (off >> PAGE_SHIFT),
			    len >> PAGE_SHIFT, false);
	if (!blocks)
		return;
	spin_lock(&blocks->lock);
	blocks->unmapping = false;
	/* His marks may have been among those. */
	if (folio_maybe_dma_pinned(folio))
		blocks->foreign = true;
	if (blocks->foreign && folio_test_dirty(folio))
		mark_all(folio, blocks);
	spin_unlock(&blocks->lock);
}

bool fusewb_blocks_spell_out(struct folio *folio)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (blocks)
		return true;
	blocks = attach(folio);
	if (!blocks)
		return false;
	spin_lock(&blocks->lock);
	mark_all(folio, blocks);
	spin_unlock(&blocks->lock);
	return true;
}

bool fusewb_blocks_has(struct folio *folio, size_t off)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	return folio_test_dirty(folio) &&
	       (!blocks || test_bit(off >> PAGE_SHIFT, blocks->dirty));
}

bool fusewb_blocks_whole(struct folio *folio, size_t end)
{
	struct fusewb_blocks *blocks = blocks_of(folio);
	unsigned int nr = DIV_ROUND_UP(end, PAGE_SIZE);

	return !blocks || find_first_zero_bit(blocks->dirty, nr) >= nr;
}

bool fusewb_blocks_left(struct folio *folio, size_t end)
{
	struct fusewb_blocks *blocks = blocks_of(folio);
	unsigned int nr = DIV_ROUND_UP(end, PAGE_SIZE);
	bool left;

	if (!blocks)
		return false;
	spin_lock(&blocks->lock);
	left = find_first_bit(blocks->dirty, nr) < nr;
	spin_unlock(&blocks->lock);
	return left;
}

void fusewb_blocks_clean(struct folio *folio, size_t off, size_t len)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (!blocks)
		return;
	spin_lock(&blocks->lock);
	bitmap_clear(blocks->dirty, off >> PAGE_SHIFT, DIV_ROUND_UP(len, PAGE_SIZE));
	spin_unlock(&blocks->lock);
}

bool fusewb_dirty_folio(struct address_space *mapping, struct folio *folio)
{
	struct fusewb_blocks *blocks = blocks_of(folio);

	if (blocks) {
		spin_lock(&blocks->lock);
		if (folio_test_locked(folio) && !blocks->unmapping) {
			blocks->foreign |= !blocks->expected;
			blocks->expected = false;
		}
		if (blocks->foreign || bitmap_empty(blocks->dirty, folio_nr_pages(folio)))
			mark_all(folio, blocks);
		spin_unlock(&blocks->lock);
	}
	return filemap_dirty_folio(mapping, folio);
}

static void detach(struct folio *folio)
{
	kfree(folio_detach_private(folio));
}

bool fusewb_release_folio(struct folio *folio, gfp_t gfp)
{
	/* The map says what is to be sent yet. */
	if (folio_test_dirty(folio))
		return false;
	detach(folio);
	return true;
}

void fusewb_invalidate_folio(struct folio *folio, size_t off, size_t len)
{
	size_t first = round_up(off, PAGE_SIZE), last = round_down(off + len, PAGE_SIZE);

	if (len == folio_size(folio)) {
		detach(folio);
	} else if (first < last) {
		/* Zeroes now, and the server has been told. */
		fusewb_blocks_clean(folio, first, last - first);
	}
}
