# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here, other parts read
#
# Writes through fusewb and through in-tree fuse, side by side in one guest on
# instruction-counted time, so that the ratio does not depend on what else the machine does.

# verb_bench: see ./run help.
verb_bench() {
    local kernel=6.1 runs=5
    while (($#)); do
        (($# > 1)) || die "$1 needs an argument"
        case $1 in
        --kernel) kernel=$2 ;;
        --runs) runs=$2 ;;
        *) die "bench does not know '$1' (./run help)" ;;
        esac
        shift 2
    done
    [[ $runs =~ ^[1-9][0-9]*$ ]] || die "--runs takes a number from 1, not '$runs'"
    packaged_image "$(kernel_suite "$kernel")"
    bench_writes "$REPLY" "$kernel" "$runs"
}

# bench_writes IMAGE KERNEL ROUNDS: measures and prints the table.
bench_writes() {
    local image=$1 kernel=$2 rounds=$3 lines=$BUILD/bench/$2.lines
    mkdir -p "$BUILD/bench"
    say "measuring $rounds rounds on Linux $kernel, instruction-counted time, one CPU"
    vm_defaults
    VM_COUNTED=yes
    VM_SHARE=$TOP/tests/bench
    vm_boot "$image" "$kernel" /share/measure "$rounds" 128 >"$lines" || {
        local status=$?
        cat "$lines" >&2
        return "$status"
    }
    bench_table "$lines"
}

# bench_table FILE: medians, their spread (least to greatest) and ratio.
bench_table() {
    sort -k1,1 -k2,2n -k3,3n "$1" | awk '
        $1 == "limit" { limit[$2] = "strict_limit " $3 ", max_ratio " $4; next }
        { key = $1 " " $2; value[key, ++n[key]] = $3 / 1e6 }
        function middle(key) {
            low = value[key, int((n[key] + 1) / 2)]
            return (low + value[key, int(n[key] / 2) + 1]) / 2
        }
        function show(key) {
            return sprintf("%6.1f (%.1f-%.1f)", middle(key), value[key, 1], value[key, n[key]])
        }
        function line(name, size) {
            if (!n["fuse " size] || !n["fusewb " size]) { bad = 1; exit }
            printf "%-22s %24s %24s %8.2f\n", name, show("fusewb " size), show("fuse " size),
                middle("fusewb " size) / middle("fuse " size)
        }
        END {
            if (!bad) {
                printf "%-22s %24s %24s %8s\n", "write, final fsync", "fusewb MB/s", "fuse MB/s", "ratio"
                line("1 MiB", 1048576)
                line("4 KiB", 4096)
                print "median (least-greatest); fusewb: " limit["fusewb"] "; fuse: " limit["fuse"]
            }
            exit bad
        }' || die "the measurement is incomplete: $1"
}
