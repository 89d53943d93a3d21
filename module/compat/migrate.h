/* SPDX-License-Identifier: GPL-2.0-only */
/* Completes <linux/migrate.h>. */
#ifndef FUSEWB_COMPAT_MIGRATE_H
#define FUSEWB_COMPAT_MIGRATE_H

#include <linux/migrate.h>
#include <linux/mm.h>

/* Where there is this one, folio_copy() is not for modules. */
static inline void compat_migrate_contents(struct folio *dst, struct folio *src)
{
#ifdef HAVE_FOLIO_MIGRATE_COPY
	folio_migrate_copy(dst, src);
#else
	folio_copy(dst, src);
	folio_migrate_flags(dst, src);
#endif
}

#endif
