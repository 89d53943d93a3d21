// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/fusewb.
 *
 * A message is copied with page faults off, so that a request is never held up
 * by the server's memory: a thread that reads into a buffer whose faults are
 * never resolved would otherwise keep folios busy for ever. If the copy comes
 * up short, the request goes back to the head of the queue, the buffer is
 * faulted in, while the thread holds nothing, and the reader tries again; a
 * bounded number of times. Answers are received the same way. The folios of a
 * WRITE are dropped as soon as read(2) has copied them, unless they may be sent
 * once more (fusewb_req_keeps_payload()).
 *
 * splice.c hands over to a pipe instead.
 */
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "deadline.h"
#include "device.h"
#include "latency.h"
#include "notify.h"
#include "queue.h"
#include "request.h"
#include "trace.h"

/* Marks the interrupt of a request in its unique: uniques are even. */
#define INTERRUPT_BIT 1ULL

/* How often a buffer that was just faulted in may be found missing again. */
#define MAX_FAULT_ROUNDS 8

static struct list_head *bucket(struct fusewb_dev *dev, u64 unique)
{
	return &dev->processing[hash_64(unique, ilog2(FUSEWB_PROCESSING_BUCKETS))];
}

struct fusewb_conn *fusewb_dev_conn(struct fusewb_dev *dev)
{
	/* Pairs with the exchange in fusewb_dev_attach(). */
	return smp_load_acquire(&dev->conn);
}

/* Bytes that one mapping of a folio at @off gives. */
static size_t mapped_len(struct folio *folio, size_t off, size_t len)
{
	if (folio_test_highmem(folio))
		return min_t(size_t, len, PAGE_SIZE - offset_in_page(off));
	return len;
}

/* copy_to_iter() and copy_from_iter(), for which @to_user decides. */
static size_t copy_span(const struct fusewb_span *span, size_t len,
			struct iov_iter *iter, bool to_user)
{
	size_t done = 0;

	while (done < len) {
		size_t off = span->off + done;
		size_t n = mapped_len(span->folio, off, len - done);
		void *p = kmap_local_folio(span->folio, off);
		size_t copied = to_user ? copy_to_iter(p, n, iter) :
					  copy_from_iter(p, n, iter);

		kunmap_local(p);
		done += copied;
		if (copied < n)
			break;
	}
	return done;
}

int fusewb_dev_copy_out(struct fusewb_req *req, struct iov_iter *to, bool payload)
{
	size_t left = iov_iter_count(to);
	int err = -EFAULT;
	unsigned int i;

	mutex_lock(&req->copying);
	pagefault_disable();
	if (copy_to_iter(&req->in, sizeof(req->in), to) != sizeof(req->in) ||
	    copy_to_iter(req->in_args, req->in_args_len, to) != req->in_args_len)
		goto out;
	if (req->payload_in && req->payload_len && !req->nr_spans) {
		err = -EINTR;
		goto out;
	}
	for (i = 0; req->payload_in && payload && i < req->nr_spans; i++) {
		const struct fusewb_span *span = &req->spans[i];

		if (copy_span(span, span->len, to, true) != span->len)
			goto out;
	}
	err = 0;
out:
	pagefault_enable();
	mutex_unlock(&req->copying);
	trace_fusewb_copy(req, err);
	if (err)
		iov_iter_revert(to, left - iov_iter_count(to));
	return err;
}

void fusewb_dev_hand_over(struct fusewb_dev *dev, struct fusewb_req *req)
{
	struct fusewb_conn *conn = req->conn;
	bool aborted;

	if (!fusewb_req_keeps_payload(req))
		fusewb_req_drop_payload(req);
	if (req->no_answer) {
		fusewb_req_end(req, 0);
		return;
	}

	trace_fusewb_hand_over(req, 0);
	fusewb_req_get(req);
	spin_lock(&dev->lock);
	/* Abort marks the queue first, then empties the lists under this lock. */
	aborted = READ_ONCE(conn->queue.aborted);
	if (!aborted) {
		WRITE_ONCE(req->state, FUSEWB_REQ_SENT);
		list_add_tail(&req->link, bucket(dev, req->in.unique));
		fusewb_deadline_watch(req);
	}
	spin_unlock(&dev->lock);

	if (aborted) {
		fusewb_req_end(req, -ENOTCONN);
	} else {
		set_bit(FUSEWB_REQ_F_SENT, &req->flags);
		/* Pairs with the waiter that was interrupted: fusewb_req_call(). */
		smp_mb__after_atomic();
		if (test_bit(FUSEWB_REQ_F_INTERRUPTED, &req->flags))
			fusewb_queue_interrupt(req);
	}
	fusewb_req_put(req);
}

