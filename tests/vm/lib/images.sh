# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# From packages to something that boots. A guest root is a Debian with the kernels and all that
# the tests need; an image is a file system made from it, with or without the packages of this
# tree, and a kernel and initramfs for each kernel in it.

HOST_VM_PACKAGES=(mmdebstrap debian-archive-keyring ca-certificates gpg e2fsprogs cpio xz-utils
    kmod qemu-system-x86)

GUEST_PACKAGES=(systemd systemd-sysv udev dbus polkitd kmod procps util-linux mount login passwd
    e2fsprogs busybox-static xz-utils file less psmisc attr acl libcap2-bin
    gcc g++ make cmake pkg-config dkms sparse git
    fuse3 libfuse3-dev fio strace
    libgtest-dev libsystemd-dev libsdbus-c++-dev libnl-genl-3-dev libinih-dev)

# What of a kernel and of the documentation no test will ever ask for.
GUEST_EXCLUDES=('/usr/share/man/*' '/usr/share/locale/*' '/usr/share/info/*'
    '*/lib/modules/*/kernel/sound/*' '*/lib/modules/*/kernel/drivers/gpu/*'
    '*/lib/modules/*/kernel/drivers/media/*' '*/lib/modules/*/kernel/drivers/net/*'
    '*/lib/modules/*/kernel/drivers/infiniband/*' '*/lib/modules/*/kernel/drivers/staging/*'
    '*/lib/modules/*/kernel/drivers/iio/*' '*/lib/modules/*/kernel/drivers/usb/*'
    '*/lib/modules/*/kernel/drivers/scsi/*' '*/lib/modules/*/kernel/drivers/hwmon/*'
    '*/lib/modules/*/kernel/drivers/platform/*' '*/lib/modules/*/kernel/drivers/input/*')

# Services that a machine of one minute does not need.
GUEST_MASKED=(serial-getty@ttyS0.service getty@tty1.service getty.target console-getty.service
    systemd-timesyncd.service systemd-networkd.service systemd-resolved.service
    systemd-hwdb-update.service systemd-journal-flush.service systemd-journal-catalog-update.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-update-done.service
    systemd-machine-id-commit.service systemd-firstboot.service systemd-random-seed.service
    systemd-pstore.service systemd-boot-system-token.service systemd-rfkill.service
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-tpm2-setup.service
    systemd-tpm2-setup-early.service systemd-pcrmachine.service systemd-sysext.service
    systemd-network-generator.service systemd-remount-fs.service systemd-logind.service
    systemd-ask-password-console.path systemd-ask-password-wall.path ldconfig.service
    modprobe@drm.service modprobe@efi_pstore.service e2scrub_reap.service e2scrub_all.timer
    fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer
    systemd-tmpfiles-clean.timer systemd-battery-check.service cryptsetup.target
    veritysetup.target sys-kernel-debug.mount.d)

# What the initramfs loads to find the root file system.
INITRAMFS_MODULES=(virtio_pci virtio_blk ext4)

# kernel_suite KERNEL: the Debian release that the kernel is tested on.
kernel_suite() {
    case $1 in
    6.1) echo bookworm ;;
    6.12 | 7.2) echo trixie ;;
    *) die "no kernel $1 here: 6.1, 6.12 and 7.2 are" ;;
    esac
}

# suite_kernels SUITE: the kernels of a guest root of that suite.
suite_kernels() {
    case $1 in
    bookworm) echo 6.1 ;;
    trixie) echo 6.12 7.2 ;;
    esac
}

# kernel_release TREE KERNEL: the full release of that kernel in a guest root.
kernel_release() {
    find "$1/lib/modules/" -mindepth 1 -maxdepth 1 -name "$2.*" -printf '%f\n' | sort -V | tail -n 1
}

# guest_packages SUITE: every package of the guest root, the kernels included.
guest_packages() {
    local newest
    printf '%s\n' "${GUEST_PACKAGES[@]}" linux-image-amd64 linux-headers-amd64
    [[ $1 == trixie ]] || return 0
    # The backports kernel is named by its version, beside the release's own.
    newest=$(suite_apt "$1" apt-cache pkgnames linux-image-7.2. |
        grep -E '^linux-image-7\.2\.[0-9]+\+deb13-amd64$' | sort -V | tail -n 1)
    [[ -n $newest ]] || die "the mirror does not offer a 7.2 kernel in $1-backports"
    printf '%s\n' "$newest" "${newest/-image-/-headers-}" "linux-base/$1-backports"
}

