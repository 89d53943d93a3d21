// SPDX-License-Identifier: GPL-2.0-only
/*
 * Locks on files: the server's where it took FUSE_POSIX_LOCKS or
 * FUSE_FLOCK_LOCKS, the kernel's own otherwise.
 *
 * Locks of a process end with FLUSH, which names the owner, locks of flock(2)
 * with RELEASE. Those that belong to an open file (F_OFD_SETLK) the protocol
 * ends nowhere: they are unlocked before RELEASE.
 *
 * A lock that was granted when nobody waited for it any more is unlocked again.
 * But it may have been a deadline that ended the wait, not a signal that kills,
 * and then its owner lives: what he holds is not taken away. If the lock overlaps
 * one that he may hold, or asks for just now, it is left to him until he
 * unlocks it or his locks end; and he asks for no other while it is unlocked.
 */
#include <linux/fs.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inode.h"
#include "lock.h"
#include "request.h"
#include "waits.h"

/*
 * Who asks for locks of an inode, or may hold some: all by fi->lock. Locks of
 * flock(2) are apart.
 */
struct lock_owner {
	struct list_head link;		/* fi->lock_owners */
	u64 id;
	bool flock;
	unsigned int users;		/* requests, also before they are made */
	unsigned int asking;		/* those of them for a lock, that are waited for, */
	u64 ask_first;			/* all between these */
	u64 ask_last;
	unsigned int unlocking;		/* those that give a late lock back */
	wait_queue_head_t wait;		/* until there is none of these */
	u64 first;			/* all that he may hold lies between them; */
	u64 last;			/* first > last: nothing */
};

static bool may_hold(const struct lock_owner *owner, const struct fuse_file_lock *lk)
{
	return owner->first <= owner->last && owner->first <= lk->end && lk->start <= owner->last;
}

static bool asks_for(const struct lock_owner *owner, const struct fuse_file_lock *lk)
{
	return owner->asking && owner->ask_first <= lk->end && lk->start <= owner->ask_last;
}

static void starts_asking(struct lock_owner *owner, const struct fuse_file_lock *lk)
{
	owner->ask_first = owner->asking ? min(owner->ask_first, lk->start) : lk->start;
	owner->ask_last = owner->asking ? max(owner->ask_last, lk->end) : lk->end;
	owner->asking++;
}

static void holds_none(struct lock_owner *owner)
{
	owner->first = U64_MAX;
	owner->last = 0;
}

static void holds(struct lock_owner *owner, const struct fuse_file_lock *lk)
{
	owner->first = min(owner->first, lk->start);
	owner->last = max(owner->last, lk->end);
}

static void holds_no_more(struct lock_owner *owner, const struct fuse_file_lock *lk)
{
	bool head = lk->start <= owner->first, tail = owner->last <= lk->end;

	if (!may_hold(owner, lk))
		return;
	if (head && tail)
		holds_none(owner);
	else if (head)
		owner->first = lk->end + 1;
	else if (tail)
		owner->last = lk->start - 1;
}

static struct lock_owner *find_owner(struct fusewb_inode *fi, u64 id, bool flock)
{
	struct lock_owner *owner;

	list_for_each_entry(owner, &fi->lock_owners, link)
		if (owner->id == id && owner->flock == flock)
			return owner;
	return NULL;
}

static void drop_unused(struct lock_owner *owner)
{
	if (owner->users || owner->first <= owner->last)
		return;
	list_del(&owner->link);
	kfree(owner);
}

static void put_owner(struct lock_owner *owner)
{
	owner->users--;
	drop_unused(owner);
}

