/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inodes: what the server calls a node id, and the attributes it told us.
 *
 * In writeback mode the kernel, not the server, knows the size and the times
 * of a regular file that was written: inode.c then ignores what an answer
 * says of them (fusewb_change_attributes()).
 */
#ifndef FUSEWB_INODE_H
#define FUSEWB_INODE_H

#include <linux/fs.h>
#include <linux/fuse.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "connection.h"
#include "turn.h"

struct fusewb_link;
struct fusewb_times_flush;

/* What is kept of a directory's names: listing.c. All by fusewb_inode.lock. */
struct fusewb_listing {
	u64 version;			/* of this one, and of none before */
	u64 names;			/* fusewb_dir_names() when it was begun */
	u64 next;			/* the server's place where it goes on */
	loff_t size;			/* bytes in the page cache */
	enum {
		FUSEWB_LISTING_NONE,
		FUSEWB_LISTING_BEGUN,
		FUSEWB_LISTING_WHOLE,
	} state;
};

struct fusewb_inode {
	struct inode inode;
	struct mutex turn;		/* before i_rwsem: inode_lock.c */
	u64 nodeid;
	u64 generation;
	u64 nlookup;			/* lock */
	spinlock_t lock;		/* fields marked so; after inode->i_lock
					 * is never needed, inside of a folio
					 * lock it is allowed
					 */
	u64 attr_version;		/* lock: see conn->attr_version */
	u64 attr_valid_until;		/* lock: jiffies64; 0: not valid */
	u64 attr_asked;			/* lock: conn->attr_version before that */
	u64 orig_ino;
	umode_t orig_mode;		/* as the server said; without default
					 * permissions the VFS sees no sticky
					 * bit
					 */
	u32 blksize;			/* as the server said, 0: none */
	struct timespec64 btime;	/* lock: of STATX */
	bool btime_known;		/* lock */
	bool btime_asked;		/* lock: STATX was answered */
	u64 no_capability;		/* lock: the attr_version at which the
					 * file had no capabilities; xattr.c
					 */
	bool times_dirty;		/* lock: mtime/ctime newer than the
					 * server's (writeback mode)
					 */
	struct fusewb_times_flush *times_flush;	/* lock: the last SETATTR of
						 * them, NULL: none; times.c
						 */

	/* the in-flight ranges: inflight.h */
	spinlock_t inflight_lock;	/* to inflight_waiters */
	struct rb_root_cached inflight;
	u64 server_end;			/* what the server may have ends here */
	struct list_head inflight_waiters;
	atomic_t recalls;		/* WRITEs whose bytes became dirty again */

	/* what READs are under way for: reading.h */
	spinlock_t reading_lock;	/* the next one */
	struct rb_root_cached reading;
	wait_queue_head_t reading_wait;
	atomic_t migrating;		/* folios, perhaps: migrate.c */

	/* what was to be dropped and lies in dirty folios: range.h */
	unsigned long remnants;		/* lock: changes with each, 0: there is none */
	u64 remnant_first;		/* lock: of the first */
	u64 remnant_last;		/* lock: of the last */

	/* open handles that writeback may use: file.h */
	struct list_head write_handles;	/* lock */
	struct llist_node put_later;	/* handle.c */

	struct list_head lock_owners;	/* lock: lock.c */

	/* symbolic links: what was kept, and how often it was dropped */
	struct fusewb_link *link;	/* lock */
	u64 link_version;		/* lock */

	/* directories */
	atomic64_t dir_version;		/* changes with every change of names */
	struct fusewb_turn dir_turn;	/* of LOOKUP and READDIR, of a server that
					 * takes one at a time
					 */
	bool lookups_follow;		/* a name was looked up since the last
					 * READDIR: READDIRPLUS pays
					 */
	struct fusewb_listing listing;

	bool listed;			/* READDIRPLUS brought it, and nobody
					 * looked at it since; READDIRPLUS_AUTO
					 */
};

static inline struct fusewb_inode *FUSEWB_I(const struct inode *inode)
{
	return container_of(inode, struct fusewb_inode, inode);
}

