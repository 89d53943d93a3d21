/* SPDX-License-Identifier: GPL-2.0-only */
/* FUSE_INIT: init.c. */
#ifndef FUSEWB_INIT_H
#define FUSEWB_INIT_H

#include <linux/sizes.h>

/* The protocol that init.c negotiates: 7.45. */
#define FUSEWB_PROTO_MAJOR 7
#define FUSEWB_PROTO_MINOR 45

/*
 * The largest WRITE or READ, in bytes, that a server may ask for. Most ask for
 * 1 MiB, which is where the in-tree client ends unless fs.fuse.max_pages_limit
 * is raised.
 */
#define FUSEWB_MAX_TRANSFER SZ_4M

#endif
