# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# This project's own daemon is built on the mount, and runs from there.

# sums DIRECTORY: of all its files.
sums() {
    (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
}

serve() {
    local built=$base/built part
    mount_passthrough
    mkdir "$mnt/source"
    for part in CMakeLists.txt daemon tools module docs packaging udev; do
        cp -a --no-preserve=ownership "$here/../../$part" "$mnt/source/"
    done
    # What passthrough_ll creates for who appends, it appends to itself, wherever a WRITE is to
    # go and whoever its client is. In a file that is there it does not.
    mkdir -p "$mnt/build/CMakeFiles"
    : >"$mnt/build/CMakeFiles/CMakeConfigureLog.yaml"
    cmake -S "$mnt/source" -B "$mnt/build" -DFUSEWB_UNIT_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug
    cmake --build "$mnt/build" -j"$(nproc)" --target fusewbd
    sums "$mnt" >"$built"
    drop_caches
    diff "$built" <(sums "$mnt")
    diff "$built" <(sums "$base/back")
    "$mnt/build/daemon/fusewbd" --help | grep -q fusewbd
    done_on "build of fusewbd" "$(gcc -dumpfullversion)" \
        "$(wc -l <"$built") files, the same at the server; the program runs"
}
