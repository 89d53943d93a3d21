/* SPDX-License-Identifier: GPL-2.0-only */
/* Open files: file.c (open, release, flush, fsync, mmap), read.c, write.c,
 * direct.c, writeback.c.
 */
#ifndef FUSEWB_FILE_H
#define FUSEWB_FILE_H

#include <linux/fs.h>
#include <linux/fuse.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/wait.h>

#include "turn.h"

struct fusewb_inode;
struct fusewb_req;

/* Where in a kept listing a reader goes on: listing.c. By the file's f_pos_lock. */
struct fusewb_listing_cursor {
	u64 version;			/* of the listing */
	u64 place;			/* of the server's, as the file's position */
	loff_t at;			/* where the name at it begins */
};

/**
 * struct fusewb_handle - what the server returned to OPEN, OPENDIR or CREATE
 *
 * Every WRITE in flight holds a reference, so RELEASE, which the last put
 * sends without waiting, always comes after them. Its request is allocated
 * with the handle and cannot fail.
 */
struct fusewb_handle {
	struct kref ref;
	struct inode *inode;		/* a reference */
	u64 fh;
	u32 open_flags;			/* FOPEN_* */
	u32 flags;			/* O_* of the open */
	bool dir;
	bool opened;			/* the server knows it: RELEASE is due */
	u64 flock_owner;		/* that flock(2) gave locks of the
					 * server, 0: none; lock.c
					 */
	u32 polled;			/* the server's number for it, 0: none */
	wait_queue_head_t poll_wait;
	struct fusewb_turn read_turn;	/* of READs of what is to be cached, of a
					 * server that takes one at a time; read.c
					 */
	bool ofd_locks;			/* so did fcntl(2), to the open file */
	struct fusewb_listing_cursor cursor;
	struct list_head link;		/* fi->write_handles, by fi->lock */
	bool parked;			/* fi->lock: the list owns the file's
					 * reference, see handle.c
					 */
	struct fusewb_req *release;	/* prebuilt */
};

/**
 * fusewb_handle_alloc() - before OPEN/OPENDIR/CREATE is sent
 * Return: the handle with one reference, not opened, or NULL.
 */
struct fusewb_handle *fusewb_handle_alloc(struct fusewb_conn *conn, bool dir);

/** fusewb_handle_opened() - the server answered: RELEASE is due from now on. */
void fusewb_handle_opened(struct fusewb_handle *h, struct inode *inode,
			  const struct fuse_open_out *out, u32 flags);
struct fusewb_handle *fusewb_handle_get(struct fusewb_handle *h);
void fusewb_handle_put(struct fusewb_handle *h);

static inline struct fusewb_handle *fusewb_file_handle(const struct file *file)
{
	return file->private_data;
}

/**
 * fusewb_handle_open() - OPEN or OPENDIR
 * @flags: O_*
 *
 * Handles ENOSYS as the protocol says (FUSE_NO_OPEN_SUPPORT,
 * FUSE_NO_OPENDIR_SUPPORT). Takes the inode lock if it truncates. Return: the
 * handle with one reference, or ERR_PTR(-ENOMEM, -EINTR, other errors of
 * fusewb_call()).
 */
struct fusewb_handle *fusewb_handle_open(struct inode *inode, u32 flags, bool dir);

/** fusewb_open_common() - the same for a file: sets file->private_data. */
int fusewb_open_common(struct inode *inode, struct file *file, bool dir);

/**
 * fusewb_finish_create() - after CREATE, with file->private_data set: FOPEN_*
 * flags, O_TRUNC, the list of handles writeback may use
 *
 * May take the inode lock. Return: 0, -EINTR, or an error of SETATTR.
 */
int fusewb_finish_create(struct inode *inode, struct file *file);
int fusewb_release_common(struct inode *inode, struct file *file);
int fusewb_fsync_common(struct file *file, int datasync, u32 opcode);

/** fusewb_handle_for_write() - any writable handle of the inode, referenced;
 * NULL if there is none.
 */
struct fusewb_handle *fusewb_handle_for_write(struct inode *inode);

/** fusewb_handle_list() - writeback may use the handle; its file has the
 * reference.
 */
void fusewb_handle_list(struct fusewb_handle *h);

/**
 * fusewb_handle_park() - the file is gone: put the handle, off the list
 *
 * Unless it is the last and something is dirty or in flight: then once nothing is.
 */
void fusewb_handle_park(struct fusewb_handle *h);

/** fusewb_handles_unpark() - put what is parked if nothing is dirty or in flight
 * any more; called by whoever may have seen to that. Does not sleep for long
 * and waits for nobody.
 */
void fusewb_handles_unpark(struct inode *inode);

/**
 * fusewb_put_inode_later() - drop a reference that a request held
 *
 * The end of a request must not evict an inode: it may run in the flusher,
 * which evict waits for, or in the server's thread. If it is the last
 * reference, a worker drops it.
 */
void fusewb_put_inode_later(struct inode *inode);

/** fusewb_put_inodes_now() - wait until the worker has done so. */
void fusewb_put_inodes_now(void);

/** fusewb_init_file_inode() - file and address space operations. */
void fusewb_init_file_inode(struct inode *inode);

extern const struct file_operations fusewb_file_fops;
extern const struct address_space_operations fusewb_aops;

/** fusewb_owner_id() - who holds locks, as the server sees it: no address. */
u64 fusewb_owner_id(fl_owner_t owner);

/* lseek.c */
loff_t fusewb_llseek(struct file *file, loff_t offset, int whence);

