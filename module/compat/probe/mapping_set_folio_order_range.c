// SPDX-License-Identifier: GPL-2.0-only
/* "fs: Allow fine-grained control of folio sizes", 6.12 */
#include <linux/pagemap.h>

void probe(struct address_space *mapping);

void probe(struct address_space *mapping)
{
	mapping_set_folio_order_range(mapping, 0, 8);
}
