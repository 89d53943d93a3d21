// SPDX-License-Identifier: GPL-2.0-only
/* Attributes: what the server says, what the kernel knows better, changes. */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/pagemap.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "inode_lock.h"
#include "listing.h"
#include "range.h"
#include "request.h"
#include "symlink.h"
#include "xattr.h"

u64 fusewb_valid_until(u64 sec, u32 nsec)
{
	struct timespec64 ts = {
		.tv_sec = min_t(u64, sec, TIME64_MAX),
		.tv_nsec = min_t(u32, nsec, NSEC_PER_SEC - 1),
	};

	if (!sec && !nsec)
		return 0;
	return get_jiffies_64() + timespec64_to_jiffies(&ts);
}

bool fusewb_attr_valid(const struct fuse_attr *attr)
{
	if (attr->size > LLONG_MAX || attr->mode > (S_IFMT | S_IALLUGO))
		return false;
	switch (attr->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	}
	return false;
}

bool fusewb_attr_fresh(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	u64 until, asked;

	spin_lock(&fi->lock);
	until = fi->attr_valid_until;
	asked = fi->attr_asked;
	spin_unlock(&fi->lock);
	return until && time_before64(get_jiffies_64(), until) &&
	       !fusewb_attr_doubted(fusewb_inode_conn(inode), asked);
}

/* Under fi->lock. Answers to what was asked before do not count any more. */
static void renew(struct inode *inode, u64 valid_until)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	fi->attr_version = atomic64_inc_return(&fusewb_inode_conn(inode)->attr_version);
	fi->attr_valid_until = valid_until;
}

void fusewb_invalidate_attr(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	renew(inode, 0);
	spin_unlock(&fi->lock);
}

static void set_size(struct inode *inode, loff_t size, bool shrinks)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	/* Together, or an answer from before would put back the end that it knew. */
	if (shrinks || size > i_size_read(inode)) {
		renew(inode, 0);
		i_size_write(inode, size);
	}
	spin_unlock(&fi->lock);
}

void fusewb_set_size(struct inode *inode, loff_t size)
{
	set_size(inode, size, true);
}

void fusewb_grow(struct inode *inode, loff_t end)
{
	set_size(inode, end, false);
}

bool fusewb_cut(struct inode *inode, loff_t old, loff_t end)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool same;

	spin_lock(&fi->lock);
	same = i_size_read(inode) == old;
	if (same) {
		renew(inode, 0);
		i_size_write(inode, end);
	}
	spin_unlock(&fi->lock);
	return same;
}

/* As in-tree a second is never full: a server's nanoseconds beyond it are cut. */
static struct timespec64 wire_time(u64 sec, u32 nsec)
{
	return (struct timespec64) { .tv_sec = sec, .tv_nsec = min(nsec, NSEC_PER_SEC - 1u) };
}

/* Under fi->lock. @times: mtime and ctime too. */
static void take_over(struct inode *inode, const struct fuse_attr *attr, bool times)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_inode *fi = FUSEWB_I(inode);
	umode_t mode;

	fi->orig_ino = attr->ino;
	fi->orig_mode = attr->mode & S_IALLUGO;
	fi->blksize = attr->blksize;
	mode = fi->orig_mode;
	/* Only the server can tell whom the sticky bit keeps out. */
	if (!conn->opts.default_permissions)
		mode &= ~S_ISVTX;
	mode |= inode->i_mode & S_IFMT;
	/* The VFS reads it without a lock. */
	if (mode != inode->i_mode)
		WRITE_ONCE(inode->i_mode, mode);
	inode->i_uid = make_kuid(conn->user_ns, attr->uid);
	inode->i_gid = make_kgid(conn->user_ns, attr->gid);
	inode->i_blocks = attr->blocks;
	/* Somebody else may have made it privileged. */
	inode_set_flags(inode, 0, S_NOSEC);
	set_nlink(inode, attr->nlink);
	inode_set_atime_to_ts(inode, wire_time(attr->atime, attr->atimensec));
	if (times) {
		inode_set_mtime_to_ts(inode, wire_time(attr->mtime, attr->mtimensec));
		inode_set_ctime_to_ts(inode, wire_time(attr->ctime, attr->ctimensec));
	}
}

