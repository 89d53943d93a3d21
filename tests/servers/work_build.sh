# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# This project's own daemon is built on the mount, and runs from there.
serve() {
    local sums part
    mount_passthrough
    mkdir "$mnt/source"
    for part in CMakeLists.txt daemon tools module docs packaging udev; do
        cp -a --no-preserve=ownership "$here/../../$part" "$mnt/source/"
    done
    cmake -S "$mnt/source" -B "$mnt/build" -DFUSEWB_UNIT_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug
    cmake --build "$mnt/build" -j"$(nproc)" --target fusewbd
    sums=$(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
    drop_caches
    [[ $(cd "$mnt" && find . -type f -print0 | sort -z | xargs -0 sha256sum) == "$sums" ]]
    [[ $(cd "$base/back" && find . -type f -print0 | sort -z | xargs -0 sha256sum) == "$sums" ]]
    "$mnt/build/daemon/fusewbd" --help | grep -q fusewbd
    done_on "build of fusewbd" "$(gcc -dumpfullversion)" \
        "$(wc -l <<<"$sums") files, the same at the server; the program runs"
}
