/* SPDX-License-Identifier: GPL-2.0-only */
/* Direct I/O that ends after the call: aio.c. */
#ifndef FUSEWB_AIO_H
#define FUSEWB_AIO_H

#include <linux/fs.h>
#include <linux/uio.h>

struct fusewb_req;

/**
 * fusewb_aio_may() - may the call return before the server has answered?
 * @len: bytes, all of the call
 * @most: in one request
 *
 * Only then is fusewb_aio_queue() called.
 */
bool fusewb_aio_may(const struct kiocb *iocb, size_t len, size_t most);

/**
 * fusewb_aio_finish_t - takes the answer
 * @error: of the request: 0 or negative; with @req->left the server has it yet
 * @to: where to read to, NULL for a write
 *
 * In process context, without locks; with @to in the address space of who asked,
 * again after -EFAULT. Return: what the call does.
 */
typedef ssize_t (*fusewb_aio_finish_t)(struct kiocb *iocb, struct fusewb_req *req, int error,
				       struct iov_iter *to);

/**
 * fusewb_aio_queue() - queue the one request of a call
 * @req: with its payload; its end and private are used
 * @to: as above; a copy is made
 *
 * Return: -EIOCBQUEUED, and @iocb and the caller's reference on @req are taken;
 * or -ENOMEM, and nothing has happened.
 */
ssize_t fusewb_aio_queue(struct kiocb *iocb, struct fusewb_req *req, struct iov_iter *to,
			 fusewb_aio_finish_t finish);

int fusewb_aio_start(void);
void fusewb_aio_stop(void);

#endif
