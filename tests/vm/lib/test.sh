# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2153 # what other parts set and read
#
# ./run test: every check there is, each counted, none stopping the ones after it.

PASSED=0
FAILED=0
declare -A RUNNING STARTED

# check NAME COMMAND...: one test; its output is in build/log, the end of it shown if it fails. It
# runs as a job: in a condition the shell would go on behind the command's first error.
check() {
    local name=$1 started=$SECONDS status=0
    shift
    say "$name"
    quietly "${name//[^a-zA-Z0-9.]/-}" "$@" &
    wait "$!" || status=$?
    if ((status == 0)); then
        PASSED=$((PASSED + 1))
        say "  passed: $name ($((SECONDS - started)) s)"
    else
        FAILED=$((FAILED + 1))
        say "  FAILED: $name ($((SECONDS - started)) s)"
    fi
}

# begin NAME COMMAND...: starts a suite beside what comes next; finish counts it.
begin() {
    local name=$1
    shift
    say "$name"
    STARTED[$name]=$SECONDS
    quietly "${name//[^a-zA-Z0-9.]/-}" "$@" &
    RUNNING[$name]=$!
}

# finish NAME: adds up the tests that the suite's own output tells of; a suite that fails, or dies,
# without a failed test to show for it counts as a failure.
finish() {
    local name=$1 status=0 passed failed log=$BUILD/log/${1//[^a-zA-Z0-9.]/-}.log
    wait "${RUNNING[$name]}" || status=$?
    # GoogleTest, then CTest.
    passed=$(grep -acE '\[       OK \] |^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log" || true)
    failed=$(grep -acE '\[  FAILED  \] .*\([0-9]+ ms\)|^ *[0-9]+/[0-9]+ Test +#.*\*\*\*' "$log" || true)
    if ((failed == 0 && (status != 0 || passed == 0))); then
        failed=1
    fi
    # What did not run proves nothing, and must not look as if it had. The reason is in the line
    # behind "Skipped", or in the same.
    awk '/: Skipped\r?$/ { getline why }
        /\[  SKIPPED \] .*\([0-9]+ ms\)/ { print $0 (why ? ": " why : ""); why = "" }' "$log" |
        tr -d '\r' >&2
    if ((failed)); then
        grep -aE '\[  FAILED  \] .*\([0-9]+ ms\)|\*\*\*' "$log" >&2 || true
    fi
    PASSED=$((PASSED + passed))
    FAILED=$((FAILED + failed))
    say "  $name: $passed passed, $failed failed ($((SECONDS - STARTED[$name])) s)"
}

# suite NAME COMMAND...: a suite that nothing runs beside.
suite() {
    begin "$@"
    finish "$1"
}

# host_dependencies: the Build-Depends of the packages, as far as the host needs them.
host_dependencies() {
    sed -n '/^Build-Depends:/,/^[^ ]/{s/^Build-Depends://;/^[A-Z]/d;p}' "$TOP/packaging/debian/control" |
        tr ',' '\n' | awk 'NF && $1 !~ /^(debhelper|dh-)/ {print $1}'
}

# unit_tests [DIRECTORY [OPTION...]]: in that directory of build/, with more options of CMake's.
unit_tests() {
    local build=$BUILD/${1:-host}
    shift "$(($# ? 1 : 0))"
    cmake -S "$TOP" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_COMPILE_WARNING_AS_ERROR=ON "$@"
    cmake --build "$build" -j"$(nproc)"
    ctest --test-dir "$build" --output-on-failure
}

# build_fuzzers: libFuzzer is clang's.
build_fuzzers() {
    cmake -S "$TOP" -B "$BUILD/fuzz" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
        -DCMAKE_COMPILE_WARNING_AS_ERROR=ON \
        -DFUSEWB_FUZZERS=ON -DFUSEWB_TOOLS=OFF -DFUSEWB_UNIT_TESTS=OFF
    cmake --build "$BUILD/fuzz" -j"$(nproc)" --target rule-fuzzer decode-fuzzer
}

# fuzz NAME [SEEDS]: a bounded number of inputs, made from those in the directory; what fails is kept
# in build/log. A slow machine stops earlier.
fuzz() {
    local corpus
    scratch
    corpus=$(mktemp -d "$SCRATCH/fuzz.XXXXXX")
    "$BUILD/fuzz/tests/fuzz/$1-fuzzer" -runs=200000 -max_total_time=30 -timeout=10 \
        -artifact_prefix="$BUILD/log/$1-" "$corpus" "${@:2}"
    rm -rf "$corpus"
}

check_scripts() {
    cd "$TOP" || return
    shellcheck -x run .ci/run tests/vm/lib/*.sh tests/vm/lib/in-root tests/bench/measure tests/bench/deadlines tests/bench/large tests/servers/run \
        tests/servers/*.sh tools/mount/on-directory tests/vm/guest/agent \
        tests/vm/guest/init tests/vm/uml/init.sh
}

# check_module KERNEL: with W=1 and sparse, any warning being an error.
check_module() {
    local kernel=$1 root release work
    guest_root "$(kernel_suite "$kernel")"
    root=$REPLY
    release=$(kernel_release "$root" "$kernel")
    scratch
    work=$(mktemp -d "$SCRATCH/check.XXXXXX")
    copy_sources "$work" module
    "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$work/module" /mnt "$work/root" \
        make -C /mnt "KDIR=/lib/modules/$release/build" check
    rm -rf "$work"
}

# check_style: the kernel's own style checker, from the source that kernels are built from here. It does
# not know the macros that a header of trace events is made of.
check_style() {
    local source
    kernel_source
    source=$REPLY
    cd "$TOP/module" || return
    find . -name '*.[ch]' ! -name '*.mod.c' ! -name trace.h -print0 |
        xargs -0 perl "$source/scripts/checkpatch.pl" --no-summary --terse -f
}

# check_dkms SUITE: DKMS of that release refuses kernels outside the range, and says in one sentence
# which it is.
check_dkms() {
    local root work
    guest_root "$1"
    root=$REPLY
    scratch
    work=$(mktemp -d "$SCRATCH/dkms.XXXXXX")
    copy_sources "$work" dkms.conf module
    # shellcheck disable=SC2016 # for the shell in there
    "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$work" /mnt "$work/root" bash -euc '
        source=/usr/src/fusewb-$(sed -n "s/^PACKAGE_VERSION=\"\(.*\)\"/\1/p" /mnt/dkms.conf)
        mkdir "$source"
        cp -a /mnt/dkms.conf /mnt/module "$source"
        dkms add -m fusewb -v "${source##*-}"
        for kernel in 5.10.0-30-amd64 6.0.0-6-amd64 7.3.0-1-amd64 10.1.0; do
            mkdir -p "/lib/modules/$kernel/build/include"
            status=0
            said=$(dkms build -m fusewb -v "${source##*-}" -k "$kernel" 2>&1) ||
                status=$?
            echo "$kernel, status $status: $said"
            ((status))
            grep -qx "fusewb supports the kernels 6.1 to 7.2, so it is not built for $kernel\." \
                <<<"$said"
            [[ ! -e /var/lib/dkms/fusewb/${source##*-}/$kernel ]]
        done'
    rm -rf "$work"
}

# The tests of the whole, with fusewbd. The engine's come after them and without it: it would put
# its policy in the place of what a test sets.
GUEST_WITH_DAEMON='ControlPlane.*:UserMount.*:MountHelperTest.*:MissingModuleTest.*'
# What a kernel has only if it is told so when it starts.
GUEST_BOOTED_FOR='*Legacy*:*UnderSelinux*'

# prepare_guest SUITE: what is run and where, for the kernels of that release. Sets REPLY to the image.
prepare_guest() {
    build_guest_tests "$1"
    packaged_image "$1"
}

# guest_tests KERNEL: the live module's tests, in that kernel with the packages installed.
guest_tests() {
    local kernel=$1 suite image status=0
    suite=$(kernel_suite "$kernel")
    # What runs beside it works all the time, and would take its turns.
    renice -n -10 -p "$BASHPID" || true
    prepare_guest "$suite"
    image=$REPLY
    mkdir -p "$BUILD/log"
    vm_defaults
    VM_SHARE=$BUILD/guest/$suite
    VM_TIMEOUT=2400
    VM_LOG=$BUILD/log/kernel.$kernel.log
    # Two nodes, so that there is somewhere to move pages to.
    VM_APPEND=numa=fake=2
    guest_run "$image" "$kernel" "
        ./fusewb-guest-tests --gtest_color=no --gtest_filter='$GUEST_WITH_DAEMON'
        status=\$?
        systemctl mask --runtime --now fusewbd.service
        ./fusewb-guest-tests --gtest_color=no --gtest_filter='-$GUEST_BOOTED_FOR:$GUEST_WITH_DAEMON' &&
            exit \$status" || status=$?
    # A kernel has memory groups of one version at a time, which systemd chooses at its start, and
    # one module for security that labels files.
    VM_APPEND+=" systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
    VM_APPEND+=" security=selinux"
    VM_LOG=$BUILD/log/kernel.$kernel.otherwise.log
    guest_run "$image" "$kernel" "
        systemctl mask --runtime --now fusewbd.service
        ./fusewb-guest-tests --gtest_color=no --gtest_filter='$GUEST_BOOTED_FOR'" || status=$?
    return "$status"
}

# guest_run IMAGE KERNEL COMMAND: beside the test program of the share.
guest_run() {
    vm_boot "$1" "$2" "cp /share/{fusewb-guest-tests,passthrough_ll} /tmp/ && cd /tmp &&
        export PATH=/tmp:\$PATH || exit
        $3"
}

# promise_table NAME...: what the promise tests of these suites saw, one line a scenario and kernel:
# ours, then the kernel's own client.
promise_table() {
    local name log
    for name; do
        log=$BUILD/log/${name//[^a-zA-Z0-9.]/-}.log
        [[ ! -e $log ]] || sed -n "s/^\\[ PROMISE  \\] /${name##* } | /p" "$log"
    done | tr -d '\r' | awk -F ' [|] ' '
        { key = $2 SUBSEP $3 SUBSEP $1
          if (!(key in seen)) { seen[key] = ++count; order[count] = key }
          said[key, $4] = ($5 == "holds" ? "" : "BROKEN: ") $6 }
        END {
            if (count) printf "%-8s%-54s%-7s%-44s%s\n", "promise", "scenario", "kernel", "fusewb", "in-tree fuse"
            for (promise = 1; promise <= 9; promise++)
                for (i = 1; i <= count; i++) {
                    split(order[i], part, SUBSEP)
                    if (part[1] == promise)
                        printf "%-8s%-54s%-7s%-44s%s\n", part[1], part[2], part[3],
                            said[order[i], "fusewb"], said[order[i], "fuse"]
                }
        }'
}

# prepare_roots: the guest roots of both releases, side by side: they wait for the mirror in turns.
prepare_roots() {
    local first
    need_packages "${HOST_VM_PACKAGES[@]}" "${HOST_BUILD_PACKAGES[@]}"
    guest_root bookworm &
    first=$!
    (guest_root trixie)
    wait "$first"
}

# verb_test: see ./run help.
verb_test() {
    local kernel release
    case $*:$# in
    :0) ;;
    --debug:1)
        debug_test
        return
        ;;
    --races:1)
        races_test
        return
        ;;
    --sanitize:1) ;;
    *) die "test takes --debug, --races, --sanitize or nothing" ;;
    esac
    mapfile -t dependencies < <(host_dependencies)
    need_packages git perl shellcheck g++ make "${dependencies[@]}" "${HOST_VM_PACKAGES[@]}" \
        "${HOST_BUILD_PACKAGES[@]}" "${HOST_KERNEL_PACKAGES[@]}"

    if [[ $* == --sanitize ]]; then
        suite "unit tests with sanitizers" unit_tests sanitized -DCMAKE_BUILD_TYPE=Debug \
            -DFUSEWB_SANITIZERS=ON
        need_packages clang
        check "the fuzzers build without a warning" build_fuzzers
        check "rule files of any content are rules or errors" fuzz rule "$TOP/packaging/policy.d"
        check "messages of any content are decoded or refused" fuzz decode
        total
        return
    fi
    check "shell scripts are clean" check_scripts
    suite "unit tests" unit_tests
    check "guest roots of Debian 12 and 13" prepare_roots
    check "packages for bookworm" build_debs bookworm
    # A guest waits much, for servers that do not answer: so one runs beside the rest of the builds,
    # and the last two beside one another.
    begin "guest tests on 6.1" guest_tests 6.1
    for kernel in 6.1 6.12 7.2; do
        check "the module builds without a warning on $kernel" check_module "$kernel"
    done
    check "the module is in the kernel's style" check_style
    for release in bookworm trixie; do
        check "DKMS of $release refuses kernels outside the range" check_dkms "$release"
    done
    check "packages for trixie" build_debs trixie
    check "the guest of Debian 13" prepare_guest trixie
    finish "guest tests on 6.1"
    begin "guest tests on 6.12" guest_tests 6.12
    begin "guest tests on 7.2" guest_tests 7.2
    finish "guest tests on 6.12"
    finish "guest tests on 7.2"
    promise_table "guest tests on "{6.1,6.12,7.2}
    total
}

# debug_test: the guest tests on the kernel with KASAN, lockdep and their like.
debug_test() {
    need_packages "${HOST_KERNEL_PACKAGES[@]}"
    check "the debug kernel" uml_kernel debug
    suite "guest tests on the debug kernel" uml_suite debug
    promise_table "guest tests on the debug kernel"
    total
}

# races_test: the guest tests on the kernel that reports data races.
races_test() {
    need_packages "${HOST_KERNEL_PACKAGES[@]}" "${HOST_VM_PACKAGES[@]}" "${HOST_BUILD_PACKAGES[@]}"
    check "the kernel that reports races" races_kernel
    check "it reports a race" races_reported
    suite "guest tests on the kernel that reports races" races_suite
    promise_table "guest tests on the kernel that reports races"
    total
}

# total: the last line of a test, and its status.
total() {
    printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
    ((FAILED == 0))
}
