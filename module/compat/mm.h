/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/mm.h>. */
#ifndef FUSEWB_COMPAT_MM_H
#define FUSEWB_COMPAT_MM_H

#include <linux/mm.h>

#ifndef HAVE_RELEASE_FAULT_LOCK
/* All mappings of a process had one lock. */
static inline void release_fault_lock(struct vm_fault *vmf)
{
	mmap_read_unlock(vmf->vma->vm_mm);
}
#endif

#endif
