# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here, other parts read
#
# The kernel with KCSAN, which reports data races: it lets one processor wait in the middle of an
# access and sees what the others do to the data meanwhile. User-mode Linux has one processor, so
# that this one is for the emulated machine. tests/vm/races/ has the configuration and the module
# that proves that a race is reported.

RACES=$TOP/tests/vm/races

# races_kernel: sets REPLY to a directory with the kernel, `arch/x86/boot/bzImage`, and all that
# building a module for it takes.
races_kernel() {
    kernel_entry races "$RACES/races.config" "$KERNELS/base.config" -- races_make_kernel
}

# races_make_kernel SOURCE DIRECTORY: the core of the kernel is not instrumented, as its own races
# are not what is looked for.
races_make_kernel() {
    kernel_make "$1" "$2" "$RACES/races.config" "$KERNELS/base.config" -- KCSAN_SANITIZE=n \
        bzImage modules
}

# races_boot MODULE COMMAND: runs it on that kernel, in the guest of Debian 13, with the module loaded.
# Returns as vm_boot does.
races_boot() {
    local module=$1 kernel image
    races_kernel
    kernel=$REPLY
    packaged_image trixie
    image=$SCRATCH/races
    rm -rf "$image"
    mkdir -p "$image"/{races,ram/lib}
    ln -s "$REPLY/root.img" "$image/root.img"
    ln -s "$kernel/arch/x86/boot/bzImage" "$image/races/vmlinuz"
    # Another kernel's initramfs, but for the modules, all of which are built in.
    : >"$image/ram/lib/order"
    {
        cat "$REPLY/6.12/initrd"
        (cd "$image/ram" && find . | cpio --quiet -o -H newc)
    } >"$image/races/initrd"
    VM_OVERLAY=$SCRATCH/overlay
    rm -rf "$VM_OVERLAY"
    install -D -m 644 "$module" \
        "$VM_OVERLAY/usr/lib/modules/$(<"$kernel/include/config/kernel.release")/updates/dkms/${module##*/}"
    # One access in so many is watched for a race, for as long as an emulated processor needs to
    # get somewhere.
    VM_APPEND="numa=fake=2 kcsan.skip_watch=200 kcsan.udelay_task=300 kcsan.udelay_interrupt=100"
    vm_boot "$image" races "$2"
}

# races_reported: fails unless the known race is reported. Silence of a kernel that did not pass this
# would mean nothing.
races_reported() {
    local work status=0
    races_kernel
    scratch
    work=$(mktemp -d "$SCRATCH/racing.XXXXXX")
    cp "$RACES"/checker/* "$work"
    make -s -C "$REPLY" M="$work" modules
    vm_defaults
    # shellcheck disable=SC2016 # for the shell in there
    races_boot "$work/racing.ko" \
        'insmod /lib/modules/$(uname -r)/updates/dkms/racing.ko' >"$work/report" 2>&1 || status=$?
    cat "$work/report"
    [[ $status == 97 ]] && grep -q 'BUG: KCSAN: data-race in racing_thread' "$work/report"
}

# races_suite [ARGUMENT...]: the guest tests of the engine on that kernel, with the test program's own
# arguments.
races_suite() {
    local module tests
    races_kernel
    kernel_module races "$REPLY"
    module=$REPLY/fusewb.ko
    build_guest_tests trixie
    tests=$REPLY
    vm_defaults
    VM_SHARE=$tests VM_TIMEOUT=4800 VM_LOG=$BUILD/log/kernel.races.log
    mkdir -p "$BUILD/log"
    races_boot "$module" "cp /share/{fusewb-guest-tests,passthrough_ll} /tmp/ && cd /tmp && export PATH=/tmp:\$PATH
        systemctl mask --runtime --now fusewbd.service
        ./fusewb-guest-tests --gtest_color=no $(printf ' %q' "${@:---gtest_filter=-$GUEST_WITH_DAEMON}")
        status=\$?
        # How many accesses were watched, and what was seen.
        cat /sys/kernel/debug/kcsan
        exit \$status"
}
