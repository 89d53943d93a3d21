// SPDX-License-Identifier: GPL-2.0-only
/*
 * The super block: its options, its life, its end.
 *
 * Who may mount: whoever may mount in a user namespace of his own may mount
 * fusewb there, with a descriptor of the device opened in the same namespace,
 * for ids on the wire are of that namespace. Such a server gets copies of dirty
 * data under the strict dirty limit, its device nodes and set-uid bits mean
 * nothing outside of the namespace, and nothing that the kernel does for others
 * waits for it.
 *
 * Mounting and remounting never wait for the server: INIT is sent when the
 * super block is complete, and who uses the file system waits for its answer.
 * Unmounting waits only for a server that answers: see fusewb_settle().
 */
#include <linux/backing-dev.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/statfs.h>

#include "compat/compat.h"
#include "connection.h"
#include "device.h"
#include "export.h"
#include "file.h"
#include "inode.h"
#include "request.h"
#include "super.h"
#include "sync.h"
#include "xattr.h"

enum {
	OPT_FD,
	OPT_ROOTMODE,
	OPT_USER_ID,
	OPT_GROUP_ID,
	OPT_DEFAULT_PERMISSIONS,
	OPT_ALLOW_OTHER,
	OPT_MAX_READ,
	OPT_BLKSIZE,
	OPT_SUBTYPE,
	OPT_WRITEBACK,
};

static const struct constant_table writeback_modes[] = {
	{ "auto",	FUSEWB_OPT_AUTO },
	{ "direct",	FUSEWB_OPT_DIRECT },
	{ "copy",	FUSEWB_OPT_COPY },
	{}
};

static const struct fs_parameter_spec parameters[] = {
	fsparam_fd("fd",			OPT_FD),
	fsparam_u32oct("rootmode",		OPT_ROOTMODE),
	fsparam_u32("user_id",			OPT_USER_ID),
	fsparam_u32("group_id",			OPT_GROUP_ID),
	fsparam_flag("default_permissions",	OPT_DEFAULT_PERMISSIONS),
	fsparam_flag("allow_other",		OPT_ALLOW_OTHER),
	fsparam_u32("max_read",			OPT_MAX_READ),
	fsparam_u32("blksize",			OPT_BLKSIZE),
	fsparam_string("subtype",		OPT_SUBTYPE),
	fsparam_enum("writeback",		OPT_WRITEBACK, writeback_modes),
	{}
};

/**
 * struct mount_context - what the options said so far
 * @given: bit per OPT_*, whose value is good
 * @file: of the option fd; a reference
 * @subtype: owned
 * @opts: on a remount they start as what is in force
 */
struct mount_context {
	unsigned long given;
	struct file *file;
	char *subtype;
	struct fusewb_mount_opts opts;
};

static int parse_fd(struct fs_context *fsc, struct fs_parameter *param, int fd)
{
	struct mount_context *ctx = fsc->fs_private;
	struct file *file;

	if (ctx->file)
		return invalfc(fsc, "fd is given twice");
	if (param->type == fs_value_is_file)
		file = get_file(param->file);
	else
		file = fget(fd);
	if (!file) {
		errorfc(fsc, "fd=%d is not open", fd);
		return -EBADF;
	}
	if (!fusewb_dev_from_file(file)) {
		fput(file);
		return invalfc(fsc, "fd is not a descriptor of /dev/" FUSEWB_DEV_NAME);
	}
	ctx->file = file;
	return 0;
}

static int parse_subtype(struct fs_context *fsc, struct fs_parameter *param)
{
	struct mount_context *ctx = fsc->fs_private;

	if (ctx->subtype)
		return invalfc(fsc, "subtype is given twice");
	if (param->size >= sizeof_field(struct fusewb_conn, subtype))
		return invalfc(fsc, "subtype is longer than %zu characters",
			       sizeof_field(struct fusewb_conn, subtype) - 1);
	ctx->subtype = param->string;
	param->string = NULL;
	return 0;
}