/* Return: the owner, for asked() or the end of a request; or NULL. */
static struct lock_owner *asks(struct fusewb_inode *fi, const struct fuse_lk_in *in)
{
	bool flock = in->lk_flags & FUSE_LK_FLOCK;
	struct lock_owner *new, *owner;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	spin_lock(&fi->lock);
	owner = find_owner(fi, in->owner, flock);
	if (!owner) {
		owner = new;
		new = NULL;
		owner->id = in->owner;
		owner->flock = flock;
		holds_none(owner);
		init_waitqueue_head(&owner->wait);
		list_add(&owner->link, &fi->lock_owners);
	}
	owner->users++;
	/* Not at the answer: another lock may have been granted after this was carried out. */
	if (in->lk.type == F_UNLCK)
		holds_no_more(owner, &in->lk);
	else
		starts_asking(owner, &in->lk);
	spin_unlock(&fi->lock);
	kfree(new);
	return owner;
}

static void asked(struct fusewb_inode *fi, const struct fuse_lk_in *in, struct lock_owner *owner)
{
	spin_lock(&fi->lock);
	if (in->lk.type != F_UNLCK)
		owner->asking--;
	else
		holds(owner, &in->lk);
	put_owner(owner);
	spin_unlock(&fi->lock);
}

static void locks_end(struct fusewb_inode *fi, u64 id, bool flock)
{
	struct lock_owner *owner;

	spin_lock(&fi->lock);
	owner = find_owner(fi, id, flock);
	if (owner) {
		holds_none(owner);
		drop_unused(owner);
	}
	spin_unlock(&fi->lock);
}

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
	struct fusewb_handle *h = req->io.handle;
	struct fusewb_inode *fi = FUSEWB_I(h->inode);
	struct lock_owner *owner = req->private;

	if (owner) {
		spin_lock(&fi->lock);
		if (!--owner->unlocking)
			wake_up(&owner->wait);
		put_owner(owner);
		spin_unlock(&fi->lock);
	}
	fusewb_handle_put(h);
}

/* Nobody waits. @h: so that RELEASE comes after it. @owner: NULL, or of a late lock. */
static void unlock_later(struct fusewb_handle *h, struct fuse_lk_in *in, struct lock_owner *owner)
{
	struct fusewb_req *req;

	in->lk.type = F_UNLCK;
	in->lk.pid = 0;
	/* Too small to fail. */
	req = alloc_request(h->inode, in, FUSE_SETLK, GFP_NOFS | __GFP_NOFAIL);
	req->io.handle = fusewb_handle_get(h);
	req->private = owner;
	req->end = unlocked;
	fusewb_req_queue(req);
}

/* The waiter and the late answer may both say so, in any order. */
static void waits_no_more(struct fusewb_req *req, struct lock_owner *owner)
{
	if (req->io.asking)
		owner->asking--;
	req->io.asking = false;
}

static void set_late(struct fusewb_req *req)
{
	struct fuse_lk_in in = *(struct fuse_lk_in *)req->in_args;
	struct fusewb_handle *h = req->io.handle;
	struct fusewb_inode *fi = FUSEWB_I(h->inode);
	struct lock_owner *owner = req->private;
	bool give_back;

	spin_lock(&fi->lock);
	waits_no_more(req, owner);
	give_back = !req->error && in.lk.type != F_UNLCK && !asks_for(owner, &in.lk) &&
		    !may_hold(owner, &in.lk);
	if (give_back)
		owner->unlocking++;
	else
		put_owner(owner);
	spin_unlock(&fi->lock);
	if (give_back)
		unlock_later(h, &in, owner);
	fusewb_handle_put(h);
}

static void got_late(struct fusewb_req *req)
{
	fusewb_handle_put(req->io.handle);
}

/* Return: the request, with a reference on the handle; or NULL. */
static struct fusewb_req *alloc_call(struct file *file, const struct fuse_lk_in *in, u32 opcode,
				     void (*late)(struct fusewb_req *req))
{
	struct fusewb_req *req = alloc_request(file_inode(file), in, opcode, GFP_KERNEL);

	if (!req)
		return NULL;
	req->io.handle = fusewb_handle_get(fusewb_file_handle(file));
	req->orphan = late;
	return req;
}

