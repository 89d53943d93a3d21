/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/dcache.h>. */
#ifndef FUSEWB_COMPAT_DCACHE_H
#define FUSEWB_COMPAT_DCACHE_H

#include <linux/dcache.h>
#include <linux/namei.h>
#include <linux/wait.h>

#ifdef HAVE_D_REVALIDATE_DIR
#define COMPAT_DEFINE_D_REVALIDATE(fn)	static_assert(true)
#define COMPAT_D_REVALIDATE(fn)		fn
#else
/* The parent and the name had to be found, while they may change. */
#define COMPAT_DEFINE_D_REVALIDATE(fn)						\
	static int fn##_dentry(struct dentry *dentry, unsigned int flags)	\
	{									\
		struct dentry *parent = NULL;					\
		struct name_snapshot name;					\
		int ret;							\
										\
		/* Without sleeping, thus without asking: they are not needed. */ \
		if (!(flags & LOOKUP_RCU)) {					\
			parent = dget_parent(dentry);				\
			take_dentry_name_snapshot(&name, dentry);		\
		}								\
		ret = fn(parent ? d_inode(parent) : NULL, &name.name, dentry, flags); \
		if (parent) {							\
			release_dentry_name_snapshot(&name);			\
			dput(parent);						\
		}								\
		return ret;							\
	}									\
	static_assert(true)
#define COMPAT_D_REVALIDATE(fn)		fn##_dentry
#endif

/* A lookup in parallel needed a queue of its own, until d_lookup_done(). */
#ifdef HAVE_D_ALLOC_PARALLEL_NO_WAIT
#define COMPAT_LOOKUP_WAIT(name)	static_assert(true)
#define compat_d_alloc_parallel(parent, name, wait)	d_alloc_parallel(parent, name)
#else
#define COMPAT_LOOKUP_WAIT(name)	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(name)
#define compat_d_alloc_parallel(parent, name, wait)	d_alloc_parallel(parent, name, wait)
#endif

#endif