ssize_t fusewb_dev_copy_interrupt(u64 unique, struct iov_iter *to)
{
	struct {
		struct fuse_in_header in;
		struct fuse_interrupt_in arg;
	} msg = {
		.in = {
			.len = sizeof(msg),
			.opcode = FUSE_INTERRUPT,
			.unique = unique | INTERRUPT_BIT,
		},
		.arg.unique = unique,
	};

	/* An interrupt is only advice: one that is lost is not repeated. */
	return copy_to_iter(&msg, sizeof(msg), to) == sizeof(msg) ? sizeof(msg) : -EFAULT;
}

static ssize_t copy_forget(const struct fusewb_forget *forget, struct iov_iter *to)
{
	struct {
		struct fuse_in_header in;
		struct fuse_forget_in arg;
	} msg = {
		.in = {
			.len = sizeof(msg),
			.opcode = FUSE_FORGET,
			.nodeid = forget->one.nodeid,
		},
		.arg.nlookup = forget->one.nlookup,
	};

	return copy_to_iter(&msg, sizeof(msg), to) == sizeof(msg) ? sizeof(msg) : -EFAULT;
}

static ssize_t copy_batch(const struct list_head *forgets, struct iov_iter *to)
{
	struct fuse_in_header in = { .len = sizeof(in) + sizeof(struct fuse_batch_forget_in),
				     .opcode = FUSE_BATCH_FORGET };
	struct fuse_batch_forget_in batch = {};
	const struct fusewb_forget *forget;

	list_for_each_entry(forget, forgets, link) {
		batch.count++;
		in.len += sizeof(forget->one);
	}
	if (copy_to_iter(&in, sizeof(in), to) != sizeof(in) ||
	    copy_to_iter(&batch, sizeof(batch), to) != sizeof(batch))
		return -EFAULT;
	list_for_each_entry(forget, forgets, link)
		if (copy_to_iter(&forget->one, sizeof(forget->one), to) != sizeof(forget->one))
			return -EFAULT;
	return in.len;
}

/* A server before 7.16 would take it for an operation that it does not have. */
static bool knows_batches(const struct fusewb_conn *conn)
{
	return READ_ONCE(conn->minor) >= 16;
}

ssize_t fusewb_dev_copy_forgets(struct fusewb_conn *conn, struct list_head *forgets,
				struct iov_iter *to)
{
	struct fusewb_forget *forget, *next;
	ssize_t ret;

	if (knows_batches(conn))
		ret = copy_batch(forgets, to);
	else
		ret = copy_forget(list_first_entry(forgets, struct fusewb_forget, link), to);
	list_for_each_entry_safe(forget, next, forgets, link) {
		/* A message that was not read to its end forgets nothing. */
		if (ret < 0)
			fusewb_req_queue_forget(conn, forget->one.nodeid,
						forget->one.nlookup);
		kfree(forget);
	}
	return ret;
}

unsigned int fusewb_dev_forgets_fit(const struct fusewb_conn *conn, size_t room)
{
	if (!knows_batches(conn))
		return 1;
	room -= sizeof(struct fuse_in_header) + sizeof(struct fuse_batch_forget_in);
	return min_t(size_t, room / sizeof(struct fuse_forget_one), 256);
}

void fusewb_dev_refuse(struct fusewb_req *req)
{
	fusewb_req_end(req, req->in.opcode == FUSE_SETXATTR ? -E2BIG : -EIO);
}

/*
 * Return: bytes, -EAGAIN if the request found its way back to the queue or
 * came to its end and the caller looks for the next.
 */
static ssize_t read_request(struct fusewb_dev *dev, struct fusewb_req *req,
			    struct iov_iter *to, bool *short_copy)
{
	size_t len = req->in.len;
	int err;

	if (iov_iter_count(to) < len) {
		fusewb_dev_refuse(req);
		return -EAGAIN;
	}
	err = fusewb_dev_copy_out(req, to, true);
	if (!err) {
		fusewb_dev_hand_over(dev, req);
		return len;
	}
	if (err == -EFAULT) {
		*short_copy = true;
		if (fusewb_queue_requeue(req))
			return -EAGAIN;
		err = -ENOTCONN;
	}
	fusewb_req_end(req, err);
	return -EAGAIN;
}

