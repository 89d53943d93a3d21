// SPDX-License-Identifier: GPL-2.0-only
/* Who may use the file system, and what for. */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/user_namespace.h>

#include "compat/compat.h"
#include "connection.h"
#include "inode.h"
#include "request.h"

/*
 * The server sees what its users do and can let them wait for ever. So only
 * the mount's owner may use it, whatever other privileges a task has, unless
 * the option allow_other says that the owner is trusted.
 */
bool fusewb_allow_task(const struct fusewb_conn *conn)
{
	const struct fusewb_mount_opts *opts = &conn->opts;
	const struct cred *cred = current_cred();

	if (opts->allow_other)
		return current_in_userns(conn->user_ns);

	return uid_eq(cred->uid, opts->user_id) && uid_eq(cred->euid, opts->user_id) &&
	       uid_eq(cred->suid, opts->user_id) && gid_eq(cred->gid, opts->group_id) &&
	       gid_eq(cred->egid, opts->group_id) && gid_eq(cred->sgid, opts->group_id);
}

static int ask_access(struct inode *inode, int mask)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	struct fuse_access_in in = {
		.mask = mask & (MAY_READ | MAY_WRITE | MAY_EXEC),
	};
	struct fusewb_args args = {
		.opcode = FUSE_ACCESS,
		.nodeid = FUSEWB_I(inode)->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
	};
	int err;

	if (fusewb_conn_nosys(conn, FUSE_ACCESS))
		return 0;
	if (mask & MAY_NOT_BLOCK)
		return -ECHILD;
	err = fusewb_call(conn, &args);
	if (err == -ENOSYS) {
		fusewb_conn_set_nosys(conn, FUSE_ACCESS);
		return 0;
	}
	return err;
}

static int refresh(struct inode *inode, int mask)
{
	if (mask & MAY_NOT_BLOCK)
		return fusewb_attr_fresh(inode) ? 0 : -ECHILD;
	return fusewb_update_attributes(inode, NULL);
}

/* Whether the kernel checks is negotiated. The root may be used before that. */
static int wait_negotiated(struct fusewb_conn *conn, int mask)
{
	if (fusewb_conn_past_init(conn))
		return 0;
	return mask & MAY_NOT_BLOCK ? -ECHILD : fusewb_conn_wait_ready(conn);
}

int fusewb_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	struct fusewb_conn *conn = fusewb_inode_conn(inode);
	bool exec = (mask & MAY_EXEC) && S_ISREG(inode->i_mode);
	bool fresh = fusewb_attr_fresh(inode);
	int err;

	if (!fusewb_allow_task(conn))
		return -EACCES;
	err = wait_negotiated(conn, mask);
	if (err)
		return err;

	if (conn->opts.default_permissions) {
		err = refresh(inode, mask);
		if (err)
			return err;
		err = generic_permission(idmap, inode, mask);
		if (err != -EACCES || !fresh)
			return err;
		/* The server may have changed its mind before the time was up. */
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = fusewb_ask_attributes(inode, NULL);
		return err ? err : generic_permission(idmap, inode, mask);
	}

	if (mask & (MAY_ACCESS | MAY_CHDIR))
		return ask_access(inode, mask);

	if (exec) {
		err = refresh(inode, mask);
		if (err)
			return err;
		if (inode->i_mode & 0111)
			return 0;
		if (!fresh)
			return -EACCES;
		if (mask & MAY_NOT_BLOCK)
			return -ECHILD;
		err = fusewb_ask_attributes(inode, NULL);
		if (err)
			return err;
		return inode->i_mode & 0111 ? 0 : -EACCES;
	}
	return 0;
}
