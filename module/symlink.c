// SPDX-License-Identifier: GPL-2.0-only
/*
 * Symbolic links: what they point to. With FUSE_CACHE_SYMLINKS an answer is kept
 * until the server says that the link's data or attributes changed.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "inode.h"
#include "request.h"
#include "symlink.h"
#include "xattr.h"

struct fusewb_link {
	struct kref ref;		/* the inode, who follows it */
	char target[];
};

static void free_link(struct kref *ref)
{
	kfree(container_of(ref, struct fusewb_link, ref));
}

static void put_link(void *link)
{
	kref_put(&((struct fusewb_link *)link)->ref, free_link);
}

/* Return: the link with a reference, or an error. */
static struct fusewb_link *ask(struct inode *inode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fusewb_args args = {
		.opcode = FUSE_READLINK,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.nr_out = 1,
		.out_var = true,
	};
	struct fusewb_link *link;
	int err;

	link = kmalloc(sizeof(*link) + PATH_MAX, GFP_KERNEL_ACCOUNT);
	if (!link)
		return ERR_PTR(-ENOMEM);
	kref_init(&link->ref);
	args.out[0].data = link->target;
	args.out[0].len = PATH_MAX - 1;
	err = fusewb_call(conn, &args);
	if (!err) {
		link->target[args.out_len] = '\0';
		if (!args.out_len || memchr(link->target, 0, args.out_len))
			err = fusewb_bad_answer(conn, FUSE_READLINK, "a target that is no path");
	}
	if (!err)
		return link;
	kfree(link);
	return ERR_PTR(err);
}

static struct fusewb_link *cached(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_link *link;

	spin_lock(&fi->lock);
	link = fi->link;
	if (link)
		kref_get(&link->ref);
	spin_unlock(&fi->lock);
	return link;
}

/* Unless the link changed since it was asked for. */
static void keep(struct inode *inode, struct fusewb_link *link, u64 version)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	if (!fi->link && fi->link_version == version) {
		kref_get(&link->ref);
		fi->link = link;
	}
	spin_unlock(&fi->lock);
}

void fusewb_link_forget(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	struct fusewb_link *link;

	spin_lock(&fi->lock);
	link = fi->link;
	fi->link = NULL;
	fi->link_version++;
	spin_unlock(&fi->lock);
	if (link)
		put_link(link);
}

static const char *get_link(struct dentry *dentry, struct inode *inode,
			    struct delayed_call *done)
{
	bool cache = fusewb_inode_conn(inode)->flags & FUSE_CACHE_SYMLINKS;
	struct fusewb_link *link = cache ? cached(inode) : NULL;
	u64 version = READ_ONCE(FUSEWB_I(inode)->link_version);

	if (!link && !dentry)
		return ERR_PTR(-ECHILD);
	if (!link) {
		link = ask(inode);
		if (IS_ERR(link))
			return ERR_CAST(link);
		if (cache)
			keep(inode, link, version);
	}
	set_delayed_call(done, put_link, link);
	return link->target;
}

const struct inode_operations fusewb_symlink_iops = {
	.get_link = get_link,
	.getattr = fusewb_getattr,
	.setattr = fusewb_setattr,
	.listxattr = fusewb_listxattr,
};
