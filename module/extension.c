// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a server may ask to hear with everything that is made: the label that
 * the security module gives it (FUSE_SECURITY_CTX), so that no file is there
 * without one for a moment, and the group of the directory if that is what
 * allows it to be made there (FUSE_CREATE_SUPP_GROUP), for the server knows the
 * first group of the user only.
 *
 * They go behind the arguments, each with its size and type in front, and the
 * header of the request says how long they are together.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/xattr.h>

#include "compat/compat.h"
#include "connection.h"
#include "extension.h"
#include "inode.h"
#include "request.h"

/* More than any security module's. */
#define LABEL_MAX SZ_64K

/* Adds @len bytes, a multiple of 8. Return: the zeroed place for them, or NULL. */
static void *extend(struct fusewb_args *args, u32 len)
{
	void *grown = krealloc(args->ext, args->ext_len + len, GFP_KERNEL);
	void *place;

	if (!grown)
		return NULL;
	args->ext = grown;
	place = grown + args->ext_len;
	args->ext_len += len;
	return memset(place, 0, len);
}

static int add_label(struct fusewb_args *args, struct dentry *dentry, umode_t mode)
{
	struct fuse_secctx_header *header;
	struct lsm_context label = {};
	const char *name = NULL;
	u32 len = sizeof(*header);
	size_t name_len = 0;
	int err;

	err = security_dentry_init_security(dentry, mode, &dentry->d_name, &name, &label);
	if (err == -EOPNOTSUPP)
		label.len = 0;
	else if (err)
		return err;
	if (!name)
		label.len = 0;
	if (label.len) {
		name_len = strlen(name) + 1;
		len += ALIGN(sizeof(struct fuse_secctx) + name_len + label.len, sizeof(u64));
	}

	/* Without a label the header alone says so. */
	header = label.len <= LABEL_MAX && name_len <= XATTR_NAME_MAX + 1 ?
		 extend(args, len) : NULL;
	if (header) {
		header->size = len;
		header->nr_secctx = label.len ? 1 : 0;
	}
	if (header && label.len) {
		struct fuse_secctx *secctx = (void *)(header + 1);

		secctx->size = label.len;
		memcpy(secctx + 1, name, name_len);
		memcpy((char *)(secctx + 1) + name_len, label.context, label.len);
	}
	if (!err)
		security_release_secctx(&label);
	return header ? 0 : -ENOMEM;
}

static int add_group(struct fusewb_args *args, const struct inode *dir)
{
	gid_t gid = from_kgid(fusewb_inode_conn(dir)->user_ns, dir->i_gid);
	struct fuse_ext_header *header;
	struct fuse_supp_groups *groups;
	u32 len = ALIGN(sizeof(*header) + sizeof(*groups) + sizeof(gid), sizeof(u64));

	/* The header of the request has the first group. */
	if (gid == (gid_t)-1 || gid_eq(dir->i_gid, current_fsgid()) || !in_group_p(dir->i_gid))
		return 0;
	header = extend(args, len);
	if (!header)
		return -ENOMEM;
	header->size = len;
	header->type = FUSE_EXT_GROUPS;
	groups = (void *)(header + 1);
	groups->nr_groups = 1;
	groups->groups[0] = gid;
	return 0;
}

int fusewb_extend(struct fusewb_args *args, const struct inode *dir, struct dentry *dentry,
		  umode_t mode)
{
	u64 flags = fusewb_inode_conn(dir)->flags;
	int err = 0;

	if (flags & FUSE_SECURITY_CTX)
		err = add_label(args, dentry, mode);
	if (!err && flags & FUSE_CREATE_SUPP_GROUP)
		err = add_group(args, dir);
	if (err)
		fusewb_extend_end(args);
	return err;
}

void fusewb_extend_end(struct fusewb_args *args)
{
	kfree(args->ext);
	args->ext = NULL;
	args->ext_len = 0;
}
