// SPDX-License-Identifier: GPL-2.0-only
/* b530104f50e8 ("lsm: lsm_context in security_dentry_init_security"), 6.14 */
#include <linux/security.h>

int probe(struct dentry *dentry, const struct qstr *name, struct lsm_context *context);

int probe(struct dentry *dentry, const struct qstr *name, struct lsm_context *context)
{
	const char *xattr;

	return security_dentry_init_security(dentry, 0, name, &xattr, context);
}
