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

# reading_server: prints the path of one that reads from the device in the place of splicing, as
# libfuse does where it gets no pipe.
reading_server() {
    local path=/usr/local/bin/passthrough_ll_reading
    gcc -O2 -shared -fPIC -o "$path.so" -xc - <<'END'
#include <errno.h>

int pipe2(int fds[2], int flags)
{
	(void)fds;
	(void)flags;
	errno = EMFILE;
	return -1;
}
END
    printf '#!/bin/sh\nLD_PRELOAD=%s exec passthrough_ll "$@"\n' "$path.so" >"$path"
    chmod +x "$path"
    echo "$path"
}