static int send_get(struct file *file, const struct fuse_lk_in *in, struct fuse_lk_out *out)
{
	struct fusewb_req *req = alloc_call(file, in, FUSE_GETLK, got_late);
	int err;

	if (!req)
		return -ENOMEM;
	err = fusewb_req_call(req);
	if (!err)
		memcpy(out, req->out_args, sizeof(*out));
	if (!req->left)
		fusewb_handle_put(req->io.handle);
	fusewb_req_put(req);
	return err;
}

static int send_set(struct file *file, const struct fuse_lk_in *in, u32 opcode,
		    struct lock_owner *owner)
{
	struct fusewb_inode *fi = FUSEWB_I(file_inode(file));
	struct fusewb_req *req = alloc_call(file, in, opcode, set_late);
	bool locks = in->lk.type != F_UNLCK;
	int err;

	if (!req) {
		asked(fi, in, owner);
		return -ENOMEM;
	}
	req->private = owner;
	req->io.asking = locks;
	err = fusewb_req_call(req);
	spin_lock(&fi->lock);
	/* One that was not unlocked after all is held as before. */
	if (locks == !err)
		holds(owner, &in->lk);
	waits_no_more(req, owner);
	if (!req->left)
		put_owner(owner);
	spin_unlock(&fi->lock);
	if (!req->left)
		fusewb_handle_put(req->io.handle);
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

static bool answer_valid(const struct fuse_file_lock *asked, const struct fuse_file_lock *lk)
{
	if (lk->type == F_UNLCK)
		return true;
	/* Those who read do not keep each other out. */
	if (lk->type != F_WRLCK && (lk->type != F_RDLCK || asked->type == F_RDLCK))
		return false;
	return lk->start <= lk->end && lk->end <= OFFSET_MAX && lk->start <= asked->end &&
	       asked->start <= lk->end;
}

static int get_lock(struct file *file, struct file_lock *fl)
{
	struct fusewb_conn *conn = fusewb_inode_conn(file_inode(file));
	struct fuse_lk_out out = {};
	struct fuse_lk_in in;
	int err;

	fill(&in, file, fl, false);
	err = send_get(file, &in, &out);
	if (err)
		return err;
	if (!answer_valid(&in.lk, &out.lk))
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
	struct fusewb_inode *fi = FUSEWB_I(file_inode(file));
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct lock_owner *owner;
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
	owner = asks(fi, &in);
	if (!owner)
		return -ENOMEM;
	/* A server of several threads could unlock the new one. */
	if (wait_event_state(owner->wait, !READ_ONCE(owner->unlocking), FUSEWB_KILLABLE)) {
		asked(fi, &in, owner);
		return -EINTR;
	}
	err = send_set(file, &in, compat_flc(fl, flags) & FL_SLEEP ? FUSE_SETLKW : FUSE_SETLK,
		       owner);
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

void fusewb_locks_flush(struct inode *inode, fl_owner_t owner)
{
	locks_end(FUSEWB_I(inode), fusewb_owner_id(owner), false);
}

void fusewb_locks_release(struct file *file)
{
	struct fusewb_handle *h = fusewb_file_handle(file);
	struct fuse_lk_in in = {
		.fh = h->fh,
		.owner = fusewb_owner_id((fl_owner_t)file),
		.lk.end = OFFSET_MAX,
	};

	if (h->flock_owner)
		locks_end(FUSEWB_I(h->inode), in.owner, true);
	if (!h->ofd_locks)
		return;
	locks_end(FUSEWB_I(h->inode), in.owner, false);
	unlock_later(h, &in, NULL);
}

void fusewb_locks_evict(struct inode *inode)
{
	struct lock_owner *owner, *next;

	list_for_each_entry_safe(owner, next, &FUSEWB_I(inode)->lock_owners, link)
		kfree(owner);
}
