/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/mm.h>. */
#ifndef FUSEWB_COMPAT_MM_H
#define FUSEWB_COMPAT_MM_H

#include <linux/huge_mm.h>
#include <linux/mm.h>

#ifndef HAVE_RELEASE_FAULT_LOCK
/* All mappings of a process had one lock. */
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

#ifndef HAVE_GENERIC_ERROR_REMOVE_FOLIO
/* It had the name of a page, and took its folio. */
static inline int generic_error_remove_folio(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_page(mapping, &folio->page);
}
#endif

/*
 * May a store to a page that nothing maps yet make all of its folio writable and
 * dirty in the page table? The page alone is told to page_mkwrite.
 */
static inline bool fusewb_store_maps_all(struct folio *folio)
{
#ifdef HAVE_FOLIO_MK_PTE
	return true;
#else
	return folio_test_pmd_mappable(folio);
#endif
}

#endif
