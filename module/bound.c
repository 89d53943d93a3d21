// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bound of dirty data.
 *
 * What a server that hangs keeps dirty nobody can write back, so it has to be
 * little; a server that keeps up should never make a writer sleep. The strict
 * limit of the mm knows no difference between the two: a hundredth of what may
 * be dirty, of which a device that wrote nothing for a while has next to no
 * part, and writers sleep there for milliseconds at a time.
 *
 * A connection without it has a bound of its own, on what is dirty or in flight.
 * It opens by what the server answers, up to a share of the memory, and closes
 * to an eighth of that when nothing was answered for a while though something is
 * in flight. A writer issues what it has gathered itself, and waits when it has
 * unlocked the file; who stores to a mapping waits in his fault. All connections
 * together may keep a sixteenth part of the memory: that is less than what the mm
 * lets be dirty before it makes the writers of other file systems sleep
 * (vm.dirty_background_ratio and more), so servers that hang do not.
 *
 * Folios of requests that the server was not given yet cannot be reclaimed, and
 * reclaim does not wait for them. They are charged to the writer's memory group,
 * where others, its server among them, need room: such a writer waits for its
 * server as soon as an eighth of what its group may have is out.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/writeback.h>

#include "compat/compat.h"
#include "bound.h"
#include "connection.h"
#include "inode.h"
#include "waits.h"

/* A server that is about to answer takes less, to fill the bound takes more. */
#define SILENCE (HZ / 2)

/* What is dirty in files that nobody writes now is looked for this often. */
#define LOOK_AGAIN (HZ / 10)

/* Several requests of the usual size; more at once bring nothing. */
#define MOST_GATHERED (SZ_8M >> PAGE_SHIFT)

#define LEAST_SHARE (SZ_4M >> PAGE_SHIFT)

/* In pages, as all numbers here. */
static unsigned long share(void)
{
	return max(totalram_pages() / 16 / max(fusewb_conn_count(), 2u), LEAST_SHARE);
}

static unsigned long closed_bound(void)
{
	return share() / 8;
}

static unsigned long gathered(void)
{
	return min(closed_bound() / 2, MOST_GATHERED);
}

static unsigned long in_flight(struct fusewb_conn *conn)
{
	return atomic64_read(&conn->counters.bytes_in_flight) >> PAGE_SHIFT;
}

static unsigned long dirty(const struct fusewb_conn *conn)
{
	return wb_stat(&conn->bdi->wb, WB_RECLAIMABLE);
}

/* Only if something was in flight all the time the server was silent. */
static bool long_ago(const struct fusewb_conn *conn)
{
	return time_after(jiffies, READ_ONCE(conn->answered_at) + SILENCE);
}

static unsigned long bound(struct fusewb_conn *conn)
{
	if (in_flight(conn) && long_ago(conn)) {
		atomic_long_set(&conn->answered, 0);
		return closed_bound();
	}
	return min(closed_bound() + atomic_long_read(&conn->answered), share());
}

static bool room(struct fusewb_conn *conn)
{
	return dirty(conn) + in_flight(conn) <= bound(conn) || fusewb_conn_aborted(conn) ||
	       READ_ONCE(conn->policy.strict_limit);
}

/* Of the groups that this task is in, the smallest decides. */
static unsigned long group_bound(void)
{
	unsigned long least = ULONG_MAX;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	if (mem_cgroup_disabled())
		return least;
	rcu_read_lock();
	for (memcg = mem_cgroup_from_task(current); memcg; memcg = parent_mem_cgroup(memcg))
		least = min3(least, READ_ONCE(memcg->memory.max), READ_ONCE(memcg->memory.high));
	rcu_read_unlock();
#endif
	return least / 8;
}

static bool fits(struct fusewb_conn *conn, unsigned long group)
{
	return room(conn) &&
	       (dirty(conn) + in_flight(conn) <= group || fusewb_conn_aborted(conn));
}

int fusewb_bound_wait(struct inode *inode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	unsigned long answered_at = READ_ONCE(conn->answered_at);
	unsigned long group;
	long left;

	if (READ_ONCE(conn->policy.strict_limit))
		return 0;
	if (dirty(conn) >= gathered() && in_flight(conn) < gathered())
		filemap_flush(inode->i_mapping);
	group = group_bound();
	while (!fits(conn, group)) {
		/* Of this file nothing may be dirty. */
		try_to_writeback_inodes_sb(inode->i_sb, WB_REASON_FS_FREE_SPACE);
		left = ___wait_event(conn->bound_wait, ___wait_cond_timeout(fits(conn, group)),
				     FUSEWB_KILLABLE, 0, LOOK_AGAIN,
				     __ret = schedule_timeout(__ret));
		if (left < 0)
			return -EINTR;
		/* What others write may never be less; for an answer there is a turn. */
		if (room(conn) && READ_ONCE(conn->answered_at) != answered_at)
			break;
	}
	return 0;
}

bool fusewb_bound_closed(struct inode *inode)
{
	return !room(fusewb_inode_conn(inode));
}

void fusewb_bound_issued(struct fusewb_conn *conn)
{
	/* The server was not silent, it had nothing to do. */
	if (!in_flight(conn))
		WRITE_ONCE(conn->answered_at, jiffies);
}

void fusewb_bound_freed(struct fusewb_conn *conn, unsigned long pages)
{
	if (pages) {
		if (long_ago(conn))
			atomic_long_set(&conn->answered, 0);
		if (atomic_long_read(&conn->answered) < share())
			atomic_long_add(pages, &conn->answered);
		WRITE_ONCE(conn->answered_at, jiffies);
	}
	if (room(conn) && wq_has_sleeper(&conn->bound_wait))
		wake_up_all(&conn->bound_wait);
}
