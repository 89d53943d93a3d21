/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Read by sparse alone, before anything else (make check): what sparse 0.6.4
 * does not know of what the headers of 7.2 use.
 */
#ifdef __CHECKER__

/* Drops qualifiers; with one kept the types are as good for checking. */
#define __typeof_unqual__ __typeof__

/* Needed as a constant, of string literals. */
#define __builtin_strlen(s) (sizeof(s) - 1)

#endif
