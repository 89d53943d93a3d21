# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here, other parts read
#
# ./run demo: from the sources to a mounted file system, on a real Debian 12 kernel.

# verb_demo: see ./run help.
verb_demo() {
    (($# == 0)) || die "demo takes no arguments"
    local share table
    say "1/3 the Debian packages of this tree"
    build_debs bookworm
    bare_image bookworm
    scratch
    share=$SCRATCH/demo
    mkdir -p "$share/debs"
    cp "$BUILD"/debs/bookworm/*.deb "$share/debs/"
    install -m 755 "$TOP/tests/vm/demo/main-job" "$share/"

    say "2/3 the main job on Linux 6.1, the packages installed with apt in the running guest"
    vm_defaults
    VM_SHARE=$share VM_TIMEOUT=7200 VM_MEMORY=3072
    vm_boot "$REPLY" 6.1 /share/main-job

    say "3/3 1 MiB and 4 KiB writes"
    need_packages python3 python3-tabulate
    packaged_image bookworm
    table=$BUILD/demo.table
    bench_bed "$REPLY" 6.1 counted 3 50 'shipped 0 write-1m write-4k' >"$table"
    echo
    cat "$table"
    awk '$1 == "BytesDirect" {direct = $2} $1 == "BytesCopied" {copied = $2}
        END {printf "main job, written back: %.1f MB folio-direct, %.1f MB copied\n",
            direct / 1e6, copied / 1e6}' "$share/counters"
}
