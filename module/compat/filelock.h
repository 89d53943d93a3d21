/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/filelock.h>, which was a part of <linux/fs.h>. */
#ifndef FUSEWB_COMPAT_FILELOCK_H
#define FUSEWB_COMPAT_FILELOCK_H

#include <linux/fs.h>
#ifdef HAVE_FILELOCK_HEADER
#include <linux/filelock.h>
#endif

/* What locks and leases share became a struct of its own. */
#ifdef HAVE_FILE_LOCK_CORE
#define compat_flc(fl, field)	((fl)->c.flc_##field)
#else
#define compat_flc(fl, field)	((fl)->fl_##field)
#endif

#endif
