// SPDX-License-Identifier: GPL-2.0-only
/* "mm: convert generic_error_remove_page() to generic_error_remove_folio()", 6.8 */
#include <linux/mm.h>

int probe(struct address_space *mapping, struct folio *folio);

int probe(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_folio(mapping, folio);
}
