# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Boots an image and runs one job in it. The kernel log has the serial port to itself and is
# searched for reports; the job's output and exit status have ports of their own.

# What a kernel prints when something is wrong with it, behind the time stamp of a line.
REPORTS='BUG[: ]|WARNING: |Oops|kernel BUG at|general protection fault|divide error|Kernel panic'
REPORTS+='|------------\[ cut here|INFO: task .* blocked for more than|INFO: (possible|trying to reg)'
REPORTS+='|(rcu: )?INFO: .*(stall|self-detected)|rcu: .*stalls? on|(watchdog: )?BUG: (soft|hard)'
REPORTS+='|watchdog: .*(LOCKUP|lockup)|KASAN|KCSAN|UBSAN|kmemleak: [0-9]+ new|Internal error|Bad page state'
REPORTS+='|refcount_t: |list_(add|del) corruption|Unable to handle|unregister_netdevice: waiting'
REPORTS+='|inconsistent lock state|scheduling while atomic|double fault'
REPORTS='^(<[0-9]+>)?\[ *[0-9]+\.[0-9]+\](\[[^]]*\])? ('$REPORTS')'

# kernel_report LOG: prints the first report in a kernel log; fails if there is none.
kernel_report() {
    local line
    line=$(grep -n -m1 -aE "$REPORTS" "$1" | cut -d: -f1)
    [[ -n $line ]] || return 1
    # No pipe from something that would write on: its end by SIGPIPE counted as no report.
    sed -n "$line,$((line + 79))p" "$1" | tr -d '\r'
}

# died_starting LOG: did the kernel fail before its first program? A static branch that one CPU
# patches while the other runs it can send the emulator's translation astray (seen in
# ttwu_queue_wakelist, as sched_clock is marked stable). Nothing of ours has run by then.
died_starting() {
    ! grep -qa 'Run /init as init process' "$1" && kernel_report "$1" >/dev/null
}

# The machine; verb_vm and the tests set these, vm_defaults resets them.
vm_defaults() {
    VM_CPUS=2 VM_MEMORY=2048 VM_COUNTED='' VM_SHARE='' VM_APPEND='' VM_TIMEOUT=''
    VM_ALLOW_SPLAT='' VM_OVERLAY='' VM_LOG=''
}