/* Otherwise a request might fit into no buffer, ever. */
size_t fusewb_dev_min_buffer(const struct fusewb_conn *conn)
{
	return max_t(size_t, FUSE_MIN_READ_BUFFER,
		     sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) +
		     READ_ONCE(conn->server_max_write));
}

static ssize_t dev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = fusewb_dev_conn(dev);
	unsigned int rounds = 0;
	ssize_t ret;

	if (!conn)
		return -EPERM;
	if (iov_iter_count(to) < fusewb_dev_min_buffer(conn))
		return -EINVAL;

	for (;;) {
		bool short_copy = false;
		struct fusewb_req *req;
		LIST_HEAD(forgets);
		u64 unique;

		switch (fusewb_queue_next(conn, &req, &unique, &forgets,
					  fusewb_dev_forgets_fit(conn, iov_iter_count(to)))) {
		case FUSEWB_ITEM_END:
			return -ENODEV;
		case FUSEWB_ITEM_INTERRUPT:
			return fusewb_dev_copy_interrupt(unique, to);
		case FUSEWB_ITEM_FORGETS:
			return fusewb_dev_copy_forgets(conn, &forgets, to);
		case FUSEWB_ITEM_REQUEST:
			ret = read_request(dev, req, to, &short_copy);
			if (ret != -EAGAIN)
				return ret;
			break;
		case FUSEWB_ITEM_NONE:
			if (file->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT)
				return -EAGAIN;
			ret = fusewb_queue_wait(conn);
			if (ret)
				return ret;
			break;
		}
		if (short_copy && (!user_backed_iter(to) || ++rounds > MAX_FAULT_ROUNDS ||
				   fault_in_iov_iter_writeable(to, iov_iter_count(to))))
			return -EFAULT;
	}
}

/* Under dev->lock. */
static struct fusewb_req *find_sent(struct fusewb_dev *dev, u64 unique)
{
	struct fusewb_req *req;

	list_for_each_entry(req, bucket(dev, unique), link)
		if (req->in.unique == unique)
			return req;
	return NULL;
}

static struct fusewb_req *take_sent(struct fusewb_dev *dev, u64 unique)
{
	struct fusewb_req *req;

	spin_lock(&dev->lock);
	req = find_sent(dev, unique);
	if (req) {
		list_del_init(&req->link);
		WRITE_ONCE(req->state, FUSEWB_REQ_ANSWERING);
	}
	spin_unlock(&dev->lock);
	return req;
}

/* The answer could not be copied: the request waits on, unless aborted. */
static bool put_back(struct fusewb_dev *dev, struct fusewb_req *req)
{
	bool ok;

	spin_lock(&dev->lock);
	ok = !READ_ONCE(req->conn->queue.aborted);
	if (ok) {
		WRITE_ONCE(req->state, FUSEWB_REQ_SENT);
		list_add_tail(&req->link, bucket(dev, req->in.unique));
		fusewb_deadline_watch(req);
	}
	spin_unlock(&dev->lock);
	return ok;
}

/* Is an answer with @len bytes after its header one to this request? */
static bool answer_fits(const struct fusewb_req *req, size_t len, s32 error)
{
	if (error)
		return len == 0;
	if (!req->payload_in && req->max_spans)
		return len >= req->out_args_size &&
		       len - req->out_args_size <= req->payload_len;
	return req->out_var ? len <= req->out_args_size : len == req->out_args_size;
}

/* Return: 0 or -EFAULT if the buffer was not all there. */
static int copy_in(struct fusewb_req *req, struct iov_iter *from, size_t len)
{
	size_t left = iov_iter_count(from);
	size_t fixed = min_t(size_t, len, req->out_args_size);
	size_t payload = len - fixed, wanted = payload;
	int err = -EFAULT;
	unsigned int i;

	mutex_lock(&req->copying);
	pagefault_disable();
	if (copy_from_iter(req->out_args, fixed, from) != fixed)
		goto out;
	/*
	 * A payload that nobody waits for any more has no folios left, or they
	 * are being given back by the end that the deadline brought.
	 */
	if (req->background && atomic_read(&req->fate) == FUSEWB_FATE_ABANDONED)
		wanted = 0;
	for (i = 0; i < req->nr_spans && wanted; i++) {
		size_t n = min(wanted, req->spans[i].len);

		if (copy_span(&req->spans[i], n, from, false) != n)
			goto out;
		wanted -= n;
	}
	req->out_args_len = fixed;
	req->payload_received = payload;
	err = 0;
out:
	pagefault_enable();
	mutex_unlock(&req->copying);
	if (err)
		iov_iter_revert(from, left - iov_iter_count(from));
	return err;
}

