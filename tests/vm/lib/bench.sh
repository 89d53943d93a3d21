# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2153 # what other parts set and read
#
# ./run bench: the same work through fusewb, through in-tree fuse and on the file system behind them,
# in one guest. The bed of record runs on instruction-counted time, where a ratio does not depend on
# what else this machine does; the other has two CPUs and says whether they tell the same story.

BENCH_REPORT=$TOP/tests/bench/report.py

# verb_bench: see ./run help.
verb_bench() {
    local kernel=6.1 quick=''
    local writes='write-1m write-4k write-1k rewrite-64k append-100 random-1m random-4k map-write'
    if [[ ${1:-} == compare ]]; then
        (($# == 3)) || die "bench compare takes two JSON files"
        need_packages python3 python3-tabulate
        "$BENCH_REPORT" "$@"
        return
    fi
    while (($#)); do
        case $1 in
        --kernel)
            (($# > 1)) || die "$1 needs an argument"
            kernel=$2
            shift
            ;;
        --quick) quick=yes ;;
        *) die "bench does not know '$1' (./run help)" ;;
        esac
        shift
    done
    need_packages python3 python3-matplotlib python3-tabulate
    packaged_image "$(kernel_suite "$kernel")"
    if [[ $quick ]]; then
        bench_bed "$REPLY" "$kernel" counted 2 25 'shipped 0'
    else
        # Where writers are put to sleep boots differ, so there are several, in rotated order.
        # The limits, how the server reads, and what is behind it matter to writers most.
        bench_bed "$REPLY" "$kernel" counted 2 50 'shipped '{0,1,2} \
            {'lifted ','strict '}{0,1}" $writes" {"reading 0","ext4 0"}" $writes read-cold"
        bench_bed "$REPLY" "$kernel" threads 5 100 'shipped 0' "lifted 1 $writes"
    fi
    "$BENCH_REPORT" page "$BUILD/bench" "$BUILD/bench"/*.json
}

# bench_bed IMAGE KERNEL BED ROUNDS SCALE BOOT...: measures and prints the tables of one bed, whose
# results it leaves in build/bench/KERNEL.BED.json. A BOOT is a condition, the client that begins,
# and the works, if not all.
bench_bed() {
    local image=$1 kernel=$2 bed=$3 rounds=$4 scale=$5 started=$SECONDS done=0 boots boot files=() file
    local json=$BUILD/bench/$2.$3.json condition first works
    shift 5
    boots=$#
    mkdir -p "$BUILD/bench"
    for boot; do
        read -r condition first works <<<"$boot"
        file=$BUILD/bench/$kernel.$bed.$condition.$first.lines
        say "Linux $kernel, $bed: $condition, boot $((done + 1)) of $boots$(bench_left "$done" "$boots" "$started")"
        # shellcheck disable=SC2086 # several words
        bench_boot "$image" "$kernel" "$bed" "$file" "$condition" "$rounds" "$scale" "$first" $works
        files+=("$condition:$file")
        done=$((done + 1))
    done
    "$BENCH_REPORT" collect "$json" --kernel "$kernel" --bed "$bed" --date "$(date -I)" "${files[@]}"
    "$BENCH_REPORT" table "$json"
}

# bench_left DONE ALL STARTED: how long the rest will take, as far as that is known.
bench_left() {
    (($1 == 0)) || echo ", about $(((SECONDS - $3) * ($2 - $1) / $1 / 60 + 1)) min left"
}

# bench_boot IMAGE KERNEL BED FILE ARGUMENT...: one boot of tests/bench/measure, its lines in FILE.
bench_boot() {
    local image=$1 kernel=$2 bed=$3 file=$4 watcher status=0
    shift 4
    vm_defaults
    VM_SHARE=$TOP/tests/bench VM_MEMORY=3072 VM_TIMEOUT=3600
    [[ $bed != counted ]] || VM_COUNTED=yes
    : >"$file"
    while sleep 30; do
        say "  ... $(wc -l <"$file") measurements"
    done &
    watcher=$!
    vm_boot "$image" "$kernel" /share/measure "$@" >"$file" || status=$?
    kill "$watcher"
    wait "$watcher" 2>/dev/null || true
    ((status == 0)) || tail -n 20 "$file" >&2
    return "$status"
}
