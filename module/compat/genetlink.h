/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <net/genetlink.h>. */
#ifndef FUSEWB_COMPAT_GENETLINK_H
#define FUSEWB_COMPAT_GENETLINK_H

#include <net/genetlink.h>

#ifndef HAVE_GENL_INFO_DUMP
/* The attributes of a dump's request were a member of the dump's own info. */
static inline const struct genl_dumpit_info *
genl_info_dump(struct netlink_callback *cb)
{
	return genl_dumpit_info(cb);
}
#endif

#endif
