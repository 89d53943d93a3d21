// SPDX-License-Identifier: GPL-2.0-only
// Writers that make so much of a file dirty that something has to stop them. They run in a Task,
// and return 0 or errno.
#pragma once

#include <fcntl.h>

namespace fusewb::test {

int push_by_write(int file, off_t size);

// Of the first @mapped bytes each page is loaded from before, so that it is mapped, read-only.
int push_by_mapping(int file, off_t size, off_t mapped = 0);

// All of the file is in the page cache: a mapping reads what it dirties, which only a server that
// runs answers.
void make_cached(int file, off_t size);

} // namespace fusewb::test
