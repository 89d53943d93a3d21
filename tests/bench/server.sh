# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# libfuse's example server passthrough_ll, for what is measured in a guest.

command -v passthrough_ll >/dev/null || {
    # Where mount(8) lets a server be found by its name. Several words are flags.
    # shellcheck disable=SC2046
    gcc -O2 -o /usr/local/bin/passthrough_ll \
        /usr/share/doc/libfuse3-dev/examples/passthrough_ll.c $(pkg-config --cflags --libs fuse3)
}