/* The server tells which data changed; only the end shows in the attributes. */
static bool keep_data(const struct fusewb_conn *conn)
{
	return conn->flags & FUSE_EXPLICIT_INVAL_DATA && !(conn->flags & FUSE_AUTO_INVAL_DATA);
}

void fusewb_change_attributes(struct inode *inode, const struct fuse_attr *attr,
			      u64 attr_valid_until, u64 attr_version)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool is_new = inode_state_read_once(inode) & I_NEW;
	bool local = fusewb_local_times(inode) && !is_new;
	struct timespec64 old_mtime, mtime;
	loff_t old_size;
	bool changed;

	/* Before the size shows it. */
	if (!local)
		fusewb_server_has(fi, attr->size);
	spin_lock(&fi->lock);
	if (attr_version < fi->attr_version) {
		spin_unlock(&fi->lock);
		return;
	}
	renew(inode, attr_valid_until);
	fi->attr_asked = attr_version;
	old_mtime = inode_get_mtime(inode);
	old_size = i_size_read(inode);
	take_over(inode, attr, !local);
	if (!local)
		i_size_write(inode, attr->size);
	mtime = inode_get_mtime(inode);
	spin_unlock(&fi->lock);

	if (is_new)
		return;
	fusewb_acl_forget(inode);
	changed = old_size != attr->size || !timespec64_equal(&old_mtime, &mtime);
	if (S_ISLNK(inode->i_mode) && changed)
		fusewb_link_forget(inode);
	if (S_ISDIR(inode->i_mode) && changed)
		fusewb_listing_forget(inode);
	if (local || !S_ISREG(inode->i_mode))
		return;
	/* What is cached of a file that grew has zeroes where there is data now. */
	if (conn->flags & FUSE_AUTO_INVAL_DATA ? changed : old_size != attr->size)
		fusewb_drop_clean(inode, keep_data(conn) ? min_t(loff_t, old_size, attr->size) : 0,
				  LLONG_MAX);
}

int fusewb_check_attr(struct inode *inode, const struct fuse_attr *attr, u32 opcode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);

	if (!fusewb_attr_valid(attr))
		return fusewb_bad_answer(conn, opcode, FUSEWB_BAD_ATTR);
	if (!inode_wrong_type(inode, attr->mode))
		return 0;
	fusewb_bad_answer(conn, opcode, "another type of file");
	return -ESTALE;
}

int fusewb_ask_attributes(struct inode *inode, struct file *file)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_getattr_in in = {};
	struct fuse_attr_out out;
	struct fusewb_args args = {
		.opcode = FUSE_GETATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	u64 version = fusewb_attr_version(conn);
	int err;

	if (file && S_ISREG(inode->i_mode) && fusewb_file_handle(file)->opened) {
		in.getattr_flags = FUSE_GETATTR_FH;
		in.fh = fusewb_file_handle(file)->fh;
	}
	err = fusewb_call(conn, &args);
	if (err)
		return err;
	err = fusewb_check_attr(inode, &out.attr, FUSE_GETATTR);
	if (err)
		return err;
	fusewb_change_attributes(inode, &out.attr,
				 fusewb_valid_until(out.attr_valid, out.attr_valid_nsec),
				 version);
	return 0;
}

int fusewb_update_attributes(struct inode *inode, struct file *file)
{
	return fusewb_attr_fresh(inode) ? 0 : fusewb_ask_attributes(inode, file);
}

