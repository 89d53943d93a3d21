/* SPDX-License-Identifier: GPL-2.0-only */
/* Answers that a server may not give: answer.c. */
#ifndef FUSEWB_ANSWER_H
#define FUSEWB_ANSWER_H

#include <linux/types.h>

struct fusewb_conn;

/** fusewb_op_name() - "FUSE_LOOKUP" and so on; never NULL. */
const char *fusewb_op_name(u32 opcode);

/* What several operations may be answered with. */
#define FUSEWB_BAD_ATTR "attributes that no file has"
#define FUSEWB_BAD_ERROR "an error that is none"
#define FUSEWB_BAD_INODE "an inode that cannot be"

/**
 * fusewb_bad_answer() - count and report an answer that cannot be
 * @what: what is wrong with it, after "with", e.g. "an empty name"
 *
 * The message is rate-limited for each connection. Return: -EIO.
 */
int fusewb_bad_answer(struct fusewb_conn *conn, u32 opcode, const char *what);

/** fusewb_bad_notification() - the same for what came unasked. Return: -EINVAL. */
int fusewb_bad_notification(struct fusewb_conn *conn, int code);

#endif
