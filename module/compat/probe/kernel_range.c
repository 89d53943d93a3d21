// SPDX-License-Identifier: GPL-2.0-only
/* The one place that knows versions: which kernels the module was tried on. */
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "fusewb needs Linux 6.1 or later"
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
#error "this fusewb knows kernels up to Linux 7.2, install a newer fusewb"
#endif