/* When it was made never changes, but only STATX tells. */
static bool wants_statx(struct inode *inode, u32 mask, unsigned int flags)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	bool asked;

	if (!(mask & STATX_BTIME) || flags & AT_STATX_DONT_SYNC)
		return false;
	spin_lock(&fi->lock);
	asked = fi->btime_asked;
	spin_unlock(&fi->lock);
	return !asked || flags & AT_STATX_FORCE_SYNC || !fusewb_attr_fresh(inode);
}

static int refresh(struct inode *inode, unsigned int flags)
{
	if (flags & AT_STATX_FORCE_SYNC)
		return fusewb_ask_attributes(inode, NULL);
	return flags & AT_STATX_DONT_SYNC ? 0 : fusewb_update_attributes(inode, NULL);
}

int fusewb_getattr(struct mnt_idmap *idmap, const struct path *path,
		   struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct fusewb_inode *fi = FUSEWB_I(inode);
	int err = 0;

	if (!fusewb_allow_task(fusewb_inode_conn(inode))) {
		if (mask)
			return -EACCES;
		/* That it is there, and on which device, is no secret. */
		stat->result_mask = 0;
		stat->ino = fi->orig_ino;
		stat->dev = inode->i_sb->s_dev;
		return 0;
	}

	if (wants_statx(inode, mask, flags))
		err = fusewb_ask_statx(inode);
	else
		err = -ENOSYS;
	if (err == -ENOSYS)
		err = refresh(inode, flags);
	if (err)
		return err;

	generic_fillattr(idmap, mask, inode, stat);
	stat->mode = (inode->i_mode & S_IFMT) | fi->orig_mode;
	stat->ino = fi->orig_ino;
	if (fi->blksize)
		stat->blksize = rounddown_pow_of_two(fi->blksize);
	spin_lock(&fi->lock);
	if (fi->btime_known && mask & STATX_BTIME) {
		stat->btime = fi->btime;
		stat->result_mask |= STATX_BTIME;
	}
	spin_unlock(&fi->lock);
	return 0;
}

/*
 * Such a server takes the set-user-ID bits away when it is told to: with every
 * new owner, and when somebody without the capability changes the size.
 */
static bool server_kills_suidgid(struct inode *inode, unsigned int valid)
{
	if (!(fusewb_inode_conn(inode)->flags & FUSE_HANDLE_KILLPRIV_V2))
		return false;
	return (valid & (ATTR_UID | ATTR_GID) && !S_ISDIR(inode->i_mode)) ||
	       (valid & ATTR_SIZE && !capable(CAP_FSETID));
}

static void fill_setattr(struct inode *inode, const struct iattr *attr, bool local,
			 struct fuse_setattr_in *in)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	unsigned int valid = attr->ia_valid;

	if (valid & ATTR_MODE) {
		in->valid |= FATTR_MODE;
		in->mode = attr->ia_mode;
	}
	if (valid & ATTR_UID) {
		in->valid |= FATTR_UID;
		in->uid = from_kuid(conn->user_ns, attr->ia_uid);
	}
	if (valid & ATTR_GID) {
		in->valid |= FATTR_GID;
		in->gid = from_kgid(conn->user_ns, attr->ia_gid);
	}
	if (valid & ATTR_SIZE) {
		/* Whose locks do not forbid it, where the server's are mandatory. */
		in->valid |= FATTR_SIZE | FATTR_LOCKOWNER;
		in->size = attr->ia_size;
		in->lock_owner = fusewb_owner_id(current->files);
	}
	if (valid & ATTR_ATIME) {
		in->valid |= FATTR_ATIME | (valid & ATTR_ATIME_SET ? 0 : FATTR_ATIME_NOW);
		in->atime = attr->ia_atime.tv_sec;
		in->atimensec = attr->ia_atime.tv_nsec;
	}
	/* A truncation changes the server's mtime anyway. */
	if (valid & ATTR_MTIME && (local || valid & ATTR_MTIME_SET || !(valid & ATTR_SIZE))) {
		in->valid |= FATTR_MTIME | (local || valid & ATTR_MTIME_SET ? 0 : FATTR_MTIME_NOW);
		in->mtime = attr->ia_mtime.tv_sec;
		in->mtimensec = attr->ia_mtime.tv_nsec;
	}
	if (valid & ATTR_CTIME && local && conn->minor >= 23) {
		in->valid |= FATTR_CTIME;
		in->ctime = attr->ia_ctime.tv_sec;
		in->ctimensec = attr->ia_ctime.tv_nsec;
	}
	if (server_kills_suidgid(inode, valid))
		in->valid |= FATTR_KILL_SUIDGID;
	if (valid & ATTR_FILE && fusewb_file_handle(attr->ia_file)->opened) {
		in->valid |= FATTR_FH;
		in->fh = fusewb_file_handle(attr->ia_file)->fh;
	}
}

