// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading directories. READDIRPLUS answers with an inode for each name, which
 * saves the LOOKUP that usually follows; every such inode counts as looked up
 * and is kept or forgotten, whatever becomes of the name.
 */
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "dir.h"
#include "file.h"
#include "inode.h"
#include "ioctl.h"
#include "listing.h"
#include "request.h"

/* Bytes of answer to ask for: some hundred names. */
#define ANSWER_SIZE (32u << 10)

/* A place in an answer. */
struct cursor {
	const u8 *pos;
	size_t left;
};

/*
 * Takes the next entry off an answer. @entry is NULL for READDIR.
 *
 * Return: true, with @dirent and its name within the answer, false at its end,
 * which may be in the midst of an entry. Names are not checked.
 */
static bool next_entry(struct cursor *c, const struct fuse_entry_out **entry,
		       const struct fuse_dirent **dirent)
{
	size_t head = entry ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	const struct fuse_direntplus *plus = (const void *)c->pos;
	size_t len;

	if (c->left < head)
		return false;
	*dirent = entry ? &plus->dirent : (const void *)c->pos;
	if ((*dirent)->namelen > c->left - head)
		return false;
	if (entry)
		*entry = &plus->entry_out;
	len = min(FUSE_DIRENT_ALIGN(head + (*dirent)->namelen), c->left);
	c->pos += len;
	c->left -= len;
	return true;
}

/* Return: what is wrong with an entry, NULL if nothing is. */
static const char *fault_of(const struct fuse_dirent *dirent)
{
	if (!dirent->namelen || dirent->namelen > FUSEWB_NAME_MAX ||
	    memchr(dirent->name, '/', dirent->namelen) ||
	    memchr(dirent->name, '\0', dirent->namelen))
		return "a name that cannot be";
	/* getdents(2) has a byte for it, which would show another type. */
	if (dirent->type > S_DT_MASK)
		return "a type that cannot be";
	return NULL;
}

static bool dot_or_dotdot(const struct fuse_dirent *dirent)
{
	return dirent->name[0] == '.' &&
	       (dirent->namelen == 1 || (dirent->namelen == 2 && dirent->name[1] == '.'));
}

/* The names of the directory itself and its parent count no lookup. */
static bool counts(const struct fuse_entry_out *entry, const struct fuse_dirent *dirent)
{
	return entry->nodeid && !dot_or_dotdot(dirent);
}

static void forget_entry(struct fusewb_conn *conn, const struct fuse_entry_out *entry)
{
	fusewb_req_queue_forget(conn, entry->nodeid, 1);
}

static void mark_listed(struct inode *inode)
{
	if (fusewb_inode_conn(inode)->flags & FUSE_READDIRPLUS_AUTO)
		WRITE_ONCE(FUSEWB_I(inode)->listed, true);
}

/*
 * Enters an inode of READDIRPLUS into the cache of names. @parent's inode is
 * locked for reading at least. The lookup is used up, also on failure.
 */
static void link_entry(struct dentry *parent, const struct fuse_entry_out *entry,
		       const struct fuse_dirent *dirent, u64 version, u64 names)
{
	struct qstr name = QSTR_INIT(dirent->name, dirent->namelen);
	struct super_block *sb = parent->d_sb;
	struct dentry *dentry, *alias;
	struct inode *inode;

	COMPAT_LOOKUP_WAIT(wait);

	name.hash = full_name_hash(parent, name.name, name.len);
	for (;;) {
		dentry = d_lookup(parent, &name);
		if (!dentry)
			dentry = compat_d_alloc_parallel(parent, &name, &wait);
		if (IS_ERR(dentry)) {
			forget_entry(fusewb_sb_conn(sb), entry);
			return;
		}
		if (d_in_lookup(dentry))
			break;

		inode = d_inode(dentry);
		if (inode && fusewb_entry_same(inode, entry)) {
			fusewb_entry_refresh(inode, entry, version);
			mark_listed(inode);
			fusewb_entry_set_valid_since(dentry, entry, d_inode(parent), names);
			dput(dentry);
			return;
		}
		d_invalidate(dentry);
		dput(dentry);
	}

	inode = fusewb_entry_iget(sb, entry, version, FUSE_READDIRPLUS);
	if (!IS_ERR(inode))
		mark_listed(inode);
	alias = fusewb_entry_splice(inode, dentry, FUSE_READDIRPLUS);
	d_lookup_done(dentry);
	if (!IS_ERR(alias))
		fusewb_entry_set_valid_since(alias ?: dentry, entry, d_inode(parent),
					     names);
	if (!IS_ERR_OR_NULL(alias))
		dput(alias);
	dput(dentry);
}

/* The reader was killed: what the late answer brought is given back. */
static void forget_answer(struct fusewb_req *req)
{
	struct cursor c = { req->out_args, req->out_args_len };
	const struct fuse_entry_out *entry;
	const struct fuse_dirent *dirent;

	while (next_entry(&c, &entry, &dirent))
		if (counts(entry, dirent))
			forget_entry(req->conn, entry);
}

/* Did the answer end at a name that no answer could hold? */
static bool endless_name(const struct cursor *c, bool plus)
{
	const struct fuse_direntplus *last = (const void *)c->pos;

	if (c->left < (plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET))
		return false;
	return (plus ? &last->dirent : (const struct fuse_dirent *)last)->namelen > FUSEWB_NAME_MAX;
}

static bool may_keep(const struct file *file)
{
	return fusewb_file_handle(file)->open_flags & FOPEN_CACHE_DIR;
}