/*
 * The answer to an INTERRUPT says at most: not now, try again, or: never. Return: 0, -ENOENT, or
 * -EINVAL if there was none.
 */
static int answer_interrupt(struct fusewb_dev *dev, u64 unique, s32 error)
{
	struct fusewb_req *req;
	int err = 0;

	spin_lock(&dev->lock);
	req = find_sent(dev, unique);
	if (req)
		fusewb_req_get(req);
	spin_unlock(&dev->lock);
	if (!req)
		return -ENOENT;
	if (!test_bit(FUSEWB_REQ_F_INTERRUPTED, &req->flags))
		err = -EINVAL;
	else if (error == -EAGAIN)
		fusewb_queue_interrupt(req);
	else if (error == -ENOSYS)
		fusewb_conn_set_nosys(req->conn, FUSE_INTERRUPT);
	fusewb_req_put(req);
	return err;
}

/*
 * As in-tree the request waits on: libraries tell the server, which may answer
 * with something better. Return: -EINVAL.
 */
static int refuse_error(struct fusewb_dev *dev, struct fusewb_conn *conn, u64 unique)
{
	struct fusewb_req *req;
	u32 opcode = 0;

	spin_lock(&dev->lock);
	req = find_sent(dev, unique & ~INTERRUPT_BIT);
	if (req)
		opcode = unique & INTERRUPT_BIT ? FUSE_INTERRUPT : req->in.opcode;
	spin_unlock(&dev->lock);
	if (opcode)
		fusewb_bad_answer(conn, opcode, FUSEWB_BAD_ERROR);
	return -EINVAL;
}

/* Is all that is left of a message there, and was it not so too often? */
static bool fault_in(struct iov_iter *from, unsigned int *rounds)
{
	return user_backed_iter(from) && ++*rounds <= MAX_FAULT_ROUNDS &&
	       !fault_in_iov_iter_readable(from, iov_iter_count(from));
}

static ssize_t dev_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct fusewb_dev *dev = iocb->ki_filp->private_data;
	struct fusewb_conn *conn = fusewb_dev_conn(dev);
	size_t total = iov_iter_count(from);
	struct fuse_out_header out;
	unsigned int rounds = 0;
	struct fusewb_req *req;
	size_t len;
	int err;

	if (!conn)
		return -EPERM;
	if (total < sizeof(out))
		return -EINVAL;
	if (copy_from_iter(&out, sizeof(out), from) != sizeof(out))
		return -EFAULT;
	len = total - sizeof(out);
	if (out.len != total)
		return -EINVAL;
	if (!out.unique) {
		do
			err = fusewb_notify(conn, out.error, from);
		while (err == -EFAULT && fault_in(from, &rounds));
		return err ?: total;
	}
	/* Errors end at 511: what is above is the kernel's own. */
	if (out.error > 0 || out.error <= -512)
		return refuse_error(dev, conn, out.unique);
	if (out.unique & INTERRUPT_BIT) {
		if (len)
			return -EINVAL;
		err = answer_interrupt(dev, out.unique & ~INTERRUPT_BIT, out.error);
		return err ?: total;
	}

	for (;;) {
		req = take_sent(dev, out.unique);
		if (!req)
			return -ENOENT;
		if (!answer_fits(req, len, out.error)) {
			err = fusewb_bad_answer(conn, req->in.opcode, "a wrong size");
			fusewb_req_end(req, err);
			return -EINVAL;
		}
		err = copy_in(req, from, len);
		if (!err)
			break;
		if (!put_back(dev, req)) {
			fusewb_req_end(req, -ENOTCONN);
			return -ENOENT;
		}
		if (!fault_in(from, &rounds))
			return -EFAULT;
	}
	req->out = out;
	atomic64_inc(&conn->counters.answers);
	fusewb_latency_answered(req);
	err = out.error;
	if (err && req->again) {
		err = req->again(req, err);
		if (!err)
			return total;
	}
	fusewb_req_end(req, err);
	return total;
}

