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
