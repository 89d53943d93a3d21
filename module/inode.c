// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes: made from the server's answers, found again by node id, forgotten.
 *
 * Node id, generation and file type together are the identity. A server that
 * gives a node id to something else gets another inode for it; the old one
 * lives until its last user has gone.
 */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "file.h"
#include "fileattr.h"
#include "inflight.h"
#include "inode.h"
#include "lock.h"
#include "reading.h"
#include "request.h"
#include "symlink.h"
#include "xattr.h"

static struct kmem_cache *inode_cache;

struct identity {
	u64 nodeid;
	u64 generation;
	umode_t type;
};

struct inode *fusewb_alloc_inode(struct super_block *sb)
{
	struct fusewb_inode *fi = alloc_inode_sb(sb, inode_cache, GFP_KERNEL);

	if (!fi)
		return NULL;
	/* It may have been another inode before. */
	memset_after(fi, 0, inode);
	mutex_init(&fi->turn);
	spin_lock_init(&fi->lock);
	fusewb_turn_init(&fi->dir_turn);
	INIT_LIST_HEAD(&fi->write_handles);
	INIT_LIST_HEAD(&fi->lock_owners);
	fusewb_inflight_init(fi);
	fusewb_reading_init(fi);
	return &fi->inode;
}

/* After a grace period, for path walks may still look at it. */
void fusewb_free_inode(struct inode *inode)
{
	mutex_destroy(&FUSEWB_I(inode)->turn);
	kmem_cache_free(inode_cache, FUSEWB_I(inode));
}

void fusewb_evict_inode(struct inode *inode)
{
	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	fusewb_link_forget(inode);
	fusewb_locks_evict(inode);
	fusewb_forget_inode(inode);
}

static int inode_test(struct inode *inode, void *data)
{
	const struct fusewb_inode *fi = FUSEWB_I(inode);
	const struct identity *id = data;

	/* A directory that was removed does not come back, but its id may. */
	return fi->nodeid == id->nodeid && fi->generation == id->generation &&
	       (inode->i_mode & S_IFMT) == id->type && !IS_DEADDIR(inode);
}

static int inode_set(struct inode *inode, void *data)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	const struct identity *id = data;

	fi->nodeid = id->nodeid;
	fi->generation = id->generation;
	inode->i_mode = id->type;
	return 0;
}

static void init_new(struct inode *inode, const struct fuse_attr *attr)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	inode->i_ino = attr->ino;
	inode->i_generation = fi->generation;
	/* Times are the server's, but for what is written back later. */
	inode->i_flags |= S_NOATIME;
	if (!fusewb_local_times(inode))
		inode->i_flags |= S_NOCMTIME;
	fusewb_acl_init(inode);

	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &fusewb_file_iops;
		fusewb_init_file_inode(inode);
		break;
	case S_IFDIR:
		inode->i_op = &fusewb_dir_iops;
		inode->i_fop = &fusewb_dir_fops;
		break;
	case S_IFLNK:
		inode->i_op = &fusewb_symlink_iops;
		break;
	default:
		inode->i_op = &fusewb_file_iops;
		init_special_inode(inode, inode->i_mode, new_decode_dev(attr->rdev));
	}
}

static int has_nodeid(struct inode *inode, void *nodeid)
{
	return FUSEWB_I(inode)->nodeid == *(u64 *)nodeid && !IS_DEADDIR(inode);
}

struct inode *fusewb_find_inode(struct super_block *sb, u64 nodeid)
{
	return ilookup5(sb, nodeid, has_nodeid, &nodeid);
}

struct inode *fusewb_iget(struct super_block *sb, u64 nodeid, u64 generation,
			  const struct fuse_attr *attr, u64 attr_valid_until,
			  u64 attr_version)
{
	struct identity id = {
		.nodeid = nodeid,
		.generation = generation,
		.type = attr->mode & S_IFMT,
	};
	struct fusewb_inode *fi;
	struct inode *inode;

	inode = iget5_locked(sb, nodeid, inode_test, inode_set, &id);
	if (!inode)
		return NULL;

	fi = FUSEWB_I(inode);
	spin_lock(&fi->lock);
	fi->nlookup++;
	spin_unlock(&fi->lock);

	if (inode_state_read_once(inode) & I_NEW) {
		init_new(inode, attr);
		fusewb_change_attributes(inode, attr, attr_valid_until, attr_version);
		unlock_new_inode(inode);
	} else {
		fusewb_change_attributes(inode, attr, attr_valid_until, attr_version);
	}
	return inode;
}

bool fusewb_entry_valid(const struct fuse_entry_out *out)
{
	return out->nodeid && out->nodeid != FUSE_ROOT_ID && fusewb_attr_valid(&out->attr);
}

struct inode *fusewb_entry_iget(struct super_block *sb, const struct fuse_entry_out *out,
				u64 attr_version, u32 opcode)
{
	struct inode *inode = NULL;
	bool valid = fusewb_entry_valid(out);

	if (valid)
		inode = fusewb_iget(sb, out->nodeid, out->generation, &out->attr,
				    fusewb_valid_until(out->attr_valid, out->attr_valid_nsec),
				    attr_version);
	if (inode)
		return inode;
	fusewb_req_queue_forget(fusewb_sb_conn(sb), out->nodeid, 1);
	if (valid)
		return ERR_PTR(-ENOMEM);
	return ERR_PTR(fusewb_bad_answer(fusewb_sb_conn(sb), opcode, FUSEWB_BAD_INODE));
}

bool fusewb_entry_same(const struct inode *inode, const struct fuse_entry_out *out)
{
	const struct fusewb_inode *fi = FUSEWB_I(inode);

	return fi->nodeid == out->nodeid && fi->generation == out->generation &&
	       !inode_wrong_type(inode, out->attr.mode);
}

void fusewb_entry_refresh(struct inode *inode, const struct fuse_entry_out *out,
			  u64 attr_version)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	spin_lock(&fi->lock);
	fi->nlookup++;
	spin_unlock(&fi->lock);
	fusewb_change_attributes(inode, &out->attr,
				 fusewb_valid_until(out->attr_valid, out->attr_valid_nsec),
				 attr_version);
}

static void init_once(void *object)
{
	struct fusewb_inode *fi = object;

	inode_init_once(&fi->inode);
}

int fusewb_inode_init_cache(void)
{
	inode_cache = kmem_cache_create("fusewb_inode", sizeof(struct fusewb_inode), 0,
					SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT | SLAB_RECLAIM_ACCOUNT,
					init_once);
	return inode_cache ? 0 : -ENOMEM;
}

void fusewb_inode_destroy_cache(void)
{
	/* Inodes are freed after a grace period. */
	rcu_barrier();
	kmem_cache_destroy(inode_cache);
}

COMPAT_DEFINE_ACL_OPS(fusewb_acl_for_check, fusewb_acl_get, fusewb_acl_set);

const struct inode_operations fusewb_file_iops = {
	.getattr = fusewb_getattr,
	.setattr = fusewb_setattr,
	.permission = fusewb_permission,
	.listxattr = fusewb_listxattr,
	.fileattr_get = fusewb_fileattr_get,
	.fileattr_set = fusewb_fileattr_set,
	COMPAT_ACL_OPS(fusewb_acl_for_check, fusewb_acl_get, fusewb_acl_set),
};
