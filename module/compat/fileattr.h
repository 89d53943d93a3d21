/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/fileattr.h>. */
#ifndef FUSEWB_COMPAT_FILEATTR_H
#define FUSEWB_COMPAT_FILEATTR_H

#include <linux/fs.h>
#include <linux/fileattr.h>

/* It was renamed when the name became that of a struct of users. */
#ifndef HAVE_FILE_KATTR
#define file_kattr fileattr
#endif

#endif
