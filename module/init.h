/* SPDX-License-Identifier: GPL-2.0-only */
/* FUSE_INIT: init.c. */
#ifndef FUSEWB_INIT_H
#define FUSEWB_INIT_H

#include <linux/sizes.h>

/* The protocol that init.c negotiates: 7.45. */
#define FUSEWB_PROTO_MAJOR 7
#define FUSEWB_PROTO_MINOR 45

/* The largest WRITE or READ, in bytes, that a server may ask for. */
#define FUSEWB_MAX_TRANSFER SZ_1M

#endif
