/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/security.h>. */
#ifndef FUSEWB_COMPAT_SECURITY_H
#define FUSEWB_COMPAT_SECURITY_H

#include <linux/security.h>

#ifndef HAVE_DENTRY_INIT_SECURITY_CONTEXT
/* A label was a pointer and a length. */
struct lsm_context {
	char *context;
	u32 len;
};

static inline int compat_dentry_init_security(struct dentry *dentry, int mode,
					      const struct qstr *name, const char **xattr_name,
					      struct lsm_context *context)
{
	return security_dentry_init_security(dentry, mode, name, xattr_name,
					     (void **)&context->context, &context->len);
}

static inline void compat_release_secctx(struct lsm_context *context)
{
	security_release_secctx(context->context, context->len);
}

#define security_dentry_init_security compat_dentry_init_security
#define security_release_secctx compat_release_secctx
#endif

#endif
