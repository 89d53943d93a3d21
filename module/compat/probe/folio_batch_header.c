// SPDX-License-Identifier: GPL-2.0-only
/* struct folio_batch moved out of <linux/pagevec.h>, by 7.2 */
#include <linux/folio_batch.h>

static void __maybe_unused init(struct folio_batch *batch)
{
	folio_batch_init(batch);
}
