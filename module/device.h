/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/fusewb: the server's end of a connection. */
#ifndef FUSEWB_DEVICE_H
#define FUSEWB_DEVICE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/spinlock.h>

struct fusewb_conn;

#define FUSEWB_PROCESSING_BUCKETS 256

/**
 * struct fusewb_dev - one descriptor of the device
 *
 * Opened, it belongs to no connection; a mount or FUSE_DEV_IOC_CLONE attaches
 * it, once.
 */
struct fusewb_dev {
	struct fusewb_conn *conn;	/* a reference, set once */
	struct list_head node;		/* conn->devs, by its queue.lock */
	spinlock_t lock;		/* processing, and the state of the
					 * requests on it
					 */
	struct list_head processing[FUSEWB_PROCESSING_BUCKETS];
	const struct cred *opener_cred;
	struct pid *opener_pid;
};

/**
 * fusewb_dev_from_file() - the device behind a descriptor of the option fd=
 * Return: NULL if @file is not one of ours.
 */
struct fusewb_dev *fusewb_dev_from_file(struct file *file);

/**
 * fusewb_dev_attach() - make a connection readable through a descriptor
 * Return: 0, or -EBUSY if it already serves one.
 */
int fusewb_dev_attach(struct fusewb_dev *dev, struct fusewb_conn *conn);

/**
 * fusewb_dev_take_sent() - append what it was given and did not answer to @list
 *
 * The requests keep their state, the queue's reference is the caller's.
 */
void fusewb_dev_take_sent(struct fusewb_dev *dev, struct list_head *list);

int fusewb_dev_register(void);
void fusewb_dev_unregister(void);

#endif
