/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source is written for the newest kernel; what older ones lack is
 * completed here, a header for each kernel header. <have.h> holds what the
 * probes found (probe.mk). Included after all <linux/...> headers.
 */
#ifndef FUSEWB_COMPAT_H
#define FUSEWB_COMPAT_H

#include <have.h>
#include "dcache.h"
#include "fileattr.h"
#include "filelock.h"
#include "fs.h"
#include "fuse.h"
#include "genetlink.h"
#include "hrtimer.h"
#include "migrate.h"
#include "mm.h"
#include "splice.h"
#include "pagemap.h"
#include "posix_acl.h"
#include "security.h"
#include "uio.h"
#include "writeback.h"

#endif
