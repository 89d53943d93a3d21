# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mkdir "$base"/{lower,upper,work}
    cp -a /usr/include/linux "$base/lower/"
    mount_as "fuse-overlayfs#" -o "lowerdir=$base/lower,upperdir=$base/upper,workdir=$base/work"
    copy_and_verify "$mnt"
    # Beside what it is told to store there may be its own marks of new directories.
    find "$base/upper/tree" -name '.wh.*.opq' -delete
    same_tree "$tree" "$base/upper/tree"
    # What is changed is copied up, what is removed leaves a whiteout.
    echo changed >>"$mnt/linux/fuse.h"
    rm "$mnt/linux/fs.h"
    drop_caches
    [[ $(tail -n 1 "$base/upper/linux/fuse.h") == changed ]]
    [[ ! -e $mnt/linux/fs.h && -e $base/lower/linux/fs.h && -c $base/upper/linux/fs.h ]]
    verified "fuse-overlayfs" "$(version_of fuse-overlayfs)" direct
}
