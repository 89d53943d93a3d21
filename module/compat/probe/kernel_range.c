// SPDX-License-Identifier: GPL-2.0-only
/* The one place that knows versions: which kernels the module was tried on. */
#include <linux/version.h>

#define RELEASE (LINUX_VERSION_MAJOR * 1000 + LINUX_VERSION_PATCHLEVEL)

#if RELEASE < 6001
#error "fusewb needs Linux 6.1 or later"
#elif RELEASE > 7002
#error "this fusewb knows kernels up to Linux 7.2, install a newer fusewb"
#endif
