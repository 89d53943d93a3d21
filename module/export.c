// SPDX-License-Identifier: GPL-2.0-only
/*
 * File handles: node id and generation, and those of the parent. A handle that
 * is not cached is looked up as "." of its node id, which servers of
 * FUSE_EXPORT_SUPPORT understand; with others it is stale once it was
 * forgotten.
 */
#include <linux/exportfs.h>
#include <linux/fs.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "dir.h"
#include "export.h"
#include "inode.h"
#include "request.h"

#define TYPE_ALONE	0x81
#define TYPE_PARENT	0x82

/* In 32-bit words. */
#define WORDS_ALONE	3
#define WORDS_PARENT	6

struct id {
	u64 nodeid;
	u32 generation;
};

static void put_id(u32 *fh, const struct inode *inode)
{
	fh[0] = FUSEWB_I(inode)->nodeid >> 32;
	fh[1] = FUSEWB_I(inode)->nodeid;
	fh[2] = inode->i_generation;
}

static struct id get_id(const u32 *fh)
{
	return (struct id) {
		.nodeid = (u64)fh[0] << 32 | fh[1],
		.generation = fh[2],
	};
}

static int encode(struct inode *inode, u32 *fh, int *max_len, struct inode *parent)
{
	int words = parent ? WORDS_PARENT : WORDS_ALONE;

	if (*max_len < words) {
		*max_len = words;
		return FILEID_INVALID;
	}
	*max_len = words;
	put_id(fh, inode);
	if (parent)
		put_id(fh + WORDS_ALONE, parent);
	return parent ? TYPE_PARENT : TYPE_ALONE;
}

/* "." or ".." of a node. Return: the inode with a reference, or an error. */
static struct inode *ask(struct super_block *sb, u64 nodeid, const char *name)
{
	struct fusewb_conn *conn = fusewb_sb_conn(sb);
	struct fuse_entry_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_LOOKUP,
		.nodeid = nodeid,
		.in = { { name, strlen(name) + 1 } },
		.nr_in = 1,
		.out = { { &out, sizeof(out) } },
		.nr_out = 1,
	};
	u64 version;
	int err;

	/* Before that nobody knows what it understands. */
	err = fusewb_conn_wait_ready(conn);
	if (err)
		return ERR_PTR(err);
	if (!(conn->flags & FUSE_EXPORT_SUPPORT))
		return ERR_PTR(-ESTALE);
	version = fusewb_attr_version(conn);
	err = fusewb_call(conn, &args);
	if (err == -ENOENT || (!err && !out.nodeid))
		return ERR_PTR(-ESTALE);
	if (err)
		return ERR_PTR(err);
	/* Above the topmost directories there is the root, which is no child. */
	if (out.nodeid == FUSE_ROOT_ID && !strcmp(name, ".."))
		return igrab(d_inode(sb->s_root)) ?: ERR_PTR(-ESTALE);
	return fusewb_entry_iget(sb, &out, version, FUSE_LOOKUP);
}

/* Return: an alias of the inode that it may be reached by, or an error. */
static struct dentry *alias_of(struct inode *inode)
{
	struct dentry *dentry = d_obtain_alias(inode);

	if (!IS_ERR(dentry) && !IS_ROOT(dentry))
		fusewb_entry_ask_next_time(dentry);
	return dentry;
}

static struct dentry *find(struct super_block *sb, struct id id)
{
	struct inode *inode;

	if (!id.nodeid)
		return ERR_PTR(-ESTALE);
	inode = fusewb_find_inode(sb, id.nodeid);
	if (!inode) {
		inode = ask(sb, id.nodeid, ".");
		if (IS_ERR(inode))
			return ERR_CAST(inode);
		if (FUSEWB_I(inode)->nodeid != id.nodeid) {
			iput(inode);
			return ERR_PTR(fusewb_bad_answer(fusewb_sb_conn(sb), FUSE_LOOKUP,
							 "another node than the one named"));
		}
	}
	if (inode->i_generation != id.generation) {
		iput(inode);
		return ERR_PTR(-ESTALE);
	}
	return alias_of(inode);
}

static struct dentry *to_dentry(struct super_block *sb, struct fid *fid, int len, int type)
{
	if ((type != TYPE_ALONE && type != TYPE_PARENT) || len < WORDS_ALONE)
		return NULL;
	return find(sb, get_id(fid->raw));
}

static struct dentry *to_parent(struct super_block *sb, struct fid *fid, int len, int type)
{
	if (type != TYPE_PARENT || len < WORDS_PARENT)
		return NULL;
	return find(sb, get_id(fid->raw + WORDS_ALONE));
}

static struct dentry *get_parent(struct dentry *child)
{
	struct inode *inode = ask(child->d_sb, FUSEWB_I(d_inode(child))->nodeid, "..");

	return IS_ERR(inode) ? ERR_CAST(inode) : alias_of(inode);
}

const struct export_operations fusewb_export_ops = {
	.encode_fh = encode,
	.fh_to_dentry = to_dentry,
	.fh_to_parent = to_parent,
	.get_parent = get_parent,
};

const struct export_operations fusewb_export_ids_only = {
	.encode_fh = encode,
};
