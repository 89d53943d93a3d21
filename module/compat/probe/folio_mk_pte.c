// SPDX-License-Identifier: GPL-2.0-only
/*
 * finish_fault() maps all of a folio of a file, by 19773df031bc (6.18). That is no
 * change of an interface; this one came shortly before it.
 */
#include <linux/mm.h>

pte_t probe(const struct folio *folio, pgprot_t prot);

pte_t probe(const struct folio *folio, pgprot_t prot)
{
	return folio_mk_pte(folio, prot);
}
