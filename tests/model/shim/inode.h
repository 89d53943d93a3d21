/* SPDX-License-Identifier: GPL-2.0-only */
/* Of an inode what the in-flight ranges are of. */
#ifndef MODEL_INODE_H
#define MODEL_INODE_H

#include <linux/fs.h>

struct fusewb_inode {
	struct inode inode;
	spinlock_t inflight_lock;
	struct rb_root_cached inflight;
	u64 server_end;
	struct list_head inflight_waiters;
};

/* Nothing here has a page cache: who looks at both is not in this world. */
#define fusewb_has_dirty(inode) ((void)(inode), false)

#endif