/* Who is refused may go on (fsconfig(2)): a bad value leaves no trace. */
static int take_option(struct fs_context *fsc, struct fs_parameter *param, int opt,
		       const struct fs_parse_result *parsed)
{
	struct mount_context *ctx = fsc->fs_private;
	struct fusewb_mount_opts *opts = &ctx->opts;
	u32 value = parsed->uint_32;
	kuid_t uid;
	kgid_t gid;

	switch (opt) {
	case OPT_FD:
		/* A remount may repeat the number, which means nothing by now. */
		if (fsc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
			return 0;
		return parse_fd(fsc, param, value);
	case OPT_ROOTMODE:
		if (fs_umode_to_ftype(value) == FT_UNKNOWN || value & ~(S_IFMT | S_IALLUGO))
			return invalfc(fsc, "rootmode=%o names no file type", value);
		opts->rootmode = value;
		return 0;
	case OPT_USER_ID:
		uid = make_kuid(current_user_ns(), value);
		if (!kuid_has_mapping(fsc->user_ns, uid))
			return invalfc(fsc, "user_id=%u is not mapped in this user namespace",
				       value);
		opts->user_id = uid;
		return 0;
	case OPT_GROUP_ID:
		gid = make_kgid(current_user_ns(), value);
		if (!kgid_has_mapping(fsc->user_ns, gid))
			return invalfc(fsc, "group_id=%u is not mapped in this user namespace",
				       value);
		opts->group_id = gid;
		return 0;
	case OPT_DEFAULT_PERMISSIONS:
		opts->default_permissions = true;
		return 0;
	case OPT_ALLOW_OTHER:
		opts->allow_other = true;
		return 0;
	case OPT_MAX_READ:
		/* As the protocol has it: no less than a page of 4096 bytes. */
		opts->max_read = max(value, 4096u);
		return 0;
	case OPT_BLKSIZE:
		if (value < 512 || value > PAGE_SIZE || !is_power_of_2(value))
			return invalfc(fsc, "blksize=%u is not a power of two from 512 to %lu",
				       value, PAGE_SIZE);
		opts->blksize = value;
		return 0;
	case OPT_SUBTYPE:
		return parse_subtype(fsc, param);
	case OPT_WRITEBACK:
		opts->writeback = value;
		return 0;
	}
	return -EINVAL;
}

static int parse_param(struct fs_context *fsc, struct fs_parameter *param)
{
	struct mount_context *ctx = fsc->fs_private;
	struct fs_parse_result result;
	int opt = fs_parse(fsc, parameters, param, &result);
	int err;

	if (opt < 0)
		return opt;
	err = take_option(fsc, param, opt, &result);
	if (!err)
		__set_bit(opt, &ctx->given);
	return err;
}

/* Everything else but the flags that the VFS handles is as at the mount. */
static int reconfigure(struct fs_context *fsc)
{
	const struct mount_context *ctx = fsc->fs_private;
	const struct fusewb_mount_opts *new = &ctx->opts;
	struct super_block *sb = fsc->root->d_sb;
	const struct fusewb_mount_opts *old = &fusewb_sb_conn(sb)->opts;
	const char *changed = NULL;

	if (new->rootmode != old->rootmode)
		changed = "rootmode";
	else if (!uid_eq(new->user_id, old->user_id))
		changed = "user_id";
	else if (!gid_eq(new->group_id, old->group_id))
		changed = "group_id";
	else if (new->default_permissions != old->default_permissions)
		changed = "default_permissions";
	else if (new->allow_other != old->allow_other)
		changed = "allow_other";
	else if (new->max_read != old->max_read)
		changed = "max_read";
	else if (new->blksize != old->blksize)
		changed = "blksize";
	else if (new->writeback != old->writeback)
		changed = "writeback";
	else if (ctx->subtype && (!sb->s_subtype || strcmp(ctx->subtype, sb->s_subtype)))
		changed = "subtype";

	if (changed)
		return invalfc(fsc, "%s cannot be changed by a remount", changed);
	return 0;
}

static int statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct fusewb_conn *conn = fusewb_sb_conn(dentry->d_sb);
	struct fuse_statfs_out out = {};
	struct fusewb_args args = {
		.opcode = FUSE_STATFS,
		.nodeid = FUSEWB_I(d_inode(dentry))->nodeid,
		.out = { { .data = &out, .len = sizeof(out) } },
		.nr_out = 1,
	};
	int err;

	buf->f_type = FUSE_SUPER_MAGIC;
	/* As with FUSE: others may see that it is there, no more. */
	if (!fusewb_allow_task(conn))
		return 0;

	err = fusewb_call(conn, &args);
	if (err)
		return err;
	buf->f_bsize = out.st.bsize ?: dentry->d_sb->s_blocksize;
	buf->f_frsize = out.st.frsize;
	buf->f_blocks = out.st.blocks;
	buf->f_bfree = out.st.bfree;
	buf->f_bavail = out.st.bavail;
	buf->f_files = out.st.files;
	buf->f_ffree = out.st.ffree;
	buf->f_namelen = out.st.namelen;
	return 0;
}