static inline struct fusewb_conn *fusewb_sb_conn(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct fusewb_conn *fusewb_inode_conn(const struct inode *inode)
{
	return fusewb_sb_conn(inode->i_sb);
}

/**
 * fusewb_find_inode() - the inode of a node id, if it is cached
 *
 * No directory that was removed: its id may be another one's by now. Return: the
 * inode with a reference, or NULL.
 */
struct inode *fusewb_find_inode(struct super_block *sb, u64 nodeid);

/**
 * fusewb_iget() - the inode of a node id, made if it is not there
 * @generation: with nodeid, identity
 * @attr: checked by the caller with fusewb_attr_valid()
 * @attr_valid: seconds/nanoseconds as in the answer, as jiffies64 from
 *	fusewb_valid_until()
 * @attr_version: conn->attr_version read before the request was sent
 *
 * Counts one lookup of the server's. Return: the inode, NULL without memory
 * (then the caller forgets the node).
 */
struct inode *fusewb_iget(struct super_block *sb, u64 nodeid, u64 generation,
			  const struct fuse_attr *attr, u64 attr_valid_until,
			  u64 attr_version);

/** fusewb_attr_valid() - is this an answer that a server may give? */
bool fusewb_attr_valid(const struct fuse_attr *attr);

/**
 * fusewb_check_attr() - may the server answer @opcode with these of @inode?
 *
 * Counted and told if not. Return: 0, -EIO, or -ESTALE if the node is of another
 * file now.
 */
int fusewb_check_attr(struct inode *inode, const struct fuse_attr *attr, u32 opcode);

/** fusewb_valid_until() - jiffies64 at which a timeout of the answer ends. */
u64 fusewb_valid_until(u64 sec, u32 nsec);

/**
 * fusewb_change_attributes() - take over what the server said
 *
 * Older answers than the last local change (attr_version) are dropped. In
 * writeback mode size and times of a regular file stay. A size that changed
 * on the server drops the cached folios (not in writeback mode). May sleep.
 */
void fusewb_change_attributes(struct inode *inode, const struct fuse_attr *attr,
			      u64 attr_valid_until, u64 attr_version);

/** fusewb_invalidate_attr() - ask the server next time; answers under way are
 * older than the change and do not count.
 */
void fusewb_invalidate_attr(struct inode *inode);

/**
 * fusewb_set_size() - the file ends at @size at the server, by our doing
 *
 * Answers under way are older. fi->lock is not held.
 */
void fusewb_set_size(struct inode *inode, loff_t size);

/** fusewb_grow() - the same, unless its end is behind @end already. */
void fusewb_grow(struct inode *inode, loff_t end);

/** fusewb_cut() - the same, if it ends at @old yet. Return: whether it did. */
bool fusewb_cut(struct inode *inode, loff_t old, loff_t end);

/** fusewb_attr_version() - to be read before a request is sent. */
static inline u64 fusewb_attr_version(struct fusewb_conn *conn)
{
	return atomic64_read(&conn->attr_version);
}

/** fusewb_attr_doubted() - is what was asked for at @version to be asked for again? */
static inline bool fusewb_attr_doubted(struct fusewb_conn *conn, u64 version)
{
	return version < (u64)atomic64_read(&conn->attr_doubted);
}

/**
 * fusewb_update_attributes() - make the cached attributes fresh enough
 * @file: an open file to ask through, or NULL
 *
 * Return: 0 or an error of fusewb_call(); -ESTALE if the type changed.
 */
int fusewb_update_attributes(struct inode *inode, struct file *file);

/** fusewb_ask_attributes() - the same, however fresh they are. */
int fusewb_ask_attributes(struct inode *inode, struct file *file);

/** fusewb_attr_fresh() - may they be used without asking? Does not sleep. */
bool fusewb_attr_fresh(struct inode *inode);

/*
 * times.c: in writeback mode a regular file's mtime and ctime are made here and
 * sent to the server later.
 */

/** fusewb_dirty_inode() - super_operations: the VFS changed the times. */
void fusewb_dirty_inode(struct inode *inode, int flags);

/**
 * fusewb_flush_times() - send mtime and ctime if they are newer than the
 * server's and wait (fsync, flush)
 *
 * Killable and freezable; a task that exits does not wait. Return: 0, the
 * server's error, -EINTR, -ENOMEM.
 */
int fusewb_flush_times(struct inode *inode);

/** fusewb_wait_times() - until no SETATTR of times is under way; 0 or -EINTR. */
int fusewb_wait_times(struct inode *inode);

/** fusewb_write_inode() - super_operations: queue the same, never wait. */
int fusewb_write_inode(struct inode *inode, struct writeback_control *wbc);

/**
 * fusewb_forget_inode() - evict: the server may forget the node
 *
 * Not before a SETATTR under way is answered, which does not pin the inode.
 */
void fusewb_forget_inode(struct inode *inode);

/** fusewb_local_times() - are the kernel's mtime, ctime and size the true ones? */
static inline bool fusewb_local_times(const struct inode *inode)
{
	/* The type never changes, but an answer may change the rest of it meanwhile. */
	return fusewb_conn_writeback(fusewb_inode_conn(inode)) &&
	       S_ISREG(READ_ONCE(inode->i_mode));
}

/** fusewb_has_dirty() - does the page cache have dirty folios of it? */
static inline bool fusewb_has_dirty(const struct inode *inode)
{
	/* A look without the lock of the page cache: it may be over by now. */
	return data_race(mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY));
}

