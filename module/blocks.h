/* SPDX-License-Identifier: GPL-2.0-only */
/* Which pages of a large folio are dirty: blocks.c says how. */
#ifndef FUSEWB_BLOCKS_H
#define FUSEWB_BLOCKS_H

#include <linux/types.h>

struct address_space;
struct folio;

/**
 * fusewb_blocks_dirty() - the bytes are dirty, and with them the folio
 *
 * @off and @len are rounded out to pages. The folio is locked. Without memory
 * for the marks all of it becomes dirty. Return: false if the folio was dirty.
 */
bool fusewb_blocks_dirty(struct folio *folio, size_t off, size_t len);

/**
 * fusewb_blocks_fault() - the same by page_mkwrite, which leaves the folio locked
 *
 * They have to be all that the fault may make writable.
 */
void fusewb_blocks_fault(struct folio *folio, size_t off, size_t len);

/**
 * fusewb_blocks_next() - find dirty bytes
 * @off: search from here on; set to the first dirty byte
 * @end: look at nothing from here on, at most the folio's size
 *
 * The folio is locked, and dirty or just made clean by fusewb_blocks_clear().
 * Return: their number up to the next clean page or @end, 0 if there are none.
 */
size_t fusewb_blocks_next(struct folio *folio, size_t *off, size_t end);

/**
 * fusewb_blocks_clear() - the folio is about to be issued: clear its dirty flag
 *
 * Which of its pages are dirty stays known. The folio is locked.
 */
void fusewb_blocks_clear(struct folio *folio);

/**
 * fusewb_blocks_unmap() - nobody maps these whole pages any more
 *
 * What was dirty stays so, and nothing else becomes it. The folio is locked.
 */
void fusewb_blocks_unmap(struct folio *folio, size_t off, size_t len);

/**
 * fusewb_blocks_spell_out() - a folio that is dirty as a whole gets a map
 *
 * So that a part of it can be issued. The folio is locked and dirty. Return:
 * false if it has none and there is no memory.
 */
bool fusewb_blocks_spell_out(struct folio *folio);

/** fusewb_blocks_has() - is the page with @off dirty? The folio is locked. */
bool fusewb_blocks_has(struct folio *folio, size_t off);

/** fusewb_blocks_whole() - is each page of a dirty folio dirty? It is locked.
 * @end: pages from here on do not count, at most the folio's size
 */
bool fusewb_blocks_whole(struct folio *folio, size_t end);

/** fusewb_blocks_left() - has it marks of dirty pages below @end? */
bool fusewb_blocks_left(struct folio *folio, size_t end);

/** fusewb_blocks_clean() - these bytes were issued. The folio is locked. */
void fusewb_blocks_clean(struct folio *folio, size_t off, size_t len);

/* address_space_operations */
bool fusewb_dirty_folio(struct address_space *mapping, struct folio *folio);
bool fusewb_release_folio(struct folio *folio, gfp_t gfp);
void fusewb_invalidate_folio(struct folio *folio, size_t off, size_t len);

#endif
