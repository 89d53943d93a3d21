// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct I/O that ends after the call, as io_submit(2) has it.
 *
 * The payload is in private pages of the request here too, so nothing of the
 * caller's memory is pinned while a server thinks, and the call can end at any
 * time without it. That matters, for a task that exits waits for what it has
 * submitted, and no signal ends that; the kernel cancels it though, and so may the
 * caller (io_cancel(2)). What was read is copied by a worker that borrows the
 * caller's address space.
 *
 * io_uring cannot cancel what a file has taken. It has threads for what waits, which
 * can be killed: its calls are carried out there.
 */
#include <linux/aio.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat/compat.h"
#include "aio.h"
#include "connection.h"
#include "inode.h"
#include "request.h"

/*
 * Bytes of payload of one connection. Who submits more waits for the server, so
 * that one that hangs has no more of the kernel's memory.
 */
#define AIO_MOST ((s64)SZ_64M)

/*
 * @refs: the end's, and that of a cancellation
 * @unwanted: it was cancelled
 * @queued: the request was
 * @mm: of @to, NULL for a write
 * @segments: of @to, or NULL
 */
struct aio {
	struct kiocb *iocb;
	struct fusewb_req *req;
	fusewb_aio_finish_t finish;
	refcount_t refs;
	bool unwanted;
	int error;
	size_t len;
	struct completion queued;
	struct work_struct ended;
	struct work_struct faulted;
	struct work_struct cancelled;
	struct mm_struct *mm;
	struct iov_iter to;
	const void *segments;
};

/*
 * The first never waits. What it cannot copy without a page fault is the other's,
 * where memory that somebody maps from a hung server holds up its like only.
 */
static struct workqueue_struct *workqueue, *faulting;

static void put(struct aio *aio)
{
	if (!refcount_dec_and_test(&aio->refs))
		return;
	if (aio->mm)
		mmdrop(aio->mm);
	fusewb_req_put(aio->req);
	kfree(aio->segments);
	kfree(aio);
}

static void complete_call(struct aio *aio, ssize_t ret)
{
	atomic64_sub(aio->len, &aio->req->conn->aio_bytes);
	/* It cannot be cancelled from here on. */
	aio->iocb->ki_complete(aio->iocb, ret);
	put(aio);
}

/* Return: false if it needs a fault, and may not have one. */
static bool finish_read(struct aio *aio, bool may_fault)
{
	struct iov_iter to = aio->to;
	ssize_t ret;

	kthread_use_mm(aio->mm);
	if (!may_fault)
		pagefault_disable();
	ret = aio->finish(aio->iocb, aio->req, 0, &to);
	if (!may_fault)
		pagefault_enable();
	kthread_unuse_mm(aio->mm);
	if (ret == -EFAULT && !may_fault)
		return false;
	complete_call(aio, ret);
	return true;
}

/* It may wait behind others there, but not when nobody wants it any more. */
static void end_unwanted(struct aio *aio)
{
	if (READ_ONCE(aio->unwanted) && cancel_work(&aio->faulted))
		complete_call(aio, -EINTR);
}

static void ended_work(struct work_struct *work)
{
	struct aio *aio = container_of(work, struct aio, ended);
	struct mm_struct *mm = aio->mm;

	if (aio->error || !mm) {
		complete_call(aio, aio->finish(aio->iocb, aio->req, aio->error, NULL));
	} else if (!mmget_not_zero(mm)) {
		/* Nobody is left to copy it to. */
		complete_call(aio, -EINTR);
	} else {
		refcount_inc(&aio->refs);
		if (!finish_read(aio, false)) {
			queue_work(faulting, &aio->faulted);
			/* Pairs with cancelled_work(): one of them sees the other's. */
			smp_mb();
			end_unwanted(aio);
		}
		put(aio);
		/* Who gives up the last one waits for all calls from there. */
		mmput_async(mm);
	}
}

static void faulted_work(struct work_struct *work)
{
	struct aio *aio = container_of(work, struct aio, faulted);
	struct mm_struct *mm = aio->mm;

	if (!mmget_not_zero(mm)) {
		complete_call(aio, -EINTR);
		return;
	}
	finish_read(aio, true);
	mmput_async(mm);
}

static void request_end(struct fusewb_req *req, int error)
{
	struct aio *aio = req->private;

	aio->error = error;
	queue_work(workqueue, &aio->ended);
}

static void cancelled_work(struct work_struct *work)
{
	struct aio *aio = container_of(work, struct aio, cancelled);

	wait_for_completion(&aio->queued);
	fusewb_req_give_up(aio->req, -EINTR);
	WRITE_ONCE(aio->unwanted, true);
	/* Pairs with ended_work(). */
	smp_mb();
	end_unwanted(aio);
	put(aio);
}

/* Under a lock of the kernel's, with interrupts off, and once at most. */
static int cancel(struct kiocb *iocb)
{
	struct aio *aio = iocb->private;

	refcount_inc(&aio->refs);
	queue_work(workqueue, &aio->cancelled);
	return -EINPROGRESS;
}

static struct aio *new_aio(struct kiocb *iocb, struct fusewb_req *req, struct iov_iter *to)
{
	struct aio *aio = kzalloc(sizeof(*aio), GFP_KERNEL_ACCOUNT);

	if (!aio)
		return NULL;
	if (to) {
		aio->segments = dup_iter(&aio->to, to, GFP_KERNEL_ACCOUNT);
		if (!aio->segments && !iter_is_ubuf(to)) {
			kfree(aio);
			return NULL;
		}
		/* Most of it stays there until the answer comes. */
		fault_in_iov_iter_writeable(to, iov_iter_count(to));
		aio->mm = current->mm;
		mmgrab(aio->mm);
	}
	aio->iocb = iocb;
	aio->req = fusewb_req_get(req);
	aio->len = req->payload_len;
	refcount_set(&aio->refs, 1);
	init_completion(&aio->queued);
	INIT_WORK(&aio->ended, ended_work);
	INIT_WORK(&aio->faulted, faulted_work);
	INIT_WORK(&aio->cancelled, cancelled_work);
	return aio;
}

bool fusewb_aio_may(const struct kiocb *iocb, size_t len, size_t most)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(iocb->ki_filp));

	return iocb->ki_flags & IOCB_AIO_RW && conn->flags & FUSE_ASYNC_DIO && len <= most &&
	       atomic64_read(&conn->aio_bytes) < AIO_MOST;
}

ssize_t fusewb_aio_queue(struct kiocb *iocb, struct fusewb_req *req, struct iov_iter *to,
			 fusewb_aio_finish_t finish)
{
	struct aio *aio = new_aio(iocb, req, to);

	if (!aio)
		return -ENOMEM;
	aio->finish = finish;
	req->end = request_end;
	req->private = aio;
	atomic64_add(aio->len, &req->conn->aio_bytes);
	iocb->private = aio;
	/* The end may come at once. */
	refcount_inc(&aio->refs);
	kiocb_set_cancel_fn(iocb, cancel);
	fusewb_req_queue(req);
	complete_all(&aio->queued);
	put(aio);
	return -EIOCBQUEUED;
}

int fusewb_aio_start(void)
{
	workqueue = alloc_workqueue("fusewb_aio", WQ_UNBOUND, 0);
	faulting = alloc_workqueue("fusewb_aio_faulting", WQ_UNBOUND, 0);
	if (workqueue && faulting)
		return 0;
	fusewb_aio_stop();
	return -ENOMEM;
}

void fusewb_aio_stop(void)
{
	if (workqueue)
		destroy_workqueue(workqueue);
	if (faulting)
		destroy_workqueue(faulting);
}