static int show_options(struct seq_file *m, struct dentry *root)
{
	const struct super_block *sb = root->d_sb;
	const struct fusewb_mount_opts *opts = &fusewb_sb_conn(sb)->opts;

	seq_printf(m, ",user_id=%u", from_kuid_munged(sb->s_user_ns, opts->user_id));
	seq_printf(m, ",group_id=%u", from_kgid_munged(sb->s_user_ns, opts->group_id));
	if (opts->default_permissions)
		seq_puts(m, ",default_permissions");
	if (opts->allow_other)
		seq_puts(m, ",allow_other");
	if (opts->max_read)
		seq_printf(m, ",max_read=%u", opts->max_read);
	if (opts->blksize != PAGE_SIZE)
		seq_printf(m, ",blksize=%u", opts->blksize);
	if (opts->writeback != FUSEWB_OPT_AUTO)
		seq_printf(m, ",writeback=%s", writeback_modes[opts->writeback].name);
	return 0;
}

/* umount -f: whoever waits for the server is to be let go. */
static void umount_begin(struct super_block *sb)
{
	fusewb_conn_abort(fusewb_sb_conn(sb), FUSEWB_ABORT_UMOUNT_FORCED);
}

/*
 * ->sync_fs is for syncfs(2) only (SB_I_SKIP_SYNC). There is no ->freeze_fs, so
 * that FIFREEZE is refused instead of waiting.
 */
static const struct super_operations super_ops = {
	.alloc_inode	= fusewb_alloc_inode,
	.free_inode	= fusewb_free_inode,
	.evict_inode	= fusewb_evict_inode,
	.dirty_inode	= fusewb_dirty_inode,
	.write_inode	= fusewb_write_inode,
	.drop_inode	= inode_just_drop,
	.sync_fs	= fusewb_sync_fs,
	.statfs		= statfs,
	.show_options	= show_options,
	.umount_begin	= umount_begin,
};

static int setup_bdi(struct super_block *sb)
{
	struct fusewb_conn *conn = fusewb_sb_conn(sb);
	int err;

	/* Named like st_dev, so that people find it in /sys/class/bdi. */
	err = super_setup_bdi_name(sb, "%u:%u", MAJOR(sb->s_dev), MINOR(sb->s_dev));
	if (err)
		return err;
	conn->bdi = bdi_get(sb->s_bdi);
	return fusewb_policy_limit_dirty(conn);
}

void fusewb_super_negotiated(struct fusewb_conn *conn)
{
	struct super_block *sb = conn->sb;

	sb->s_time_gran = conn->time_gran;
	/*
	 * Then the server looks after privileges when a file is written. Atomic,
	 * to undo nothing of a mount or remount that is under way: who holds
	 * s_umount may wait for this very server.
	 */
	if (conn->flags & FUSE_HANDLE_KILLPRIV_V2)
		set_bit(ilog2(SB_NOSEC), &sb->s_flags);
	if (conn->flags & FUSE_NO_EXPORT_SUPPORT)
		sb->s_export_op = &fusewb_export_ids_only;
	sb->s_bdi->ra_pages = min_t(unsigned long, sb->s_bdi->ra_pages,
				    conn->max_readahead >> PAGE_SHIFT);
	/* More than its one READ would only be looked up and dropped again. */
	if (!(conn->flags & FUSE_ASYNC_READ)) {
		unsigned long pages = conn->max_read >> PAGE_SHIFT;

		sb->s_bdi->ra_pages = min(sb->s_bdi->ra_pages, pages);
		sb->s_bdi->io_pages = min(sb->s_bdi->io_pages, pages);
	}
}

static int make_root(struct super_block *sb, umode_t mode)
{
	const struct fuse_attr attr = {
		.ino = FUSE_ROOT_ID,
		.mode = mode,
		.nlink = 1,
	};
	struct inode *inode = fusewb_iget(sb, FUSE_ROOT_ID, 0, &attr, 0, 0);

	if (!inode)
		return -ENOMEM;
	set_default_d_op(sb, &fusewb_root_dentry_ops);
	sb->s_root = d_make_root(inode);
	set_default_d_op(sb, &fusewb_dentry_ops);
	return sb->s_root ? 0 : -ENOMEM;
}

static int fill_super(struct super_block *sb, struct fs_context *fsc)
{
	struct mount_context *ctx = fsc->fs_private;
	struct fusewb_conn *conn = fusewb_sb_conn(sb);
	int err;

	sb->s_magic = FUSE_SUPER_MAGIC;
	sb->s_op = &super_ops;
	sb->s_xattr = fusewb_xattr_handlers;
	sb->s_export_op = &fusewb_export_ops;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_time_gran = 1;
	sb->s_blocksize = ctx->opts.blksize;
	sb->s_blocksize_bits = ilog2(ctx->opts.blksize);
	sb->s_flags &= ~(SB_NOSEC | SB_I_VERSION);
	/* The umask is applied here or by the server, never by the VFS. */
	sb->s_flags |= SB_POSIXACL;
	sb->s_iflags |= SB_I_IMA_UNVERIFIABLE_SIGNATURE | SB_I_NO_DATA_INTEGRITY;
	/* Waits for a server: sync(2) is spared it unless policy says otherwise. */
	if (!READ_ONCE(conn->policy.sync_waits))
		sb->s_iflags |= SB_I_SKIP_SYNC;
	if (sb->s_user_ns != &init_user_ns)
		sb->s_iflags |= SB_I_UNTRUSTED_MOUNTER;

	sb->s_subtype = ctx->subtype;
	ctx->subtype = NULL;
	if (sb->s_subtype)
		strscpy(conn->subtype, sb->s_subtype, sizeof(conn->subtype));
	conn->dev = sb->s_dev;

	err = setup_bdi(sb);
	if (err)
		return err;
	err = make_root(sb, ctx->opts.rootmode);
	if (err)
		return err;
	conn->sb = sb;

	err = fusewb_dev_attach(fusewb_dev_from_file(ctx->file), conn);
	if (err) {
		errorfc(fsc, "fd already serves another mount");
		return err;
	}
	fusewb_conn_register(conn);
	return fusewb_conn_send_init(conn);
}

