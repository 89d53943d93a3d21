// SPDX-License-Identifier: GPL-2.0-only
/* Loading and unloading: each part in turn, and back in reverse. */
#include <linux/module.h>

#include "compat/compat.h"
#include "aio.h"
#include "deadline.h"
#include "device.h"
#include "inode.h"
#include "netlink.h"
#include "request.h"
#include "super.h"
#include "version.h"

static const struct {
	int (*start)(void);
	void (*stop)(void);
} parts[] = {
	{ fusewb_req_init_caches, fusewb_req_destroy_caches },
	{ fusewb_inode_init_cache, fusewb_inode_destroy_cache },
	{ fusewb_deadlines_start, fusewb_deadlines_end },
	{ fusewb_aio_start, fusewb_aio_stop },
	{ fusewb_netlink_register, fusewb_netlink_unregister },
	{ fusewb_dev_register, fusewb_dev_unregister },
	/* The last: from now on somebody may mount. */
	{ fusewb_super_register, fusewb_super_unregister },
};

static void stop_parts(unsigned int nr)
{
	while (nr--)
		parts[nr].stop();
}

static int __init fusewb_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		err = parts[i].start();
		if (err) {
			stop_parts(i);
			return err;
		}
	}
	return 0;
}

static void __exit fusewb_exit(void)
{
	stop_parts(ARRAY_SIZE(parts));
}

module_init(fusewb_init);
module_exit(fusewb_exit);

MODULE_DESCRIPTION("FUSE file systems with folio-direct writeback");
MODULE_AUTHOR("The fusewb authors");
MODULE_LICENSE("GPL");
MODULE_VERSION(FUSEWB_VERSION);