/* The times that are the kernel's and went with the SETATTR are clean now. */
static void set_local_times(struct inode *inode, const struct iattr *attr)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	if (attr->ia_valid & ATTR_MTIME)
		inode_set_mtime_to_ts(inode, attr->ia_mtime);
	if (attr->ia_valid & ATTR_CTIME)
		inode_set_ctime_to_ts(inode, attr->ia_ctime);
	if (attr->ia_valid & ATTR_MTIME && attr->ia_valid & ATTR_CTIME)
		fi->times_dirty = false;
	spin_unlock(&fi->lock);
}

/*
 * A truncation comes after every WRITE that was issued behind the new size, and
 * before all that follow: at the latest when the server has answered, even if
 * nobody waits for that any more. What is dirty there is dropped, never sent.
 */
static int send_setattr(struct inode *inode, struct iattr *attr, bool truncates)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	bool local = fusewb_local_times(inode);
	struct fuse_setattr_in in = {};
	struct fusewb_args args = {
		.opcode = FUSE_SETATTR,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, sizeof(struct fuse_attr_out) } },
		.nr_out = 1,
	};
	u64 asked = fusewb_attr_version(conn), until = 0, now;
	const struct fuse_attr_out *out;
	struct fusewb_req *req;
	int err;

	if (local && attr->ia_valid & ATTR_SIZE && attr->ia_size != i_size_read(inode))
		attr->ia_valid |= ATTR_MTIME | ATTR_CTIME;
	fill_setattr(inode, attr, local && !S_ISDIR(inode->i_mode), &in);

	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	out = req->out_args;
	err = truncates ? fusewb_truncate_call(req, inode, attr->ia_size) : fusewb_req_call(req);
	if (!err)
		err = fusewb_check_attr(inode, &out->attr, FUSE_SETATTR);
	if (!err && truncates)
		fusewb_truncated(inode, attr->ia_size);
	if (!req->left)
		fusewb_range_done(req);
	if (err) {
		/* Killed or not understood, it may have happened. */
		fusewb_invalidate_attr(inode);
		goto put;
	}

	if (local)
		set_local_times(inode, attr);
	/* Newer than anything else, but not than a late change of another task. */
	now = fusewb_attr_version(conn);
	if (!fusewb_attr_doubted(conn, asked))
		until = fusewb_valid_until(out->attr_valid, out->attr_valid_nsec);
	fusewb_change_attributes(inode, &out->attr, until, now);
put:
	fusewb_req_put(req);
	return err;
}

static int change_size(struct inode *inode, struct iattr *attr)
{
	int err = 0;

	/* A mapping may have left something behind the end. */
	if (attr->ia_size > i_size_read(inode))
		err = fusewb_zero_gap(inode, i_size_read(inode), attr->ia_size);
	return err ?: send_setattr(inode, attr, true);
}

int fusewb_truncate_opened(struct file *file)
{
	struct inode *inode = file_inode(file);
	struct iattr attr = { .ia_valid = ATTR_SIZE };
	int err;

	err = fusewb_inode_lock(inode);
	if (err)
		return err;
	attr.ia_mtime = current_time(inode);
	attr.ia_ctime = attr.ia_mtime;
	/* O_TRUNC does not ask for a descriptor to write to, ftruncate(2) does. */
	if (file->f_mode & FMODE_WRITE) {
		attr.ia_valid |= ATTR_FILE;
		attr.ia_file = file;
	}
	err = change_size(inode, &attr);
	fusewb_inode_unlock(inode);
	return err;
}

/*
 * chown, truncation and writing take the set-user-ID bits away. The mode to set
 * follows from the present one, which only the server knows.
 */
static int kill_suidgid(struct inode *inode, struct iattr *attr)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	unsigned int kill = attr->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID);
	umode_t mode;
	int err;

	if (!kill)
		return 0;
	attr->ia_valid &= ~(ATTR_KILL_SUID | ATTR_KILL_SGID | ATTR_MODE);
	/*
	 * Such servers do so when the owner or the size changes, and with every
	 * WRITE; of what is written to the cache they hear too late.
	 */
	if (conn->flags & (FUSE_HANDLE_KILLPRIV | FUSE_HANDLE_KILLPRIV_V2) &&
	    (attr->ia_valid & (ATTR_UID | ATTR_GID | ATTR_SIZE) || !fusewb_local_times(inode)))
		return 0;
	err = fusewb_ask_attributes(inode, NULL);
	if (err)
		return err;
	mode = (inode->i_mode & S_IFMT) | FUSEWB_I(inode)->orig_mode;
	attr->ia_mode = mode;
	if (kill & ATTR_KILL_SUID)
		attr->ia_mode &= ~S_ISUID;
	if (kill & ATTR_KILL_SGID && mode & 0010)
		attr->ia_mode &= ~S_ISGID;
	if (attr->ia_mode != mode)
		attr->ia_valid |= ATTR_MODE;
	return 0;
}

/* The VFS opens a file and truncates it then; with this server OPEN did both. */
static bool truncated_by_open(const struct fusewb_conn *conn, const struct iattr *attr)
{
	return attr->ia_valid & ATTR_OPEN && attr->ia_valid & ATTR_FILE &&
	       conn->flags & FUSE_ATOMIC_O_TRUNC && fusewb_file_handle(attr->ia_file)->opened;
}

/* What a SETATTR can say. */
#define ATTR_CHANGES (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE | ATTR_ATIME | ATTR_MTIME |	\
		      ATTR_CTIME)

int fusewb_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		   struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	int err;

	if (!fusewb_allow_task(conn))
		return -EACCES;
	/* Who checks is negotiated. */
	err = fusewb_conn_wait_ready(conn);
	if (err)
		return err;
	err = kill_suidgid(inode, attr);
	if (err)
		return err;
	/* Who may is for the server to say. */
	if (!conn->opts.default_permissions)
		attr->ia_valid |= ATTR_FORCE;
	/* Capabilities go here. */
	err = setattr_prepare(idmap, dentry, attr);
	if (err || !(attr->ia_valid & ATTR_CHANGES))
		return err;

	if (truncated_by_open(conn, attr)) {
		fusewb_invalidate_attr(inode);
		if (fusewb_local_times(inode)) {
			set_local_times(inode, attr);
			mark_inode_dirty_sync(inode);
		}
		/* The set-user-ID bits are left, which OPEN need not take away. */
		attr->ia_valid &= ATTR_MODE;
		if (!attr->ia_valid)
			return 0;
	}

	if (fusewb_local_times(inode)) {
		/*
		 * A WRITE that came after would change what is set here: the
		 * server's mtime, or bits of the mode.
		 */
		if (attr->ia_valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_MTIME_SET)) {
			err = fusewb_drain(inode, 0, LLONG_MAX);
			if (err)
				return err;
		}
		err = fusewb_wait_times(inode);
		if (err)
			return err;
	}

	if (attr->ia_valid & ATTR_SIZE && S_ISREG(inode->i_mode))
		return change_size(inode, attr);
	return send_setattr(inode, attr, false);
}
