/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctl(2) on files and directories of the server: ioctl.c. */
#ifndef FUSEWB_IOCTL_H
#define FUSEWB_IOCTL_H

struct file;

/* file operations */
long fusewb_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_dir_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
