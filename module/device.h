/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/fusewb: the server's end of a connection. */
#ifndef FUSEWB_DEVICE_H
#define FUSEWB_DEVICE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/spinlock.h>

struct fusewb_conn;

struct fusewb_req;
struct iov_iter;

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
	spinlock_t lock;		/* processing, the state of the requests
					 * on it, piece and piece_used
					 */
	struct list_head processing[FUSEWB_PROCESSING_BUCKETS];
	struct page *piece;		/* splice.c: or NULL, a reference */
	size_t piece_used;		/* bytes */
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

/* For the two ways to read the device, device.c and splice.c. */

/**
 * fusewb_dev_copy_out() - header, arguments and, if asked for, the payload
 *
 * The request is COPYING. Page faults are off. Return: 0, -EFAULT if the buffer
 * was not all there, -EINTR if the request was abandoned; on error @to is where
 * it was.
 */
int fusewb_dev_copy_out(struct fusewb_req *req, struct iov_iter *to, bool payload);

/** fusewb_dev_hand_over() - the request is with the server from here on, or
 * ended.
 */
void fusewb_dev_hand_over(struct fusewb_dev *dev, struct fusewb_req *req);

/** fusewb_dev_refuse() - end a request for which the reader has no room. */
void fusewb_dev_refuse(struct fusewb_req *req);

/** fusewb_dev_copy_interrupt() - an INTERRUPT of a request; bytes or -EFAULT. */
ssize_t fusewb_dev_copy_interrupt(u64 unique, struct iov_iter *to);

/** fusewb_dev_copy_forgets() - a BATCH_FORGET of the list, or a FORGET if it
 * has one and the server knows no other, which is used up; bytes or -EFAULT,
 * then they are queued again.
 */
ssize_t fusewb_dev_copy_forgets(struct fusewb_conn *conn, struct list_head *forgets,
				struct iov_iter *to);

/** fusewb_dev_forgets_fit() - how many a message of @room bytes can carry. */
unsigned int fusewb_dev_forgets_fit(const struct fusewb_conn *conn, size_t room);

/** fusewb_dev_min_buffer() - bytes that a reader has to have room for. */
size_t fusewb_dev_min_buffer(const struct fusewb_conn *conn);

/** fusewb_dev_conn() - the connection that a descriptor serves, or NULL. */
struct fusewb_conn *fusewb_dev_conn(struct fusewb_dev *dev);

ssize_t fusewb_dev_splice_read(struct file *file, loff_t *pos,
			       struct pipe_inode_info *pipe, size_t len,
			       unsigned int flags);

int fusewb_dev_register(void);
void fusewb_dev_unregister(void);

#endif
