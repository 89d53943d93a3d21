/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/pagemap.h>. */
#ifndef FUSEWB_COMPAT_PAGEMAP_H
#define FUSEWB_COMPAT_PAGEMAP_H

#include <linux/pagemap.h>

/* struct folio_batch moved to a header of its own. */
#ifdef HAVE_FOLIO_BATCH_HEADER
#include <linux/folio_batch.h>
#else
#include <linux/pagevec.h>
#endif

#ifndef HAVE_MAPPING_SET_FOLIO_ORDER_RANGE
/* Folios had any order up to the largest. */
static inline void mapping_set_folio_order_range(struct address_space *mapping, unsigned int min,
						 unsigned int max)
{
	mapping_set_large_folios(mapping);
}
#endif

#ifndef HAVE_FILEMAP_ALLOC_FOLIO_POLICY
/* There was no memory policy of the caller's. */
static inline struct folio *fusewb_filemap_alloc_folio(gfp_t gfp, unsigned int order)
{
	return filemap_alloc_folio(gfp, order);
}

#undef filemap_alloc_folio
#define filemap_alloc_folio(gfp, order, policy) fusewb_filemap_alloc_folio(gfp, order)
#endif

#endif
