# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154 # tree is the runner's
#
# What the servers' scripts share. Each defines serve(); it has a directory of its own in $base,
# which nothing outlasts.

base=$(mktemp -d /var/tmp/server.XXXXXX)
mnt=$base/mnt
mkdir "$mnt"
chmod 755 "$base"

# Ends what a server's script started in the background.
end() {
    local status=$?
    ! mountpoint -q "$mnt" || umount "$mnt" || umount -l "$mnt"
    # shellcheck disable=SC2046 # several
    kill $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf --one-file-system "$base"
    return "$status"
}
trap end EXIT
set -o errtrace
trap 'echo "failed: $BASH_COMMAND (${BASH_SOURCE[0]##*/}, line $LINENO)" >&2' ERR

# mount_as ARGUMENT...: the arguments of mount(8) behind "-t fusewb", for the table too.
mount_as() {
    mounted_as="mount -t fusewb $*"
    echo "$mounted_as"
    mount -t fusewb "$@" "$mnt"
    mountpoint "$mnt"
}

# mount_passthrough OPTION...: a directory of this machine's, through passthrough_ll with the
# writeback cache, for those who work on it.
mount_passthrough() {
    example passthrough_ll
    mkdir -p "$base/back"
    mount_as "passthrough_ll#" -o "source=$base/back,writeback" "$@"
}

# drop_caches: what is read afterwards comes from the server.
drop_caches() {
    sync -f "$mnt"
    echo 3 >/proc/sys/vm/drop_caches
}

# same_tree A B: names, types, link targets, modes and contents.
same_tree() {
    diff -r --no-dereference "$1" "$2"
    diff <(cd "$1" && find . -printf '%p %y %l %m\n' | sort) \
        <(cd "$2" && find . -printf '%p %y %l %m\n' | sort)
}

# copy_and_verify DIRECTORY: a real tree and a file that is written in pieces.
copy_and_verify() {
    local sum
    cp -a --no-preserve=ownership "$tree" "$1/tree"
    dd if=/dev/urandom of="$base/big" bs=1M count=32 status=none
    sum=$(sha256sum <"$base/big")
    dd if="$base/big" of="$1/big" bs=4093 conv=fsync status=none
    drop_caches
    same_tree "$tree" "$1/tree"
    [[ $(sha256sum <"$1/big") == "$sum" ]]
    rm "$base/big"
}

# goes MODE: writes go that way on the connection of the mount, as fusewbd shows it.
goes() {
    local mode
    mode=$(fusewbctl --json status "$mnt" | sed -n 's/.*"Writeback": *"\([a-z]*\)".*/\1/p' | head -n 1)
    [[ $mode == "$1" ]] || {
        echo "writes go ${mode:-nobody knows how}, not $1"
        return 1
    }
}

# verified NAME VERSION MODE: the line of the table; writes are to have gone that way. What was copied
# is below $copied, or else below the mount.
verified() {
    local how=${mounted_as//$base/...}
    how=${how//$here\//}
    goes "$3"
    echo "[ SERVER   ] $1 | $2 | $how | $3 | $(find "${copied:-$mnt}" -type f 2>/dev/null | wc -l) files"
}

# done_on NAME VERSION TEXT [MODE]: the line of the table of work; what was done, in a few words.
done_on() {
    local mode=${4:-direct}
    goes "$mode"
    echo "[ WORK     ] $1 | $2 | $mode | $3"
}

# version_of PACKAGE
version_of() {
    dpkg-query -W -f '${Version}' "$1"
}

# example NAME: an example of libfuse's, compiled with what its own build would find.
example() {
    local program=/usr/local/bin/$1
    # shellcheck disable=SC2046 # flags
    [[ -x $program ]] || gcc -O2 -w -DHAVE_UTIMENSAT -DHAVE_FALLOCATE -o "$program" "/usr/share/doc/libfuse3-dev/examples/$1.c" \
        $(pkg-config --cflags --libs fuse3)
}
