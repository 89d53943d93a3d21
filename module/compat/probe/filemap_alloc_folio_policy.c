// SPDX-License-Identifier: GPL-2.0-only
/* "mm/filemap: Add NUMA mempolicy support to filemap_alloc_folio()", after 6.12 */
#include <linux/pagemap.h>

struct folio *probe(gfp_t gfp);

struct folio *probe(gfp_t gfp)
{
	return filemap_alloc_folio(gfp, 0, NULL);
}
