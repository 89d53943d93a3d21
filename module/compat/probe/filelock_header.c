// SPDX-License-Identifier: GPL-2.0-only
/* 5970e15dbcfe ("filelock: move file locking definitions to separate header file"), 6.3 */
#include <linux/filelock.h>
