// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers that a server may not give. Whoever asked gets EIO; the administrator
 * finds which operation it was in the kernel log, and how many there were in
 * the connection's counters.
 */
#include <linux/fuse.h>
#include <linux/kernel.h>
#include <linux/ratelimit.h>

#include "compat/compat.h"
#include "answer.h"
#include "connection.h"

const char *fusewb_op_name(u32 opcode)
{
	switch (opcode) {
#define OP(name) case FUSE_##name: return "FUSE_" #name
	OP(LOOKUP);
	OP(FORGET);
	OP(GETATTR);
	OP(SETATTR);
	OP(READLINK);
	OP(SYMLINK);
	OP(MKNOD);
	OP(MKDIR);
	OP(UNLINK);
	OP(RMDIR);
	OP(RENAME);
	OP(LINK);
	OP(OPEN);
	OP(READ);
	OP(WRITE);
	OP(STATFS);
	OP(RELEASE);
	OP(FSYNC);
	OP(SETXATTR);
	OP(GETXATTR);
	OP(LISTXATTR);
	OP(REMOVEXATTR);
	OP(FLUSH);
	OP(INIT);
	OP(OPENDIR);
	OP(READDIR);
	OP(RELEASEDIR);
	OP(FSYNCDIR);
	OP(GETLK);
	OP(SETLK);
	OP(SETLKW);
	OP(ACCESS);
	OP(CREATE);
	OP(INTERRUPT);
	OP(BMAP);
	OP(DESTROY);
	OP(IOCTL);
	OP(POLL);
	OP(NOTIFY_REPLY);
	OP(BATCH_FORGET);
	OP(FALLOCATE);
	OP(READDIRPLUS);
	OP(RENAME2);
	OP(LSEEK);
	OP(COPY_FILE_RANGE);
	OP(SYNCFS);
	OP(TMPFILE);
	OP(STATX);
	OP(COPY_FILE_RANGE_64);
#undef OP
	}
	return "an unknown operation";
}

int fusewb_bad_answer(struct fusewb_conn *conn, u32 opcode, const char *what)
{
	atomic64_inc(&conn->counters.malformed);
	if (__ratelimit(&conn->malformed_limit))
		pr_warn("connection %llu: the server answered %s with %s\n", conn->id,
			fusewb_op_name(opcode), what);
	return -EIO;
}

static const char *notification_name(int code)
{
	switch (code) {
#define NOTIFICATION(name) case FUSE_NOTIFY_##name: return "FUSE_NOTIFY_" #name
	NOTIFICATION(POLL);
	NOTIFICATION(INVAL_INODE);
	NOTIFICATION(INVAL_ENTRY);
	NOTIFICATION(STORE);
	NOTIFICATION(RETRIEVE);
	NOTIFICATION(DELETE);
	NOTIFICATION(RESEND);
	NOTIFICATION(INC_EPOCH);
	NOTIFICATION(PRUNE);
#undef NOTIFICATION
	}
	return "of an unknown kind";
}

int fusewb_bad_notification(struct fusewb_conn *conn, int code)
{
	atomic64_inc(&conn->counters.malformed);
	if (__ratelimit(&conn->malformed_limit))
		pr_warn("connection %llu: the server sent a malformed or unknown notification %d (%s)\n",
			conn->id, code, notification_name(code));
	return -EINVAL;
}
