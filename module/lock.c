// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on files: the server's where it took FUSE_POSIX_LOCKS or
 * FUSE_FLOCK_LOCKS, the kernel's own otherwise.
 *
 * Locks of a process end with FLUSH, which names the owner, locks of flock(2)
 * with RELEASE. Those that belong to an open file (F_OFD_SETLK) the protocol
 * ends nowhere: they are unlocked before RELEASE. A lock that was granted when
 * nobody waited for it any more is unlocked again.
 */
#include <linux/fs.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "lock.h"
#include "request.h"

static struct fusewb_req *alloc_request(struct inode *inode, const struct fuse_lk_in *in,
					u32 opcode, gfp_t gfp)
{
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { in, sizeof(*in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_lk_out) } },
		.nr_out = opcode == FUSE_GETLK,
	};

	return fusewb_req_alloc(fusewb_inode_conn(inode), &args, 0, gfp);
}

static void unlocked(struct fusewb_req *req, int error)
{
	fusewb_handle_put(req->io.handle);
}

/* Nobody waits. @h: so that RELEASE comes after it. */
static void unlock_later(struct fusewb_handle *h, struct fuse_lk_in *in)
{
	struct fusewb_req *req;

	in->lk.type = F_UNLCK;
	in->lk.pid = 0;
	/* Too small to fail. */
	req = alloc_request(h->inode, in, FUSE_SETLK, GFP_NOFS | __GFP_NOFAIL);
	req->io.handle = fusewb_handle_get(h);
	req->end = unlocked;
	fusewb_req_queue(req);
}

/* The waiter was killed. */
static void answered_late(struct fusewb_req *req)
{
	struct fuse_lk_in in = *(struct fuse_lk_in *)req->in_args;

	if (!req->error && req->in.opcode != FUSE_GETLK && in.lk.type != F_UNLCK)
		unlock_later(req->io.handle, &in);
	fusewb_handle_put(req->io.handle);
}

static int send(struct file *file, const struct fuse_lk_in *in, u32 opcode, struct fuse_lk_out *out)
{
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct fusewb_req *req;
	int err;

	req = alloc_request(file_inode(file), in, opcode, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	req->io.handle = fusewb_handle_get(h);
	req->orphan = answered_late;
	err = fusewb_req_call(req);
	if (!err && out)
		memcpy(out, req->out_args, sizeof(*out));
	if (!req->left)
		fusewb_handle_put(h);
	fusewb_req_put(req);
	return err;
}

static void fill(struct fuse_lk_in *in, struct file *file, const struct file_lock *fl, bool flock)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(file));

	*in = (struct fuse_lk_in) {
		.fh = fusewb_file_handle(file)->fh,
		.owner = fusewb_owner_id(compat_flc(fl, owner)),
		.lk = {
			.start = fl->fl_start,
			.end = fl->fl_end,
			.type = compat_flc(fl, type),
		},
		.lk_flags = flock ? FUSE_LK_FLOCK : 0,
	};
	if (compat_flc(fl, type) != F_UNLCK)
		in->lk.pid = pid_nr_ns(task_tgid(current), conn->pid_ns);
}

static bool answer_valid(const struct fuse_file_lock *lk)
{
	if (lk->type == F_UNLCK)
		return true;
	return (lk->type == F_RDLCK || lk->type == F_WRLCK) && lk->start <= lk->end &&
	       lk->end <= OFFSET_MAX;
}

static int get_lock(struct file *file, struct file_lock *fl)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(file));
	struct fuse_lk_out out = {};
	struct fuse_lk_in in;
	int err;

	fill(&in, file, fl, false);
	err = send(file, &in, FUSE_GETLK, &out);
	if (err)
		return err;
	if (!answer_valid(&out.lk))
		return fusewb_bad_answer(conn, FUSE_GETLK, "a lock that cannot be");
	compat_flc(fl, type) = out.lk.type;
	if (out.lk.type == F_UNLCK)
		return 0;
	fl->fl_start = out.lk.start;
	fl->fl_end = out.lk.end;
	/* Whose it is, the server says in its own namespace. */
	rcu_read_lock();
	compat_flc(fl, pid) = pid_nr_ns(find_pid_ns(out.lk.pid, conn->pid_ns), &init_pid_ns);
	rcu_read_unlock();
	return 0;
}

static int set_lock(struct file *file, struct file_lock *fl, bool flock)
{
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct fuse_lk_in in;
	int err;

	/* The NFS server asks for locks that are granted later. */
	if (fl->fl_lmops && fl->fl_lmops->lm_grant)
		return -ENOLCK;
	fill(&in, file, fl, flock);
	if (flock)
		h->flock_owner = in.owner;
	else if (compat_flc(fl, owner) == (fl_owner_t)file)
		h->ofd_locks = true;
	err = send(file, &in, compat_flc(fl, flags) & FL_SLEEP ? FUSE_SETLKW : FUSE_SETLK, NULL);
	/* It may be asked for again after the signal was handled. */
	return err == -EINTR ? -ERESTARTSYS : err;
}

int fusewb_lock(struct file *file, int cmd, struct file_lock *fl)
{
	bool remote = fusewb_inode_conn(file_inode(file))->flags & FUSE_POSIX_LOCKS;

	if (cmd == F_CANCELLK)
		return 0;
	if (cmd == F_GETLK) {
		if (remote)
			return get_lock(file, fl);
		posix_test_lock(file, fl);
		return 0;
	}
	return remote ? set_lock(file, fl, false) : posix_lock_file(file, fl, NULL);
}

int fusewb_flock(struct file *file, int cmd, struct file_lock *fl)
{
	if (fusewb_inode_conn(file_inode(file))->flags & FUSE_FLOCK_LOCKS)
		return set_lock(file, fl, true);
	return locks_lock_file_wait(file, fl);
}

void fusewb_locks_release(struct file *file)
{
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct fuse_lk_in in = {
		.fh = h->fh,
		.owner = fusewb_owner_id((fl_owner_t)file),
		.lk.end = OFFSET_MAX,
	};

	if (h->ofd_locks)
		unlock_later(h, &in);
}