/* What was known of the directory before it was asked for names. */
struct known {
	u64 attr;			/* fusewb_attr_version() */
	u64 names;			/* fusewb_dir_names() */
	u64 listing;			/* fusewb_listing_begin() */
};

/* Return: 0, or -EIO for an answer with an entry that cannot be. */
static int emit_answer(struct file *file, struct dir_context *ctx, struct fusewb_req *req,
		       const struct known *known)
{
	struct cursor c = { req->out_args, req->out_args_len };
	bool plus = req->in.opcode == FUSE_READDIRPLUS;
	const struct fuse_entry_out *entry = NULL;
	struct inode *dir = file_inode(file);
	const struct fuse_dirent *dirent;
	bool keep = may_keep(file);
	u64 place = ctx->pos;
	const char *fault;
	bool full = false;
	int err = 0;

	if (keep && !c.left)
		fusewb_listing_end(dir, known->listing, place);
	while (next_entry(&c, plus ? &entry : NULL, &dirent)) {
		fault = fault_of(dirent);
		if (fault)
			err = fusewb_bad_answer(req->conn, req->in.opcode, fault);
		if (!err && !full) {
			full = !dir_emit(ctx, dirent->name, dirent->namelen, dirent->ino,
					 dirent->type);
			/* Any value is a place that the server may go on from. */
			if (!full)
				ctx->pos = dirent->off;
		}
		if (!err && keep)
			fusewb_listing_add(dir, known->listing, place, dirent);
		place = dirent->off;
		if (!plus) {
			if (err || (full && !keep))
				break;
			continue;
		}
		if (!counts(entry, dirent))
			continue;
		if (!fusewb_entry_valid(entry)) {
			/* Its name was listed; who looks it up gets an error. */
			fusewb_bad_answer(req->conn, req->in.opcode, "an entry that cannot be");
			forget_entry(req->conn, entry);
		} else if (!err) {
			link_entry(file->f_path.dentry, entry, dirent, known->attr, known->names);
		} else {
			forget_entry(req->conn, entry);
		}
	}
	if (!err && !full && endless_name(&c, plus))
		err = fusewb_bad_answer(req->conn, req->in.opcode, "a name that cannot be");
	return err;
}

/*
 * Without FUSE_READDIRPLUS_AUTO always; else at the beginning of a directory,
 * and further on if names of it were looked up since, of the cache or not.
 */
static bool use_plus(struct inode *dir, const struct dir_context *ctx)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	struct fusewb_inode *fi = FUSEWB_I(dir);
	bool follow;

	if (!(conn->flags & FUSE_DO_READDIRPLUS))
		return false;
	follow = READ_ONCE(fi->lookups_follow);
	WRITE_ONCE(fi->lookups_follow, false);
	return !(conn->flags & FUSE_READDIRPLUS_AUTO) || !ctx->pos || follow;
}

/* Return: the request with its answer, or an error. */
static struct fusewb_req *ask(struct inode *dir, struct file *file,
			      const struct dir_context *ctx)
{
	const struct fusewb_handle *handle = fusewb_file_handle(file);
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	bool plus = use_plus(dir, ctx);
	struct fuse_read_in in = {
		.fh = handle->fh,
		.offset = ctx->pos,
		.size = min_not_zero(conn->max_read, ANSWER_SIZE),
		.flags = file->f_flags,
	};
	struct fusewb_args args = {
		.opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.out = { { NULL, in.size } },
		.nr_out = 1,
		.out_var = true,
	};
	struct fusewb_req *req;
	int err;

	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL_ACCOUNT);
	if (!req)
		return ERR_PTR(-ENOMEM);
	if (plus)
		req->orphan = forget_answer;
	err = fusewb_req_call(req);
	if (err) {
		fusewb_req_put(req);
		return ERR_PTR(err);
	}
	return req;
}

static int iterate(struct file *file, struct dir_context *ctx)
{
	struct inode *dir = file_inode(file);
	struct known known = {};
	struct fusewb_req *req;
	int err;

	if (may_keep(file)) {
		err = fusewb_listing_emit(file, ctx);
		if (err)
			return min(err, 0);
		known.listing = fusewb_listing_begin(dir, ctx->pos);
	}
	err = fusewb_dir_lock(dir);
	if (err)
		return err;
	known.attr = fusewb_attr_version(fusewb_inode_conn(dir));
	known.names = fusewb_dir_names(dir);
	req = ask(dir, file, ctx);
	/* A name is entered once its LOOKUP has ended, which may wait for this. */
	fusewb_dir_unlock(dir);
	if (IS_ERR(req))
		return PTR_ERR(req);
	err = emit_answer(file, ctx, req, &known);
	fusewb_req_put(req);
	return err;
}

static int open(struct inode *inode, struct file *file)
{
	return fusewb_open_common(inode, file, true);
}

static int release(struct inode *inode, struct file *file)
{
	return fusewb_release_common(inode, file);
}

static int fsync(struct file *file, loff_t first, loff_t last, int datasync)
{
	return fusewb_fsync_common(file, datasync, FUSE_FSYNCDIR);
}

const struct file_operations fusewb_dir_fops = {
	.open = open,
	.release = release,
	.read = generic_read_dir,
	.iterate_shared = iterate,
	.llseek = generic_file_llseek,
	.fsync = fsync,
	.unlocked_ioctl = fusewb_dir_ioctl,
	.compat_ioctl = fusewb_dir_compat_ioctl,
};
