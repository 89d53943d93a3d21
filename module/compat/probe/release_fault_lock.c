// SPDX-License-Identifier: GPL-2.0-only
/* A fault may hold the lock of its mapping alone, by 4089eef0e6ac (6.6). */
#include <linux/mm.h>

void probe(struct vm_fault *vmf);

void probe(struct vm_fault *vmf)
{
	release_fault_lock(vmf);
}
