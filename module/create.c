// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are made and opened in one request: open(2) with O_CREAT, and with
 * O_TMPFILE.
 */
#include <linux/fs.h>
#include <linux/namei.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"
#include "dir.h"
#include "extension.h"
#include "file.h"
#include "inode.h"
#include "request.h"

static void released(struct fusewb_req *req, int error)
{
	fusewb_req_queue_forget(req->conn, req->in.nodeid, 1);
}

/*
 * CREATE was answered with something that no inode can be made of. The handle
 * goes first, for it is of the node. Too small to fail.
 */
static void give_back_created(struct fusewb_conn *conn, const struct fuse_entry_out *entry,
			      const struct fuse_open_out *open, u32 flags)
{
	struct fuse_release_in in = {
		.fh = open->fh,
		.flags = flags,
	};
	struct fusewb_args args = {
		.opcode = FUSE_RELEASE,
		.nodeid = entry->nodeid,
		.in = { { &in, sizeof(in) } },
		.nr_in = 1,
		.nocreds = true,
	};
	struct fusewb_req *req;

	if (!entry->nodeid)
		return;
	req = fusewb_req_alloc(conn, &args, 0, GFP_KERNEL | __GFP_NOFAIL);
	req->end = released;
	fusewb_req_queue(req);
}

/* As ->open() of a file that has its handle: what it sets, direct I/O relies on. */
static int open_created(struct inode *inode, struct file *file)
{
	return generic_file_open(inode, file) ?: fusewb_finish_create(inode, file);
}

/*
 * CREATE or TMPFILE, which is made without a name.
 *
 * Return: 0, an error, or 1 if the server does not have it: that of another
 * request of this open comes when the file is there.
 */
static int create_open(struct inode *dir, struct dentry *dentry, struct file *file, u32 flags,
		       umode_t mode, u32 opcode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	struct fuse_create_in in = {
		.flags = flags & ~O_NOCTTY,
		.mode = fusewb_new_mode(dir, mode),
		.umask = current_umask(),
	};
	struct fuse_entry_out entry = {};
	struct fuse_open_out open = {};
	struct fusewb_args args = {
		.opcode = opcode,
		.nodeid = FUSEWB_I(dir)->nodeid,
		.in = { { &in, sizeof(in) }, { dentry->d_name.name, dentry->d_name.len + 1 } },
		.nr_in = 2,
		.out = { { &entry, sizeof(entry) }, { &open, sizeof(open) } },
		.nr_out = 2,
	};
	u64 version = fusewb_attr_version(conn), names = fusewb_dir_names(dir);
	struct fusewb_handle *handle;
	struct inode *inode;
	int err;

	if (flags & O_TRUNC && conn->flags & FUSE_HANDLE_KILLPRIV_V2 && !capable(CAP_FSETID))
		in.open_flags |= FUSE_OPEN_KILL_SUIDGID;
	handle = fusewb_handle_alloc(conn, false);
	if (!handle)
		return -ENOMEM;
	err = fusewb_extend(&args, dir, dentry, mode);
	if (err)
		goto out_put;
	err = fusewb_call(conn, &args);
	fusewb_extend_end(&args);
	if (err) {
		if (fusewb_left(err))
			fusewb_dir_changed(dir);
		fusewb_entry_ask_next_time(dentry);
		if (err == -ENOSYS) {
			fusewb_conn_set_nosys(conn, opcode);
			err = 1;
		}
		goto out_put;
	}

	inode = NULL;
	if (!fusewb_entry_valid(&entry) || !S_ISREG(entry.attr.mode)) {
		err = fusewb_bad_answer(conn, opcode, "a file that is none");
	} else {
		err = -ENOMEM;
		inode = fusewb_iget(dir->i_sb, entry.nodeid, entry.generation, &entry.attr,
				    fusewb_valid_until(entry.attr_valid, entry.attr_valid_nsec),
				    version);
	}
	if (!inode) {
		fusewb_dir_changed(dir);
		give_back_created(conn, &entry, &open, in.flags);
		fusewb_entry_ask_next_time(dentry);
		goto out_put;
	}

	fusewb_handle_opened(handle, inode, &open, in.flags);
	d_instantiate(dentry, inode);
	/* A notification may have taken the name out meanwhile. */
	if (opcode == FUSE_CREATE && d_unhashed(dentry))
		d_rehash(dentry);
	fusewb_entry_set_valid_since(dentry, &entry, dir, names);
	/* What others did meanwhile counts for the name, this does not. */
	fusewb_dir_changed(dir);
	file->private_data = handle;
	err = finish_open(file, dentry, open_created);
	/* A file that was opened before it failed is released like any other. */
	if (err && !(file->f_mode & FMODE_OPENED))
		goto out_put;
	return err;

out_put:
	fusewb_handle_put(handle);
	return err;
}

int fusewb_atomic_open(struct inode *dir, struct dentry *dentry, struct file *file,
		       unsigned int flags, umode_t mode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	struct dentry *found = NULL;
	int err = 1;

	if (d_in_lookup(dentry)) {
		found = fusewb_lookup(dir, dentry, 0);
		if (IS_ERR(found))
			return PTR_ERR(found);
		if (found)
			dentry = found;
	}
	if (!(flags & O_CREAT) || d_really_is_positive(dentry))
		return finish_no_open(file, found);

	file->f_mode |= FMODE_CREATED;
	if (!fusewb_conn_nosys(conn, FUSE_CREATE))
		err = create_open(dir, dentry, file, flags, mode, FUSE_CREATE);
	if (err <= 0) {
		dput(found);
		return err;
	}

	/* Such servers make the file first and open it then. */
	err = fusewb_mknod(&nop_mnt_idmap, dir, dentry, mode, 0);
	if (err) {
		dput(found);
		return err;
	}
	return finish_no_open(file, found);
}

int fusewb_tmpfile(struct mnt_idmap *idmap, struct inode *dir, struct file *file, umode_t mode)
{
	struct fusewb_conn *conn = fusewb_inode_conn(dir);
	int err;

	if (fusewb_conn_nosys(conn, FUSE_TMPFILE))
		return -EOPNOTSUPP;
	err = create_open(dir, file->f_path.dentry, file, file->f_flags, mode, FUSE_TMPFILE);
	return err > 0 ? -EOPNOTSUPP : err;
}
