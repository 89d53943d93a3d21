// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that is dirty in a file system: syncfs(2), and the last unmount.
 *
 * Both wait for the server, and both are called with s_umount held, which
 * sync(2) and every other walk over the super blocks takes, if only to find
 * that there is nothing for them here: who holds it while he waits for a server
 * holds up all of them, at the latest when somebody else queues for writing. So
 * it is let go meanwhile. syncfs(2) takes part in keeping the super block
 * active for as long; at the last unmount nobody but us can make it go away.
 *
 * sync(2) does not come here, unless policy says that it waits (SyncWaits=):
 * SB_I_SKIP_SYNC tells the VFS so.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "connection.h"
#include "file.h"
#include "inflight.h"
#include "inode.h"
#include "request.h"
#include "sync.h"
#include "waits.h"

/* An unmount goes on without a server that answered nothing for so long. */
#define SETTLE_PATIENCE	(5 * HZ)
/* What was in flight when it was redirtied takes a second pass; spare ones. */
#define SETTLE_PASSES	4

/* A look without locks: what becomes dirty now need not be synced now. */
static bool has_work(struct inode *inode)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);

	return S_ISREG(READ_ONCE(inode->i_mode)) &&
	       (fusewb_has_dirty(inode) || READ_ONCE(fi->inflight.rb_root.rb_node) ||
		READ_ONCE(fi->times_dirty) || READ_ONCE(fi->times_flush));
}

/*
 * As fsync does; errors of WRITEs are the mapping's, which syncfs(2) reports.
 * Return: 0, -EINTR, -ETIMEDOUT if something is dirty behind an expired one.
 */
static int sync_inode(struct inode *inode)
{
	int err = fusewb_write_back(inode, 0, LLONG_MAX);

	if (err)
		return err;
	return fusewb_flush_times(inode) == -EINTR ? -EINTR : 0;
}

static int sync_inodes(struct super_block *sb)
{
	struct inode *inode, *last = NULL;
	int err = 0, one;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		if (!has_work(inode) || !igrab(inode))
			continue;
		spin_unlock(&sb->s_inode_list_lock);
		/* Not before: it kept our place in the list. */
		iput(last);
		last = inode;
		one = sync_inode(inode);
		if (one == -EINTR || !err)
			err = one;
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
		if (one == -EINTR)
			break;
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(last);
	return err;
}

int fusewb_sync_fs(struct super_block *sb, int wait)
{
	int err;

	/* Not active any more: kill_sb() has done what could be done. */
	if (!wait || !atomic_inc_not_zero(&sb->s_active))
		return 0;
	up_read(&sb->s_umount);
	err = sync_inodes(sb);
	deactivate_super(sb);
	down_read(&sb->s_umount);
	return err;
}

static void give_up(struct fusewb_conn *conn)
{
	/* No file is open that could tell of it. */
	pr_warn_ratelimited("connection %llu: unmounted without the server's answers, %lld bytes in flight are given up\n",
			    conn->id, atomic64_read(&conn->counters.bytes_in_flight));
	fusewb_conn_abort(conn, FUSEWB_ABORT_UNMOUNTED);
}

/*
 * Until no request is left. A server that makes no progress is given up, and so
 * is one whose unmounting process is killed; after that there is nothing left
 * to wait for but our own code.
 */
static void wait_for_progress(struct fusewb_conn *conn)
{
	s64 seen = atomic64_read(&conn->counters.answers);
	unsigned long since = jiffies;

	while (atomic64_read(&conn->counters.waiting)) {
		s64 answers = atomic64_read(&conn->counters.answers);

		if (answers != seen) {
			seen = answers;
			since = jiffies;
		}
		if (!fusewb_conn_aborted(conn) &&
		    (fatal_signal_pending(current) ||
		     time_after(jiffies, since + SETTLE_PATIENCE)))
			give_up(conn);
		__set_current_state(TASK_UNINTERRUPTIBLE | TASK_FREEZABLE_UNSAFE);
		schedule_timeout(1);
	}
}

void fusewb_settle(struct super_block *sb)
{
	struct fusewb_conn *conn = fusewb_sb_conn(sb);
	unsigned int pass;

	/* A server that has not even answered INIT holds nothing of ours. */
	if (READ_ONCE(conn->state) == FUSEWB_CONN_INIT)
		fusewb_conn_abort(conn, FUSEWB_ABORT_UNMOUNTED);

	/* After an abort a pass fails what is left, and nothing stays dirty. */
	for (pass = 0; pass < 2 * SETTLE_PASSES; pass++) {
		if (pass == SETTLE_PASSES && bdi_has_dirty_io(sb->s_bdi) &&
		    !fusewb_conn_aborted(conn))
			give_up(conn);
		/* It issues and does not wait for the server. */
		writeback_inodes_sb(sb, WB_REASON_SYNC);
		up_write(&sb->s_umount);
		wait_for_progress(conn);
		down_write(&sb->s_umount);
		if (!bdi_has_dirty_io(sb->s_bdi))
			break;
	}
	fusewb_put_inodes_now();
}
