/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/uio.h>. */
#ifndef FUSEWB_COMPAT_UIO_H
#define FUSEWB_COMPAT_UIO_H

#include <linux/mm.h>
#include <linux/uio.h>

#ifndef HAVE_COPY_FOLIO_FROM_ITER_ATOMIC
/* The older function maps one page only where pages have to be mapped. */
static inline size_t copy_folio_from_iter_atomic(struct folio *folio, size_t offset,
						 size_t bytes, struct iov_iter *i)
{
	size_t done = 0;

	if (!folio_test_highmem(folio))
		return copy_page_from_iter_atomic(&folio->page, offset, bytes, i);
	while (done < bytes) {
		struct page *page = folio_page(folio, (offset + done) >> PAGE_SHIFT);
		size_t at = offset_in_page(offset + done);
		size_t n = min_t(size_t, bytes - done, PAGE_SIZE - at);
		size_t copied = copy_page_from_iter_atomic(page, at, n, i);

		done += copied;
		if (copied < n)
			break;
	}
	return done;
}
#endif

#endif
