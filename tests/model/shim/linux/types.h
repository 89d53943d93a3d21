/* SPDX-License-Identifier: GPL-2.0-only */
/* The C library's headers include the one of this name, too. */
#pragma GCC system_header
#include_next <linux/types.h>
#include "../kernel.h"
