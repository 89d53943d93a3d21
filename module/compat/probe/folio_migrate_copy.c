// SPDX-License-Identifier: GPL-2.0-only
/*
 * folio_migrate_copy() went when file systems got folio_copy() exported and do
 * the two steps themselves. ("mm: migrate: remove folio_migrate_copy()")
 */
#include <linux/migrate.h>

void probe(struct folio *dst, struct folio *src);
void probe(struct folio *dst, struct folio *src)
{
	folio_migrate_copy(dst, src);
}
