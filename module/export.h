/* SPDX-License-Identifier: GPL-2.0-only */
/* File handles for NFS and open_by_handle_at(2): export.c. */
#ifndef FUSEWB_EXPORT_H
#define FUSEWB_EXPORT_H

#include <linux/exportfs.h>

extern const struct export_operations fusewb_export_ops;

/* Of a server that says its node ids mean nothing later (FUSE_NO_EXPORT_SUPPORT):
 * handles tell files apart and open none.
 */
extern const struct export_operations fusewb_export_ids_only;

#endif
