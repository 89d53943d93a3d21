// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lock of an inode, waited for as one waits for a server.
 *
 * Who writes waits for the server with inode->i_rwsem held, so who wants it next
 * waits for the server, too. The lock itself can be waited for so that a kill
 * ends it, but the freezer cannot: suspend would fail. So each inode has a turn,
 * a mutex, that is taken first and kept. Whoever waits for it can be interrupted,
 * the freezer's way to wake a wait that it does not know, and sleeps where it is
 * known then.
 *
 * With the turn there is nobody but the VFS, which takes the lock without one
 * (truncate(2), chmod(2)), and those who share the lock. For them there is no
 * queue: it is tried again until they are gone.
 *
 * Lock order: the turn, then inode->i_rwsem.
 */
#include <linux/freezer.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>

#include "compat/compat.h"
#include "inode.h"
#include "inode_lock.h"
#include "waits.h"

/* Jiffies between two trials at most. */
#define LONGEST (HZ / 10L)

/* The freezer's wake-up counts as a signal until it is looked at. */
static void forget_the_freezer(void)
{
	/* A task that runs here has not lost its own yet: that happens when it exits. */
	struct sighand_struct *sighand = rcu_dereference_protected(current->sighand, true);

	spin_lock_irq(&sighand->siglock);
	recalc_sigpending();
	spin_unlock_irq(&sighand->siglock);
}

static int try_for_turn(struct fusewb_inode *fi)
{
	long delay = 1;

	while (!mutex_trylock(&fi->turn)) {
		if (fusewb_pause(delay))
			return -EINTR;
		delay = min(2 * delay, LONGEST);
	}
	return 0;
}

static int take_turn(struct fusewb_inode *fi)
{
	while (mutex_lock_interruptible(&fi->turn)) {
		/*
		 * Writes are not interrupted: other signals can wait. Now that one
		 * does, the freezer could not wake a wait for the mutex any more.
		 */
		if (!freezing(current))
			return try_for_turn(fi);
		while (freezing(current))
			if (fusewb_pause(1))
				return -EINTR;
		forget_the_freezer();
	}
	return 0;
}

static bool try(struct inode *inode, bool shared)
{
	return shared ? inode_trylock_shared(inode) : inode_trylock(inode);
}

static int lock(struct inode *inode, bool shared)
{
	struct fusewb_inode *fi = FUSEWB_I(inode);
	long delay = 1;

	if (take_turn(fi))
		return -EINTR;
	while (!try(inode, shared)) {
		if (fusewb_pause(delay)) {
			mutex_unlock(&fi->turn);
			return -EINTR;
		}
		delay = min(2 * delay, LONGEST);
	}
	return 0;
}

int fusewb_inode_lock(struct inode *inode)
{
	return lock(inode, false);
}

void fusewb_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
	mutex_unlock(&FUSEWB_I(inode)->turn);
}

int fusewb_inode_lock_shared(struct inode *inode)
{
	int err = lock(inode, true);

	/* Others that share it have their turn. */
	if (!err)
		mutex_unlock(&FUSEWB_I(inode)->turn);
	return err;
}

void fusewb_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}
