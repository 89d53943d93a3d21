/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MODEL_FS_H
#define MODEL_FS_H

#include "../kernel.h"

struct inode {
	struct rw_semaphore i_rwsem;
};

#endif
