/* SPDX-License-Identifier: GPL-2.0-only */
/* The file system type: mount options, super block, statfs, umount. */
#ifndef FUSEWB_SUPER_H
#define FUSEWB_SUPER_H

int fusewb_super_register(void);
void fusewb_super_unregister(void);

#endif