/** fusewb_touch_ctime() - a name of the inode changed, on the server too. */
void fusewb_touch_ctime(struct inode *inode);

/**
 * fusewb_ask_statx() - STATX: attributes as fusewb_ask_attributes(), and btime
 *
 * Return: 0, -ENOSYS if the server has none, or leaves out what GETATTR has to
 * tell then, other errors of fusewb_call(), -EIO, -ESTALE.
 */
int fusewb_ask_statx(struct inode *inode);

int fusewb_getattr(struct mnt_idmap *idmap, const struct path *path,
		   struct kstat *stat, u32 mask, unsigned int flags);
int fusewb_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		   struct iattr *attr);
/**
 * fusewb_truncate_opened() - SETATTR: the file ends at 0, though not by truncate(2)
 *
 * Takes the inode lock. Return: 0, -EINTR, other errors of fusewb_call().
 */
int fusewb_truncate_opened(struct file *file);
int fusewb_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
/* The caller may use this mount at all: owner, or allow_other. */
bool fusewb_allow_task(const struct fusewb_conn *conn);

struct inode *fusewb_alloc_inode(struct super_block *sb);
void fusewb_free_inode(struct inode *inode);
void fusewb_evict_inode(struct inode *inode);
int fusewb_inode_init_cache(void);
void fusewb_inode_destroy_cache(void);

/**
 * fusewb_entry_valid() - is this an answer to LOOKUP and its like?
 *
 * The node id 0, for no such name, is the caller's to handle.
 */
bool fusewb_entry_valid(const struct fuse_entry_out *out);

/** fusewb_entry_iget() - fusewb_iget() of an answer; an invalid one or one
 * without memory is forgotten. @opcode: what it answers, for the message.
 * Return: the inode, ERR_PTR(-EIO or -ENOMEM).
 */
struct inode *fusewb_entry_iget(struct super_block *sb, const struct fuse_entry_out *out,
				u64 attr_version, u32 opcode);

/** fusewb_entry_same() - does the answer still name this inode? */
bool fusewb_entry_same(const struct inode *inode, const struct fuse_entry_out *out);

/** fusewb_entry_refresh() - take over an answer that named the inode again. */
void fusewb_entry_refresh(struct inode *inode, const struct fuse_entry_out *out,
			  u64 attr_version);

/**
 * fusewb_dir_lock() - before LOOKUP and READDIR
 *
 * Killable and freezable, also while another task holds it and waits for the
 * server, which is why it is no mutex. Return: 0, -EINTR or -ENOTCONN.
 */
int fusewb_dir_lock(struct inode *dir);
void fusewb_dir_unlock(struct inode *dir);

/* The longest name of the protocol, which is longer than that of the VFS. */
#define FUSEWB_NAME_MAX 1024

/* dir.c, readdir.c, symlink.c: set by fusewb_iget() by type */
extern const struct inode_operations fusewb_dir_iops;
extern const struct inode_operations fusewb_file_iops;	/* inode.c */
extern const struct inode_operations fusewb_symlink_iops;
extern const struct file_operations fusewb_dir_fops;
extern const struct dentry_operations fusewb_dentry_ops;
extern const struct dentry_operations fusewb_root_dentry_ops;

#endif
