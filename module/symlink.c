// SPDX-License-Identifier: GPL-2.0-only
/* Symbolic links: what they point to. */
#include <linux/fs.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "connection.h"
#include "inode.h"
#include "request.h"
#include "xattr.h"

static const char *get_link(struct dentry *dentry, struct inode *inode,
			    struct delayed_call *done)
{
	struct fusewb_args args = {
		.opcode = FUSE_READLINK,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.nr_out = 1,
		.out_var = true,
	};
	char *link;
	int err;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	link = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!link)
		return ERR_PTR(-ENOMEM);

	args.out[0].data = link;
	args.out[0].len = PAGE_SIZE - 1;
	err = fusewb_call(fusewb_inode_conn(inode), &args);
	if (!err) {
		link[args.out_len] = '\0';
		if (!args.out_len || strlen(link) != args.out_len)
			err = -EIO;
	}
	if (err) {
		kfree(link);
		return ERR_PTR(err);
	}
	set_delayed_call(done, kfree_link, link);
	return link;
}

const struct inode_operations fusewb_symlink_iops = {
	.get_link = get_link,
	.getattr = fusewb_getattr,
	.setattr = fusewb_setattr,
	.listxattr = fusewb_listxattr,
};