static __poll_t dev_poll(struct file *file, poll_table *wait)
{
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = fusewb_dev_conn(dev);
	__poll_t mask = EPOLLOUT | EPOLLWRNORM;

	if (!conn)
		return EPOLLERR;
	poll_wait(file, &conn->queue.wait, wait);
	if (fusewb_conn_aborted(conn))
		return EPOLLERR;
	if (fusewb_queue_readable(conn))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

static int dev_fasync(int fd, struct file *file, int on)
{
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = fusewb_dev_conn(dev);

	return conn ? fasync_helper(fd, file, on, &conn->queue.fasync) : -EPERM;
}

static int dev_open(struct inode *inode, struct file *file)
{
	struct fusewb_dev *dev = kvzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!dev)
		return -ENOMEM;
	INIT_LIST_HEAD(&dev->node);
	spin_lock_init(&dev->lock);
	for (i = 0; i < FUSEWB_PROCESSING_BUCKETS; i++)
		INIT_LIST_HEAD(&dev->processing[i]);
	dev->opener_cred = get_cred(file->f_cred);
	dev->opener_pid = get_pid(task_tgid(current));
	file->private_data = dev;
	return 0;
}

void fusewb_dev_take_sent(struct fusewb_dev *dev, struct list_head *list)
{
	unsigned int i;

	spin_lock(&dev->lock);
	for (i = 0; i < FUSEWB_PROCESSING_BUCKETS; i++)
		list_splice_tail_init(&dev->processing[i], list);
	spin_unlock(&dev->lock);
}

/* What this descriptor was given and did not answer ends with it. */
static void end_processing(struct fusewb_dev *dev)
{
	struct fusewb_req *req, *next;
	LIST_HEAD(ended);

	fusewb_dev_take_sent(dev, &ended);
	list_for_each_entry_safe(req, next, &ended, link) {
		list_del_init(&req->link);
		fusewb_req_end(req, -ENOTCONN);
	}
}

static int dev_release(struct inode *inode, struct file *file)
{
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = dev->conn;
	bool last;

	if (conn) {
		spin_lock(&conn->queue.lock);
		list_del_init(&dev->node);
		last = list_empty(&conn->devs);
		spin_unlock(&conn->queue.lock);
		/* Nobody can read or answer any more. */
		if (last)
			fusewb_conn_abort(conn, FUSEWB_ABORT_DEVICE_CLOSED);
		end_processing(dev);
		fusewb_conn_put(conn);
	}
	if (dev->piece)
		put_page(dev->piece);
	put_cred(dev->opener_cred);
	put_pid(dev->opener_pid);
	kvfree(dev);
	return 0;
}

int fusewb_dev_attach(struct fusewb_dev *dev, struct fusewb_conn *conn)
{
	bool busy;

	fusewb_conn_get(conn);
	/* What is read through it is on the list, where an abort finds it. */
	spin_lock(&conn->queue.lock);
	/* Pairs with fusewb_dev_conn(); another connection has another lock. */
	busy = cmpxchg(&dev->conn, NULL, conn);
	if (!busy)
		list_add_tail(&dev->node, &conn->devs);
	spin_unlock(&conn->queue.lock);
	if (!busy)
		return 0;
	fusewb_conn_put(conn);
	return -EBUSY;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct fusewb_dev *dev = file->private_data;
	struct fusewb_conn *conn = NULL;
	struct fusewb_dev *from;
	struct file *other;
	int err = -EINVAL;
	u32 fd;

	if (cmd != FUSE_DEV_IOC_CLONE)
		return -ENOTTY;
	if (get_user(fd, (u32 __user *)arg))
		return -EFAULT;
	other = fget(fd);
	if (!other)
		return -EBADF;
	from = fusewb_dev_from_file(other);
	/* A descriptor that was opened in another namespace says nothing here. */
	if (from && other->f_cred->user_ns == file->f_cred->user_ns)
		conn = fusewb_dev_conn(from);
	if (conn)
		err = fusewb_dev_attach(dev, conn);
	fput(other);
	return err;
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.read_iter = dev_read_iter,
	.write_iter = dev_write_iter,
	.splice_read = fusewb_dev_splice_read,
	.splice_write = iter_file_splice_write,
	.poll = dev_poll,
	.fasync = dev_fasync,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

struct fusewb_dev *fusewb_dev_from_file(struct file *file)
{
	return file->f_op == &dev_fops ? file->private_data : NULL;
}

static struct miscdevice miscdev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = FUSEWB_DEV_NAME,
	.mode = 0666,
	.fops = &dev_fops,
};

int fusewb_dev_register(void)
{
	return misc_register(&miscdev);
}

void fusewb_dev_unregister(void)
{
	misc_deregister(&miscdev);
}
