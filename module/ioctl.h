/* SPDX-License-Identifier: GPL-2.0-only */
/* ioctl(2) on files and directories of the server: ioctl.c. */
#ifndef FUSEWB_IOCTL_H
#define FUSEWB_IOCTL_H

#include <linux/types.h>

struct file;
struct fuse_ioctl_in;
struct inode;

/**
 * fusewb_ioctl_ask() - IOCTL
 * @in: with the handle of an open file of @inode
 * @data: room for the larger of both directions; what goes in, then what came out
 * @len: bytes that came out, also with an error: they may be what tells more of it
 *
 * Return: what the command returns, -ENOTTY if the server does not know it, other
 * errors of fusewb_call() and of the server.
 */
long fusewb_ioctl_ask(struct inode *inode, const struct fuse_ioctl_in *in, void *data, size_t *len);

/* file operations */
long fusewb_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_dir_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long fusewb_dir_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif
