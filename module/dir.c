// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names: looking them up, how long they may be believed, and what makes,
 * moves and removes them.
 *
 * Whatever an answer brought that is not used is given back: a lookup count
 * with FORGET, an open handle with RELEASE. When the caller was killed the
 * request layer does the same with the late answer.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kdev_t.h>
#include <linux/namei.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "dir.h"
#include "extension.h"
#include "file.h"
#include "fileattr.h"
#include "inode.h"
#include "request.h"
#include "waits.h"
#include "xattr.h"

/*
 * Until when a name may be used is in d_time, in jiffies, 0 for not at all. A
 * name that may be used for ever says so for a very long time. In d_fsdata is
 * the epoch of the connection that it is of.
 */
static void *epoch(const struct dentry *dentry)
{
	return (void *)atomic_long_read(&fusewb_sb_conn(dentry->d_sb)->epoch);
}

static void set_valid(struct dentry *dentry, const struct fuse_entry_out *out)
{
	u64 until = fusewb_valid_until(out->entry_valid, out->entry_valid_nsec);

	WRITE_ONCE(dentry->d_fsdata, epoch(dentry));
	WRITE_ONCE(dentry->d_time, (unsigned long)until);
}

void fusewb_entry_ask_next_time(struct dentry *dentry)
{
	WRITE_ONCE(dentry->d_time, 0);
}

static bool still_valid(const struct dentry *dentry)
{
	unsigned long until = READ_ONCE(dentry->d_time);

	return until && time_before(jiffies, until) &&
	       READ_ONCE(dentry->d_fsdata) == epoch(dentry);
}

void fusewb_entry_set_valid_since(struct dentry *dentry, const struct fuse_entry_out *out,
				  struct inode *dir, u64 names)
{
	set_valid(dentry, out);
	/* Orders it before the look at the version: see notify.c. */
	smp_mb();
	if (fusewb_dir_names(dir) != names)
		fusewb_entry_ask_next_time(dentry);
}

int fusewb_dir_lock(struct inode *dir)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	int err;

	/* Only then it is known what the server takes, here and at the unlock. */
	err = fusewb_conn_wait_ready(conn);
	if (err || conn->flags & FUSE_PARALLEL_DIROPS)
		return err;
	return fusewb_turn_take(&FUSEWB_I(dir)->dir_turn);
}

void fusewb_dir_unlock(struct inode *dir)
{
	if (!(fusewb_inode_conn(dir)->flags & FUSE_PARALLEL_DIROPS))
		fusewb_turn_end(&FUSEWB_I(dir)->dir_turn);
}

void fusewb_dir_changed(struct inode *dir)
{
	atomic64_inc(&FUSEWB_I(dir)->dir_version);
	fusewb_invalidate_attr(dir);
}

/*
 * LOOKUP. @name may be a part of a path that goes on behind it.
 * Return: 0, also when @out->nodeid is 0, or an error.
 */
static int ask_name(struct inode *dir, const struct qstr *name, struct fuse_entry_out *out)
{
	struct fusewb_args args = {
		.opcode = FUSE_LOOKUP,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { name->name, name->len }, { "", 1 } },
		.nr_in = 2,
		.out = { { out, sizeof(*out) } },
		.nr_out = 1,
	};

	memset(out, 0, sizeof(*out));
	return fusewb_call(fusewb_inode_conn(dir), &args);
}

struct dentry *fusewb_entry_splice(struct inode *inode, struct dentry *dentry, u32 opcode)
{
	struct dentry *alias = d_splice_alias(inode, dentry);

	if (alias == ERR_PTR(-ELOOP))
		return ERR_PTR(fusewb_bad_answer(fusewb_sb_conn(dentry->d_sb), opcode,
						 "a directory that would be in itself"));
	return alias;
}

struct dentry *fusewb_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct fuse_entry_out out;
	struct inode *inode = NULL;
	struct dentry *alias;
	u64 version, names;
	int err;

	if (dentry->d_name.len > FUSEWB_NAME_MAX)
		return ERR_PTR(-ENAMETOOLONG);

	err = fusewb_dir_lock(dir);
	if (err)
		return ERR_PTR(err);
	version = fusewb_attr_version(fusewb_inode_conn(dir));
	names = fusewb_dir_names(dir);
	err = ask_name(dir, &dentry->d_name, &out);
	fusewb_dir_unlock(dir);
	if (err && err != -ENOENT)
		return ERR_PTR(err);
	if (err)
		memset(&out, 0, sizeof(out));

	if (out.nodeid) {
		inode = fusewb_entry_iget(dir->i_sb, &out, version, FUSE_LOOKUP);
		if (IS_ERR(inode))
			return ERR_CAST(inode);
		WRITE_ONCE(FUSEWB_I(dir)->lookups_follow, true);
	}
	alias = fusewb_entry_splice(inode, dentry, FUSE_LOOKUP);
	if (!IS_ERR(alias))
		fusewb_entry_set_valid_since(alias ?: dentry, &out, dir, names);
	return alias;
}

/*
 * A name that may be used without asking. Of one that a listing brought the
 * first use is told to its directory, or -ECHILD.
 */
static int use_valid(struct inode *dir, struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);

	if (!inode || !READ_ONCE(FUSEWB_I(inode)->listed))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	WRITE_ONCE(FUSEWB_I(inode)->listed, false);
	WRITE_ONCE(FUSEWB_I(dir)->lookups_follow, true);
	return 1;
}

/*
 * Positive: the name still means this inode. 0: it does not, look it up again.
 * Negative: the server could not say, which is no reason to drop the name and
 * whatever is mounted below it.
 */
static int revalidate(struct inode *dir, const struct qstr *name, struct dentry *dentry,
		      unsigned int flags)
{
	struct fuse_entry_out out;
	struct inode *inode;
	u64 version, names;
	bool valid;
	int err;

	if (still_valid(dentry) &&
	    !(flags & (LOOKUP_EXCL | LOOKUP_REVAL | LOOKUP_RENAME_TARGET)))
		return use_valid(dir, dentry, flags);
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	inode = d_inode(dentry);
	if (!inode)
		return 0;

	version = fusewb_attr_version(fusewb_inode_conn(inode));
	names = fusewb_dir_names(dir);
	err = ask_name(dir, name, &out);
	if (err)
		return err == -ENOENT || err == -ESTALE ? 0 : err;
	if (!out.nodeid)
		return 0;
	valid = fusewb_entry_valid(&out);
	if (!valid)
		fusewb_bad_answer(fusewb_inode_conn(inode), FUSE_LOOKUP, FUSEWB_BAD_INODE);
	if (!valid || !fusewb_entry_same(inode, &out)) {
		fusewb_req_queue_forget(fusewb_inode_conn(inode), out.nodeid, 1);
		return 0;
	}
	fusewb_entry_refresh(inode, &out, version);
	fusewb_entry_set_valid_since(dentry, &out, dir, names);
	WRITE_ONCE(FUSEWB_I(dir)->lookups_follow, true);
	return 1;
}

umode_t fusewb_new_mode(const struct inode *dir, umode_t mode)
{
	return fusewb_inode_conn(dir)->flags & FUSE_DONT_MASK ? mode : mode & ~current_umask();
}

/*
 * MKNOD, MKDIR, SYMLINK, LINK: makes what @args say under the name of @dentry.
 * Return: the dentry that the inode is under if it is another one (a reference
 * for the caller), NULL, or an error.
 */
static struct dentry *make(struct inode *dir, struct dentry *dentry, umode_t type,
			   struct fusewb_args *args)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	struct fuse_entry_out out = {};
	struct dentry *alias;
	struct inode *inode;
	u64 version, names;
	int err;

	args->out[0].data = &out;
	args->out[0].len = sizeof(out);
	args->nr_out = 1;
	/* LINK makes nothing but the name. */
	if (args->opcode != FUSE_LINK) {
		err = fusewb_extend(args, dir, dentry, type);
		if (err)
			return ERR_PTR(err);
	}
	version = fusewb_attr_version(conn);
	names = fusewb_dir_names(dir);
	err = fusewb_call(conn, args);
	fusewb_extend_end(args);
	if (err) {
		/* Nobody knows whether it happened. */
		if (fusewb_left(err))
			fusewb_dir_changed(dir);
		fusewb_entry_ask_next_time(dentry);
		return ERR_PTR(err);
	}

	if (fusewb_entry_valid(&out) && (out.attr.mode ^ type) & S_IFMT) {
		fusewb_req_queue_forget(conn, out.nodeid, 1);
		inode = ERR_PTR(fusewb_bad_answer(conn, args->opcode, "another type of file"));
	} else {
		inode = fusewb_entry_iget(dir->i_sb, &out, version, args->opcode);
	}
	if (IS_ERR(inode)) {
		fusewb_dir_changed(dir);
		fusewb_entry_ask_next_time(dentry);
		return ERR_CAST(inode);
	}

	d_drop(dentry);
	alias = fusewb_entry_splice(inode, dentry, args->opcode);
	if (!IS_ERR(alias))
		fusewb_entry_set_valid_since(alias ?: dentry, &out, dir, names);
	/* What others did meanwhile counts for the name, this does not. */
	fusewb_dir_changed(dir);
	return alias;
}

static int make_simple(struct inode *dir, struct dentry *dentry, umode_t type,
		       struct fusewb_args *args)
{
	struct dentry *alias = make(dir, dentry, type, args);

	if (IS_ERR(alias))
		return PTR_ERR(alias);
	dput(alias);
	return 0;
}

int fusewb_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		 dev_t dev)
{
	struct fuse_mknod_in in = {
		.mode = fusewb_new_mode(dir, mode),
		.rdev = new_encode_dev(dev),
		.umask = current_umask(),
	};
	struct fusewb_args args = {
		.opcode = FUSE_MKNOD,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { &in, sizeof(in) }, { dentry->d_name.name, dentry->d_name.len + 1 } },
		.nr_in = 2,
	};

	return make_simple(dir, dentry, mode, &args);
}

static int create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		  bool excl)
{
	return fusewb_mknod(idmap, dir, dentry, mode, 0);
}

static struct dentry *make_dir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			       umode_t mode)
{
	struct fuse_mkdir_in in = {
		.mode = fusewb_new_mode(dir, mode),
		.umask = current_umask(),
	};
	struct fusewb_args args = {
		.opcode = FUSE_MKDIR,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { &in, sizeof(in) }, { dentry->d_name.name, dentry->d_name.len + 1 } },
		.nr_in = 2,
	};

	return make(dir, dentry, S_IFDIR, &args);
}

static int make_symlink(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
			const char *target)
{
	struct fusewb_args args = {
		.opcode = FUSE_SYMLINK,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = {
			{ dentry->d_name.name, dentry->d_name.len + 1 },
			{ target, strlen(target) + 1 },
		},
		.nr_in = 2,
	};

	return make_simple(dir, dentry, S_IFLNK, &args);
}

static int make_link(struct dentry *old, struct inode *dir, struct dentry *dentry)
{
	struct inode *inode = d_inode(old);
	struct fuse_link_in in = {
		.oldnodeid = FUSEWB_I(inode)->nodeid,
	};
	struct fusewb_args args = {
		.opcode = FUSE_LINK,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { &in, sizeof(in) }, { dentry->d_name.name, dentry->d_name.len + 1 } },
		.nr_in = 2,
	};
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	int err;

	if (fusewb_conn_nosys(conn, FUSE_LINK))
		return -EPERM;
	err = make_simple(dir, dentry, inode->i_mode, &args);
	/* link(2) has no such error; this is that of a file system without links. */
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_LINK);
		return -EPERM;
	}
	/* A server without node ids of its own may answer with another one. */
	if (!err || fusewb_left(err))
		fusewb_invalidate_attr(inode);
	if (!err)
		fusewb_touch_ctime(inode);
	return err;
}

void fusewb_entry_gone(struct dentry *dentry)
{
	struct inode *inode = d_inode(dentry);
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	/* A careless server's count may be 0 with names left. */
	if (S_ISDIR(inode->i_mode))
		clear_nlink(inode);
	else if (inode->i_nlink)
		drop_nlink(inode);
	spin_unlock(&fi->lock);
	fusewb_invalidate_attr(inode);
	fusewb_entry_ask_next_time(dentry);
	fusewb_touch_ctime(inode);
}

static int remove_name(struct inode *dir, struct dentry *dentry, u32 opcode)
{
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { dentry->d_name.name, dentry->d_name.len + 1 } },
		.nr_in = 1,
	};
	int err = fusewb_call(fusewb_inode_conn(dir), &args);

	if (!err) {
		fusewb_dir_changed(dir);
		fusewb_entry_gone(dentry);
	} else if (fusewb_left(err) || err == -ENOENT) {
		fusewb_dir_changed(dir);
		fusewb_invalidate_attr(d_inode(dentry));
		fusewb_entry_ask_next_time(dentry);
	}
	return err;
}

static int unlink(struct inode *dir, struct dentry *dentry)
{
	return remove_name(dir, dentry, FUSE_UNLINK);
}

static int remove_dir(struct inode *dir, struct dentry *dentry)
{
	return remove_name(dir, dentry, FUSE_RMDIR);
}

/* RENAME, or RENAME2 if there are flags. */
static int ask_rename(struct inode *dir, const struct dentry *dentry, struct inode *newdir,
		      const struct dentry *newdentry, unsigned int flags)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	struct fuse_rename2_in in = {
		.newdir = FUSEWB_I(newdir)->nodeid,
		.flags = flags,
	};
	struct fusewb_args args = {
		.opcode = flags ? FUSE_RENAME2 : FUSE_RENAME,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = {
			{ &in, flags ? sizeof(in) : sizeof(struct fuse_rename_in) },
			{ dentry->d_name.name, dentry->d_name.len + 1 },
			{ newdentry->d_name.name, newdentry->d_name.len + 1 },
		},
		.nr_in = 3,
	};
	int err;

	if (flags && (conn->minor < 23 || fusewb_conn_nosys(conn, FUSE_RENAME2)))
		return -EINVAL;
	err = fusewb_call(conn, &args);
	if (flags && err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_RENAME2);
		return -EINVAL;
	}
	return err;
}

static void entry_moved(struct dentry *dentry)
{
	fusewb_invalidate_attr(d_inode(dentry));
	fusewb_touch_ctime(d_inode(dentry));
}

static int do_rename(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
		     struct inode *newdir, struct dentry *newdentry, unsigned int flags)
{
	int err;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
		return -EINVAL;
	err = ask_rename(dir, dentry, newdir, newdentry, flags);
	if (err && !fusewb_left(err) && err != -ENOENT)
		return err;

	fusewb_dir_changed(dir);
	if (dir != newdir)
		fusewb_dir_changed(newdir);
	if (err) {
		/* Killed, nobody knows which name is there. */
		fusewb_entry_ask_next_time(dentry);
		fusewb_entry_ask_next_time(newdentry);
		return err;
	}
	entry_moved(dentry);
	if (flags & RENAME_EXCHANGE)
		entry_moved(newdentry);
	else if (d_really_is_positive(newdentry))
		fusewb_entry_gone(newdentry);
	return 0;
}

COMPAT_DEFINE_MKDIR(make_dir);
COMPAT_DEFINE_ACL_OPS(fusewb_acl_for_check, fusewb_acl_get, fusewb_acl_set);
COMPAT_DEFINE_D_REVALIDATE(revalidate);

const struct inode_operations fusewb_dir_iops = {
	.lookup = fusewb_lookup,
	.atomic_open = fusewb_atomic_open,
	.create = create,
	.mknod = fusewb_mknod,
	.tmpfile = fusewb_tmpfile,
	.mkdir = COMPAT_MKDIR(make_dir),
	.symlink = make_symlink,
	.link = make_link,
	.unlink = unlink,
	.rmdir = remove_dir,
	.rename = do_rename,
	.getattr = fusewb_getattr,
	.setattr = fusewb_setattr,
	.permission = fusewb_permission,
	.listxattr = fusewb_listxattr,
	.fileattr_get = fusewb_fileattr_get,
	.fileattr_set = fusewb_fileattr_set,
	COMPAT_ACL_OPS(fusewb_acl_for_check, fusewb_acl_get, fusewb_acl_set),
};

const struct dentry_operations fusewb_dentry_ops = {
	.d_revalidate = COMPAT_D_REVALIDATE(revalidate),
};

/* The root has no name that could change. */
const struct dentry_operations fusewb_root_dentry_ops = {
};
