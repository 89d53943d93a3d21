# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# An overlay with all its layers on the mount of one server, which has to know extended attributes
# and the flags of rename.
serve() {
    local over=$base/over part
    mkdir "$base/back" "$over"
    mount_as "$here/passthrough.py#$base/back"
    mkdir "$mnt"/{lower,upper,work}
    cp -a --no-preserve=ownership /usr/include/linux "$mnt/lower/"
    mount -t overlay overlay -o "lowerdir=$mnt/lower,upperdir=$mnt/upper,workdir=$mnt/work" "$over"
    overlay=$over
    trap 'umount "$overlay"; end' EXIT
    cp -a --no-preserve=ownership /usr/include/asm-generic "$over/"
    echo changed >>"$over/linux/fuse.h"
    rm "$over/linux/fs.h"
    rm -r "$over/linux/netfilter"
    mv "$over/linux/fuse.h" "$over/linux/renamed.h"
    ln "$over/asm-generic/errno.h" "$over/linked.h"
    mkdir "$over/linux/netfilter"
    umount "$over"
    drop_caches
    # Whiteouts, an opaque directory, copies; what is below stayed as it was.
    for part in fs.h fuse.h; do
        [[ $(stat -c '%F %t:%T' "$base/back/upper/linux/$part") == "character special file 0:0" ]]
    done
    [[ $(tail -n 1 "$base/back/upper/linux/renamed.h") == changed ]]
    diff -r /usr/include/linux "$mnt/lower/linux"
    mount -t overlay overlay -o "lowerdir=$mnt/lower,upperdir=$mnt/upper,workdir=$mnt/work" "$over"
    same_tree /usr/include/asm-generic "$over/asm-generic"
    cmp /usr/include/asm-generic/errno.h "$over/linked.h"
    [[ ! -e $over/linux/fs.h && ! -e $over/linux/fuse.h ]]
    [[ -z $(ls -A "$over/linux/netfilter") ]]
    cmp <(cat /usr/include/linux/fuse.h && echo changed) "$over/linux/renamed.h"
    done_on "overlayfs" "$(uname -r)" "lower, upper and work on the mount: copied up, whiteouts"
}
