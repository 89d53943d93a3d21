// SPDX-License-Identifier: GPL-2.0-only
/* "iov_iter: Add copy_folio_from_iter_atomic()", after 6.1 */
#include <linux/mm.h>
#include <linux/uio.h>

size_t probe(struct folio *folio, struct iov_iter *iter);

size_t probe(struct folio *folio, struct iov_iter *iter)
{
	return copy_folio_from_iter_atomic(folio, 0, 1, iter);
}