# vm_boot IMAGE KERNEL [COMMAND...]: boots, runs the command (without one: a shell on the
# console) and powers off. Returns the command's exit status, 97 if the kernel log holds a
# report, 124 at the time limit, 125 if the machine went away without a word. The kernel log is
# left in $VM_LOG if that is set.
vm_boot() {
    local image=$1 kernel=$2 work job status='' boot reader qemu machine append report interactive=''
    shift 2
    scratch
    work=$(mktemp -d "$SCRATCH/vm.XXXXXX")
    job=$work/ram/job
    mkdir -p "$job"
    if (($#)); then
        # One word is a line of shell, several are a command and its arguments.
        if (($# == 1)); then printf '%s\n' "$1"; else printf '%q ' "$@"; fi >"$job/command"
    else
        interactive=yes
        stty size 2>/dev/null >"$job/terminal" || echo 24 80 >"$job/terminal"
        echo "${TERM:-vt100}" >"$job/term"
    fi
    [[ -z $VM_SHARE ]] || touch "$job/share"
    [[ -z $VM_OVERLAY ]] || cp -a "$VM_OVERLAY" "$job/overlay"
    # The kernel unpacks archives that follow one another as one.
    {
        cat "$image/$kernel/initrd"
        (cd "$work/ram" && find . | cpio --quiet -o -H newc)
    } >"$work/initrd"
    : >"$work/kernel.log"
    : >"$work/status"

    # Without the string instructions' fast forms, of which emulation makes a loop of bytes.
    machine=(-accel "tcg,thread=multi" -cpu "max,-erms,-fsrm" -smp "$VM_CPUS")
    if [[ $VM_COUNTED ]]; then
        machine=(-accel tcg -cpu "max,-erms,-fsrm" -icount "shift=0,sleep=off" -smp 1)
    fi
    append="console=ttyS0 panic=-1 systemd.show_status=0 audit=0 net.ifnames=0"
    # A busy host takes an emulated CPU away for longer than the kernel's 21 s allow a CPU to be
    # silent; a real lock-up lasts.
    append+=" rcupdate.rcu_cpu_stall_timeout=90 watchdog_thresh=45"
    [[ $VM_ALLOW_SPLAT ]] || append+=" oops=panic"
    # Counted time leaps ahead while the guest waits for its disk, which the host may be slow to serve.
    [[ ! $VM_COUNTED ]] || append+=" sysctl.kernel.hung_task_timeout_secs=0"
    # shellcheck disable=SC2054 # the emulator's commas
    machine+=(-M "pc,usb=off" -m "$VM_MEMORY" -nodefaults -no-user-config
        -display none -no-reboot -nic none
        -kernel "$image/$kernel/vmlinuz" -initrd "$work/initrd" -append "$append $VM_APPEND"
        -drive "file=$image/root.img,format=raw,if=none,id=root,snapshot=on,cache=unsafe,discard=unmap"
        -device "virtio-blk-pci,drive=root"
        -chardev "file,id=log,path=$work/kernel.log" -serial chardev:log
        -object rng-random,filename=/dev/urandom,id=rng -device virtio-rng-pci,rng=rng
        -device virtio-serial-pci)
    [[ -z $VM_SHARE ]] || machine+=(
        -virtfs "local,path=$VM_SHARE,mount_tag=share,security_model=passthrough,multidevs=remap")

    if [[ $interactive ]]; then
        TMPDIR=$work timeout --foreground "${VM_TIMEOUT:-0}" qemu-system-x86_64 "${machine[@]}" \
            -chardev stdio,id=console,signal=off -device virtconsole,chardev=console || status=$?
        ((${status:-0} == 124)) || status=0
    else
        mkfifo "$work/output"
        for boot in 1 2 3; do
            status=''
            : >"$work/kernel.log"
            cat "$work/output" &
            reader=$!
            TMPDIR=$work timeout -k 5 "${VM_TIMEOUT:-900}" qemu-system-x86_64 "${machine[@]}" \
                -chardev "file,id=output,path=$work/output" \
                -device virtserialport,chardev=output,name=fusewb.output \
                -chardev "file,id=status,path=$work/status" \
                -device virtserialport,chardev=status,name=fusewb.status \
                </dev/null >"$work/qemu.log" 2>&1 &
            qemu=$!
            wait "$qemu" || status=$?
            # Releases the reader in case the emulator never opened its end.
            : 1<>"$work/output"
            wait "$reader" 2>/dev/null || true
            if ((boot == 3)) || ! died_starting "$work/kernel.log"; then
                break
            fi
            say "kernel $kernel failed before its first program ran; booting it again:"
            kernel_report "$work/kernel.log" | head -n 12 >&2
        done
        if ((${status:-0} == 124 || ${status:-0} == 137)); then
            status=124
        elif [[ -s $work/status ]]; then
            status=$(<"$work/status")
        else
            status=125
        fi
    fi

    [[ -z $VM_LOG ]] || cp "$work/kernel.log" "$VM_LOG"
    if [[ ! $VM_ALLOW_SPLAT ]] && report=$(kernel_report "$work/kernel.log"); then
        printf 'run: the kernel reported:\n%s\n' "$report" >&2
        status=97
    elif [[ $status == 124 ]]; then
        say "the machine was stopped at its time limit of ${VM_TIMEOUT:-900} s"
    elif [[ $status == 125 ]]; then
        say "the machine went away without an exit status; the end of its kernel log:"
        tail -n 30 "$work/kernel.log" "$work/qemu.log" >&2
    fi
    rm -rf "$work"
    return "$status"
}