static int get_tree(struct fs_context *fsc)
{
	static const struct {
		unsigned int opt;
		const char *name;
	} required[] = {
		{ OPT_FD, "fd" },
		{ OPT_ROOTMODE, "rootmode" },
		{ OPT_USER_ID, "user_id" },
		{ OPT_GROUP_ID, "group_id" },
	};
	struct mount_context *ctx = fsc->fs_private;
	struct fusewb_conn *conn;
	struct fusewb_dev *dev;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(required); i++)
		if (!test_bit(required[i].opt, &ctx->given))
			return invalfc(fsc, "%s= is missing, which mount.fusewb would give",
				       required[i].name);

	dev = fusewb_dev_from_file(ctx->file);
	if (dev->opener_cred->user_ns != fsc->user_ns) {
		errorfc(fsc, "fd was opened in another user namespace");
		return -EPERM;
	}
	conn = fusewb_conn_alloc(&ctx->opts, fsc->user_ns, dev->opener_cred,
				 dev->opener_pid);
	if (IS_ERR(conn))
		return PTR_ERR(conn);
	if (ctx->opts.writeback == FUSEWB_OPT_DIRECT &&
	    READ_ONCE(conn->policy.writeback) != FUSEWB_WRITEBACK_DIRECT) {
		errorfc(fsc, "writeback=direct is more than the policy allows, try auto");
		fusewb_conn_put(conn);
		return -EPERM;
	}

	/* The super block takes the reference over, and kill_sb() drops it. */
	fsc->s_fs_info = conn;
	err = get_tree_nodev(fsc, fill_super);
	if (fsc->s_fs_info) {
		fsc->s_fs_info = NULL;
		fusewb_conn_put(conn);
	}
	return err;
}

static void free_context(struct fs_context *fsc)
{
	struct mount_context *ctx = fsc->fs_private;

	if (!ctx)
		return;
	if (ctx->file)
		fput(ctx->file);
	kfree(ctx->subtype);
	kfree(ctx);
}

static const struct fs_context_operations context_ops = {
	.free		= free_context,
	.parse_param	= parse_param,
	.get_tree	= get_tree,
	.reconfigure	= reconfigure,
};

static int init_fs_context(struct fs_context *fsc)
{
	struct mount_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	if (fsc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		ctx->opts = fusewb_sb_conn(fsc->root->d_sb)->opts;
	else
		ctx->opts.blksize = PAGE_SIZE;
	fsc->fs_private = ctx;
	fsc->ops = &context_ops;
	return 0;
}

static void kill_sb(struct super_block *sb)
{
	struct fusewb_conn *conn = fusewb_sb_conn(sb);
	/* Not so if the mount failed halfway. */
	bool registered = !list_empty(&conn->node);

	if (registered)
		fusewb_settle(sb);
	else
		fusewb_conn_abort(conn, FUSEWB_ABORT_UNMOUNTED);
	down_write(&conn->sb_lock);
	conn->sb = NULL;
	up_write(&conn->sb_lock);
	fusewb_conn_close(conn);
	kill_anon_super(sb);
	if (registered)
		fusewb_conn_unregister(conn);
	fusewb_conn_put(conn);
}

static struct file_system_type fs_type = {
	.owner			= THIS_MODULE,
	.name			= FUSEWB_FS_NAME,
	.fs_flags		= FS_HAS_SUBTYPE | FS_USERNS_MOUNT,
	.init_fs_context	= init_fs_context,
	.parameters		= parameters,
	.kill_sb		= kill_sb,
};
MODULE_ALIAS_FS(FUSEWB_FS_NAME);

int fusewb_super_register(void)
{
	return register_filesystem(&fs_type);
}

void fusewb_super_unregister(void)
{
	unregister_filesystem(&fs_type);
	/* Inodes are freed after a grace period. */
	rcu_barrier();
}
