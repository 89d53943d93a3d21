#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# First process of a user-mode kernel. The host's root is mounted read-only; this puts a writable
# overlay in memory on top of it, runs one job as root and powers the machine off.
#
# The kernel hands over its unknown key=value words as environment; FUSEWB_JOB is a directory of
# the host with the job, /job here:
#   command      what bash runs; its exit status goes to `status`
#   interactive  if there, a shell on the terminal instead
#   modules      the modules in /job to install and load first, one a line
#   directory    where the command starts
#   share        a directory of the host that becomes /share, read and write; may be empty
# On a debug kernel the end of the job leaves there, too:
#   lockdep      1 if lockdep was still awake
#   leaks        what kmemleak found to be allocated and not referenced any more

set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=${TERM:-dumb} LC_ALL=C.UTF-8

# SysRq ends the machine at once: an orderly shutdown would sync, and a hung server must not be
# able to keep this machine alive.
power_off() {
    echo o >/proc/sysrq-trigger
    while :; do sleep 60; done
}

enter_overlay() {
    mount -n -t tmpfs -o size=75%,mode=0755 overlay /mnt || return
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -n -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root || return
    cd /mnt/root || return
    mount -n --move . /
    exec chroot . /bin/bash "$0" inside
}

mount_all() {
    local directory
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs -o mode=0755 dev /dev
    mkdir -p /dev/pts /dev/shm /job /share
    mount -t devpts -o mode=0620,ptmxmode=0666 devpts /dev/pts
    mount -t debugfs debugfs /sys/kernel/debug
    mount -t tracefs tracefs /sys/kernel/tracing
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t hostfs -o "$FUSEWB_JOB" job /job
    start=$(cat /job/directory)
    share=$(cat /job/share)
    [ -z "$share" ] || mount -t hostfs -o "$share" share /share
    for directory in /dev/shm /run /mnt; do
        # Where the tree itself lives there, the overlay has to do.
        case $start/ in "$directory"/*) continue ;; esac
        mount -t tmpfs tmpfs "$directory"
    done
    chmod 1777 /dev/shm
    mkdir -p /run/lock
    ln -sfn /proc/self/fd /dev/fd
    ln -sfn /proc/self/mounts /etc/mtab
}

# They are installed where DKMS would put them, so that modprobe finds them again.
load_modules() {
    local module directory
    directory=/lib/modules/$(uname -r)/updates
    mkdir -p "$directory"
    touch "${directory%/*}"/modules.{order,builtin,builtin.modinfo}
    while read -r module; do
        cp "/job/$module" "$directory" && depmod && modprobe "${module%.ko}" || return
    done </job/modules
    # The work of the udev rule, which nothing runs here.
    [ ! -e /dev/fusewb ] || chmod 0666 /dev/fusewb
}

# Lockdep turns itself off after its first report, and leaks show only when asked for: an object
# must be without references in two scans and older than five seconds.
ask_the_checkers() {
    if [ -e /proc/lockdep_stats ]; then
        awk '/debug_locks:/ { print $2 }' /proc/lockdep_stats >/job/lockdep
    fi
    if [ -w /sys/kernel/debug/kmemleak ]; then
        echo scan >/sys/kernel/debug/kmemleak
        sleep 5
        echo scan >/sys/kernel/debug/kmemleak
        cat /sys/kernel/debug/kmemleak >/job/leaks
    fi
}

if [ "${1:-}" != inside ]; then
    enter_overlay
    echo "init: no overlay over the host's root" >&2
    mount -n -t proc proc /proc
    power_off
fi

mount_all
cd "$start" || cd /
exec </dev/tty0 >/dev/tty0 2>&1
if ! load_modules; then
    echo "init: a module cannot be loaded" >&2
    echo 125 >/job/status
    power_off
fi
if [ -e /job/interactive ]; then
    setsid -cw bash --login
else
    stty -opost
    setsid -w bash /job/command </dev/null
fi
echo "$?" >/job/status
ask_the_checkers
power_off
