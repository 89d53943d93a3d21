# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# User-mode Linux: the quick bed. A 6.12 kernel built here runs one job as root, on the host's own
# root directory with a writable overlay in memory, in a second. The debug flavour carries KASAN,
# lockdep and their like. tests/vm/uml/ has the configuration, the guest's init and the module that
# proves that the checkers of the debug flavour report.

UML=$TOP/tests/vm/uml
HOST_SUITE_PACKAGES=(g++ cmake pkg-config libgtest-dev libmount-dev libkmod-dev libsystemd-dev fuse3 libfuse3-dev)

# uml_kernel FLAVOUR: sets REPLY to a directory with the kernel, `linux`, and all that building a
# module for it takes.
uml_kernel() {
    local flavour=$1 parts=("$UML/uml.config" "$KERNELS/base.config")
    [[ $flavour == plain ]] || parts+=("$UML/debug.config" "$UML/init.sh" "$UML"/checkers/*.c)
    kernel_entry "uml$flavour" "${parts[@]}" -- uml_make_kernel "$flavour"
}

# uml_make_kernel FLAVOUR SOURCE DIRECTORY
uml_make_kernel() {
    local flavour=$1 source=$2 directory=$3 fragments=("$UML/uml.config" "$KERNELS/base.config")
    [[ $flavour == plain ]] || fragments+=("$UML/debug.config")
    kernel_make "$source" "$directory" "${fragments[@]}" -- ARCH=um linux modules
    [[ $flavour == plain ]] || uml_prove_checkers "$directory"
}

# uml_prove_checkers KERNEL: fails unless each checker reports the fault that it is there for.
# Silence of a kernel that did not pass this would mean nothing.
uml_prove_checkers() {
    local kernel=$1 job fault expected status=0
    job=$(mktemp -d "$kernel/job.XXXXXX")
    mkdir "$job/checkers"
    cp "$UML"/checkers/* "$job/checkers"
    make -s -C "$kernel" M="$job/checkers" ARCH=um modules
    cp "$job/checkers/checkers.ko" "$job"
    echo / >"$job/directory"
    touch "$job/modules" "$job/share"
    # A report of KASAN's turns lockdep off, so that it comes last.
    cat >"$job/command" <<'END'
set -e
for fault in leak sleep deadlock use-after-free; do
    insmod /job/checkers.ko fault="$fault"
    rmmod checkers
done
END
    uml_boot "$kernel" "$job" 2048 300 || status=$?
    cat "$job/kernel.log" "$job/leaks"
    [[ $status == 0 ]]
    while IFS='|' read -r fault expected; do
        cat "$job/kernel.log" "$job/leaks" | grep -qaE "$expected" || {
            echo "the debug kernel did not report: $fault"
            return 1
        }
    done <<'END'
sleep in atomic context|BUG: sleeping function called from invalid context
lock order inversion|WARNING: possible circular locking dependency detected
use after free|BUG: KASAN: slab-use-after-free in checkers_
memory leak|checkers_init|leak_memory
END
    rm -rf "$job"
}

# uml_cpu: prints one of the processors that this process may use. The kernel and its processes
# take turns, and on one processor they need not wake each other across.
uml_cpu() {
    local range all=()
    while read -r range; do
        mapfile -t -O "${#all[@]}" all < <(seq "${range%-*}" "${range#*-}")
    done < <(taskset -cp "$BASHPID" | sed 's/.*: //' | tr , '\n')
    echo "${all[RANDOM % ${#all[@]}]}"
}

# uml_boot KERNEL JOB MEMORY TIMEOUT: runs the job (see init.sh) on stdin and stdout, memory in
# megabytes, time in seconds. Leaves kernel.log in JOB. Returns the command's exit status, 124 at
# the time limit, 125 if the machine went away without a word.
uml_boot() {
    local kernel=$1 job=$2 memory=$3 timeout=$4 status=0 run temporary='' arguments
    # Guest memory is a file without a name there.
    (($(df -m --output=avail /dev/shm 2>/dev/null | tail -n 1) > memory)) || temporary=$job
    # shellcheck disable=SC2054 # the kernel's commas
    arguments=("mem=${memory}M" root=/dev/root rootfstype=hostfs rootflags=/ ro
        "init=$UML/init.sh" con=null con0=fd:0,fd:1 ssl=null ssl0=null,fd:2 console=ttyS0
        ignore_loglevel panic=-1 slub_debug=- kmemleak=on "uml_dir=$job/" umid=uml
        "FUSEWB_JOB=$job")
    case "${arguments[*]}" in
    *\ \ * | *[$'\t\n']*) die "a user-mode kernel cannot use paths with spaces in them" ;;
    esac
    run=(timeout -k 5)
    [[ ! -e $job/interactive ]] || run+=(--foreground)
    run+=("$timeout" taskset -c "$(uml_cpu)" "$kernel/linux" "${arguments[@]}")
    if [[ -e $job/interactive ]]; then
        TMPDIR=$temporary "${run[@]}" 2>"$job/kernel.log" || status=$?
    else
        # A pipe of its own, because the kernel makes its end non-blocking for everybody.
        mkfifo "$job/output"
        cat "$job/output" &
        # The shell's own word on a kernel that aborts adds nothing to its log.
        { TMPDIR=$temporary "${run[@]}" </dev/null >"$job/output" 2>"$job/kernel.log"; } \
            2>/dev/null || status=$?
        wait "$!" || true
    fi
    if ((status == 124 || status == 137)); then
        return 124
    elif [[ -s $job/status ]]; then
        return "$(<"$job/status")"
    fi
    return 125
}

# uml_run FLAVOUR MEMORY TIMEOUT SHARE ALLOW_SPLAT [COMMAND...]: the whole of it, from the source
# to the exit status. SHARE may be empty.
uml_run() {
    local flavour=$1 memory=$2 timeout=$3 share=$4 allow=$5 kernel job status=0 report
    shift 5
    uml_kernel "$flavour"
    kernel=$REPLY
    kernel_module "uml$flavour" "$kernel" ARCH=um
    scratch
    job=$(mktemp -d "$SCRATCH/uml.XXXXXX")
    cp "$REPLY/fusewb.ko" "$job"
    echo fusewb.ko >"$job/modules"
    printf '%s\n' "$PWD" >"$job/directory"
    printf '%s\n' "$share" >"$job/share"
    # One word is a line of shell, several are a command and its arguments.
    case $# in
    0) touch "$job/interactive" "$job/command" ;;
    1) printf '%s\n' "$1" >"$job/command" ;;
    *) printf '%q ' "$@" >"$job/command" ;;
    esac
    uml_boot "$kernel" "$job" "$memory" "$timeout" || status=$?
    mkdir -p "$BUILD/log"
    cp "$job/kernel.log" "$BUILD/log/kernel.uml$flavour.log"
    if [[ ! $allow ]] && report=$(kernel_report "$job/kernel.log"); then
        printf 'run: the kernel reported:\n%s\n' "$report" >&2
        status=97
    elif [[ ! $allow && -s $job/leaks ]]; then
        printf 'run: the kernel reported memory leaks:\n%s\n' "$(head -n 80 "$job/leaks")" >&2
        status=97
    elif [[ $status == 124 ]]; then
        say "the machine was stopped at its time limit of $timeout s"
    elif [[ $flavour == debug && $status != 125 && $(<"$job/lockdep") != 1 ]]; then
        say "lockdep turned itself off, so that its silence means nothing"
        status=97
    elif [[ $status == 125 ]]; then
        say "no exit status from the machine; the end of its kernel log:"
        tail -n 30 "$job/kernel.log" >&2
    fi
    rm -rf "$job"
    return "$status"
}

# verb_uml: see ./run help.
verb_uml() {
    local flavour=plain timeout=600 memory='' share='' allow=''
    while (($#)); do
        case $1 in
        --timeout | --memory | --share) (($# > 1)) || die "$1 needs an argument" ;;&
        --debug) flavour=debug ;;
        --allow-splat) allow=yes ;;
        --timeout) timeout=$2 ;;
        --memory) memory=$2 ;;
        --share)
            [[ -d $2 ]] || die "--share: no directory $2"
            share=$(readlink -e -- "$2")
            ;;
        --)
            shift
            (($#)) || die "nothing follows --"
            break
            ;;
        *) die "uml does not know '$1' (./run help)" ;;
        esac
        case $1 in
        --debug | --allow-splat) shift ;;
        *) shift 2 ;;
        esac
    done
    need_packages "${HOST_KERNEL_PACKAGES[@]}"
    uml_run "$flavour" "${memory:-$([[ $flavour == plain ]] && echo 1024 || echo 2048)}" \
        "$timeout" "$share" "$allow" "$@"
}


# uml_suite [FLAVOUR [ARGUMENT...]]: runs the guest tests beside the module, on the plain kernel if
# not told otherwise, with the test program's own arguments. Leaves its report in
# build/uml/suite/FLAVOUR.xml. Returns the tests' exit status, or that of uml_run.
uml_suite() {
    local flavour=${1:-plain} work=$BUILD/uml/suite lock status=0
    shift "$(($# ? 1 : 0))"
    need_packages "${HOST_KERNEL_PACKAGES[@]}" "${HOST_SUITE_PACKAGES[@]}"
    mkdir -p "$work"
    exec {lock}>"$work/lock"
    flock "$lock"
    quietly uml-suite uml_build_suite "$work"
    exec {lock}>&-
    if (($#)); then
        uml_tests "$flavour" "$flavour" "$@"
        return
    fi
    # A kernel can take the controller of memory from one hierarchy of groups to the other once.
    uml_tests "$flavour" "$flavour" '--gtest_filter=-*Legacy*' || status=$?
    uml_tests "$flavour" "$flavour.legacy" '--gtest_filter=*Legacy*' || status=$?
    return "$status"
}

# uml_tests FLAVOUR REPORT ARGUMENT...: one machine's run of the guest tests.
uml_tests() {
    local flavour=$1 report=$2 work=$BUILD/uml/suite job memory=1024
    shift 2
    [[ $flavour == plain ]] || memory=3072
    # The helper goes where mount(8) looks for it; the root is an overlay.
    job="install -m 0755 /share/tree/tools/mount.fusewb /sbin/mount.fusewb &&
export PASSTHROUGH_LL=/share/tree/tests/vm/passthrough_ll &&
export ON_DIRECTORY=$TOP/tools/mount/on-directory &&
/share/tree/tests/vm/fusewb-guest-tests --gtest_color=no \\
    --gtest_output=xml:/share/$report.xml$(printf ' %q' "$@")
status=\$?
modprobe -r fusewb || exit
exit \$status"
    rm -f "$work/$report.xml"
    uml_run "$flavour" "$memory" "${UML_SUITE_TIMEOUT:-1200}" "$work" '' "$job"
}

# uml_build_suite DIRECTORY: the guest tests, the mount helper and the example server.
uml_build_suite() {
    cmake -S "$TOP" -B "$1/tree" -DFUSEWB_DAEMON=OFF -DFUSEWB_UNIT_TESTS=OFF \
        -DFUSEWB_GUEST_TESTS=ON
    nice -n 5 cmake --build "$1/tree" -j"$(nproc)" \
        --target fusewb-guest-tests passthrough_ll mount.fusewb
}