/* read.c */
ssize_t fusewb_read_iter(struct kiocb *iocb, struct iov_iter *to);
int fusewb_read_folio(struct file *file, struct folio *folio);
void fusewb_readahead(struct readahead_control *rac);

/**
 * fusewb_fetch_folio() - READ a locked folio that is not uptodate, and wait
 *
 * Waits for WRITEs in flight over it first. The folio stays locked; uptodate
 * on success, zeroed beyond what the server had. Killable and freezable.
 */
int fusewb_fetch_folio(struct inode *inode, struct fusewb_handle *h,
		       struct folio *folio);

/** fusewb_takes_turns() - does the server get one READ of an open file at a time?
 * @h: NULL: none, then no.
 */
bool fusewb_takes_turns(const struct inode *inode, const struct fusewb_handle *h);

/**
 * fusewb_read_wait() - until none is under way, if so
 *
 * So that readahead, which does not wait, finds its turn. Killable and freezable.
 * Return: 0 or -EINTR.
 */
int fusewb_read_wait(struct inode *inode, struct fusewb_handle *h);

/** fusewb_alloc_read() - a READ with the caller's credentials, without payload.
 * @h: NULL: none. Return: the request or NULL.
 */
struct fusewb_req *fusewb_alloc_read(struct inode *inode, struct fusewb_handle *h,
				     unsigned int max_spans, gfp_t gfp);

/** fusewb_set_read_range() - it reads its payload's length from @pos on. */
void fusewb_set_read_range(struct fusewb_req *req, loff_t pos);

/*
 * No folio has more pages: 1 MiB of 4 KiB. One that a page table maps as a whole
 * is not wanted, for then khugepaged makes such folios, and waits for a READ with
 * the locks of valid ones.
 */
#define FUSEWB_FOLIO_ORDER min_t(unsigned int, 8, PMD_SHIFT - PAGE_SHIFT - 1)

/* write.c */

/**
 * fusewb_lock_cached() - the cached folio at @index, locked and with a reference
 *
 * A kill ends the wait for the lock, whose owner may be reading from a server.
 * Return: the folio, NULL if none is cached, ERR_PTR(-EINTR).
 */
struct folio *fusewb_lock_cached(struct address_space *mapping, pgoff_t index);

/**
 * fusewb_add_page() - a folio of one page, new in the cache
 * Return: the folio, locked and with a reference, or ERR_PTR: -EEXIST, -ENOMEM.
 */
struct folio *fusewb_add_page(struct address_space *mapping, pgoff_t index);

/**
 * fusewb_lock_page() - as fusewb_lock_cached(), or a new folio of one page if none is cached
 * Return: the folio, ERR_PTR(-EINTR), or the error of adding one.
 */
struct folio *fusewb_lock_page(struct address_space *mapping, pgoff_t index);
ssize_t fusewb_write_iter(struct kiocb *iocb, struct iov_iter *from);
vm_fault_t fusewb_page_mkwrite(struct vm_fault *vmf);

/**
 * fusewb_zero_gap() - the file grows from @from to @to
 *
 * Between them it has to read as zero, but a mapping may have left something
 * behind the end in the last folio. Without the writeback cache the end is the
 * server's, and what is cached behind it is old. Called under the inode lock before i_size
 * changes; killable. Return: 0 or -EINTR.
 */
int fusewb_zero_gap(struct inode *inode, loff_t from, loff_t to);

/* direct.c: private pages, no page cache */
ssize_t fusewb_direct_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t fusewb_direct_write(struct kiocb *iocb, struct iov_iter *from);

/* writeback.c */
int fusewb_writepages(struct address_space *mapping, struct writeback_control *wbc);

/**
 * fusewb_drain() - issue what is dirty in first..last and wait for the answers
 *
 * Killable and freezable. Errors of WRITEs go to the mapping's errseq, not to
 * the return value. Return: 0, -EINTR, or -ETIMEDOUT as fusewb_write_back().
 */
int fusewb_drain(struct inode *inode, loff_t first, loff_t last);

/**
 * fusewb_write_back() - the same, as fsync does
 *
 * What has expired is not waited for, for its error is the mapping's already.
 * Return: 0, -EINTR, or -ETIMEDOUT if newer data of an expired range cannot be
 * sent before the server answers.
 */
int fusewb_write_back(struct inode *inode, loff_t first, loff_t last);

/* retry.c */

/** fusewb_writeback_again() - struct fusewb_req.again of a WRITE of writeback. */
int fusewb_writeback_again(struct fusewb_req *req, int error);

/**
 * fusewb_writeback_expire() - struct fusewb_req.expire of a WRITE of writeback
 *
 * It is recalled if it can be. Otherwise it is reported as failed, and its range
 * stays in flight until the server answers, for it may carry it out yet.
 */
void fusewb_writeback_expire(struct fusewb_req *req);

/**
 * fusewb_writeback_recall() - take a WRITE of writeback back from the queue
 *
 * Its bytes are dirty again, and no error is reported. The caller has a
 * reference of his own. May sleep, waits for nobody. Return: true if it has
 * ended that way, false if it is no such request, was handed over already, or
 * if its bytes are nowhere but in the request, which then stays queued.
 */
bool fusewb_writeback_recall(struct fusewb_req *req);

/* migrate.c */

/**
 * fusewb_migrating() - may one of its folios be a copy that is not valid yet?
 *
 * For who has found one that is not uptodate. If not, it is uptodate by now or was no copy.
 */
bool fusewb_migrating(struct fusewb_inode *fi);
int fusewb_migrate_folio(struct address_space *mapping, struct folio *dst,
			 struct folio *src, enum migrate_mode mode);

#endif