# guest_root SUITE: sets REPLY to the guest root, made if the cache does not have it.
guest_root() {
    local suite=$1 packages=() key
    need_packages "${HOST_VM_PACKAGES[@]}"
    suite_refresh "$suite"
    mapfile -t packages < <(guest_packages "$suite")
    key=$(suite_resolve "$suite" "${packages[@]}")
    key=$(recipe "$key" make_guest_root make_tree GUEST_EXCLUDES GUEST_MASKED)
    cache_entry "root.$suite" "$key" make_guest_root "$suite" "$(
        IFS=,
        echo "${packages[*]}"
    )"
}

make_guest_root() {
    local suite=$1 include=$2 tree=$3 name
    # shellcheck disable=SC2034 # read by make_tree through its name
    local guest_options=("${GUEST_EXCLUDES[@]/#/--dpkgopt=path-exclude=}"
        --dpkgopt=path-include=/usr/share/locale/locale.alias)
    make_tree "$suite" minbase "$include" guest_options "$tree"
    for name in "${GUEST_MASKED[@]}"; do
        ln -sf /dev/null "$tree/etc/systemd/system/$name"
    done
    echo fusewb >"$tree/etc/hostname"
    echo '127.0.0.1 localhost fusewb' >"$tree/etc/hosts"
    : >"$tree/etc/fstab"
    echo 4c6f6f6b206d6520757020696e204143 >"$tree/etc/machine-id"
    mkdir -p "$tree/etc/systemd/journald.conf.d" "$tree/share"
    printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\nRateLimitBurst=0\nAudit=no\n' \
        >"$tree/etc/systemd/journald.conf.d/vm.conf"
}

# make_image DIRECTORY: turns the guest root $TREE into DIRECTORY/root.img and, for each kernel,
# DIRECTORY/KERNEL/{vmlinuz,initrd}. Runs under in-root --outside.
make_image() {
    # shellcheck disable=SC2153 # in-root says where the tree is
    local tree=$TREE directory=$1 kernel release size
    install -D -m 755 "$TOP/tests/vm/guest/agent" "$tree/usr/lib/fusewb-vm/agent"
    install -D -m 644 "$TOP/tests/vm/guest/fusewb-vm.service" \
        "$tree/etc/systemd/system/fusewb-vm.service"
    mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
    ln -sf ../fusewb-vm.service "$tree/etc/systemd/system/multi-user.target.wants/"
    for kernel in "$tree"/lib/modules/*; do
        release=${kernel##*/}
        kernel=$(cut -d. -f1,2 <<<"$release")
        mkdir -p "$directory/$kernel"
        cp "$tree/boot/vmlinuz-$release" "$directory/$kernel/vmlinuz"
        make_initramfs "$tree" "$release" "$directory/$kernel"
    done
    size=$(du -sm --apparent-size "$tree" | cut -f1)
    truncate -s $((size + size / 4 + 2560))M "$directory/root.img"
    mke2fs -q -t ext4 -L fusewb-vm -m 0 -E nodiscard,root_owner=0:0 -d "$tree" "$directory/root.img"
}

# make_initramfs TREE RELEASE DIRECTORY: DIRECTORY/initrd, with busybox and the few modules
# without which there is no root file system.
make_initramfs() {
    local tree=$1 release=$2 directory=$3 ram=$3/ram module
    mkdir -p "$ram"/{bin,lib,proc,root}
    cp "$tree/bin/busybox" "$ram/bin/busybox"
    install -m 755 "$TOP/tests/vm/guest/init" "$ram/init"
    while read -r module; do
        case $module in
        *.xz) xz -dc "$module" >"$ram/lib/$(basename "$module" .xz)" ;;
        *) cp "$module" "$ram/lib/" ;;
        esac
        basename "$module" .xz >>"$ram/lib/order"
    done < <(modprobe -d "$tree" -S "$release" --show-depends -a "${INITRAMFS_MODULES[@]}" |
        awk '$1 == "insmod" && !seen[$2]++ {print $2}')
    (cd "$ram" && find . | cpio --quiet -o -H newc) >"$directory/initrd"
    rm -rf "$ram"
}

# bare_image SUITE: sets REPLY to an image without the packages of this tree.
bare_image() {
    local suite=$1 root key
    guest_root "$suite"
    root=$REPLY
    key=$(recipe "${root##*/} $(hash_of "$TOP/tests/vm/guest")" make_image make_initramfs \
        INITRAMFS_MODULES)
    cache_entry "bare.$suite" "$key" make_bare_image "$root"
}

make_bare_image() {
    local root=$1 directory=$2
    "$TOP/tests/vm/lib/in-root" --over "$root" --outside "$directory/work" \
        "$TOP/run" --inside make_image "$directory"
    rm -rf "$directory/work"
}
