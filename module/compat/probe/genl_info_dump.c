// SPDX-License-Identifier: GPL-2.0-only
/* "genetlink: use attrs from struct genl_info", 6.6 */
#include <net/genetlink.h>

static struct nlattr **__maybe_unused attrs(struct netlink_callback *cb)
{
	return genl_info_dump(cb)->attrs;
}
