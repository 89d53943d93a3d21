/* SPDX-License-Identifier: GPL-2.0-only */
/* What the operations on directories share: dir.c, create.c. */
#ifndef FUSEWB_DIR_H
#define FUSEWB_DIR_H

#include <linux/fs.h>
#include <linux/fuse.h>

#include "inode.h"

/** fusewb_dir_changed() - names in it did, or may have. */
void fusewb_dir_changed(struct inode *dir);

/** fusewb_entry_ask_next_time() - what the name means is no longer known. */
void fusewb_entry_ask_next_time(struct dentry *dentry);

/** fusewb_dir_names() - the version of its names, which fusewb_dir_changed()
 * moves, and a new epoch.
 */
static inline u64 fusewb_dir_names(const struct inode *dir)
{
	return atomic64_read(&FUSEWB_I(dir)->dir_version) +
	       atomic_long_read(&fusewb_inode_conn(dir)->epoch);
}

/** fusewb_entry_set_valid_since() - how long the name may be used without asking,
 * unless names changed since the answer was asked for: then not at all
 * @names: fusewb_dir_names() then
 */
void fusewb_entry_set_valid_since(struct dentry *dentry, const struct fuse_entry_out *out,
				  struct inode *dir, u64 names);

/** fusewb_entry_splice() - d_splice_alias() of what an answer to @opcode brought,
 * which may name a directory that @dentry is below.
 */
struct dentry *fusewb_entry_splice(struct inode *inode, struct dentry *dentry, u32 opcode);

/** fusewb_entry_gone() - one name less; how many are left, the server says when
 * it is asked.
 */
void fusewb_entry_gone(struct dentry *dentry);

/** fusewb_new_mode() - of something new: a server of FUSE_DONT_MASK applies the
 * umask itself.
 */
umode_t fusewb_new_mode(const struct inode *dir, umode_t mode);

/* inode operations */
struct dentry *fusewb_lookup(struct inode *dir, struct dentry *dentry, unsigned int flags);
int fusewb_mknod(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode,
		 dev_t dev);
int fusewb_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file,
		       unsigned int flags, umode_t mode);
int fusewb_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode);

#endif
