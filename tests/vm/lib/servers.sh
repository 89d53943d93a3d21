# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2153 # what other parts set and read
#
# The servers that people run, from Debian's packages, unmodified, in a guest; and the work that
# people do, on a mount there.

SERVER_PACKAGES=(fuse-overlayfs sshfs openssh-server openssh-client gocryptfs python3-pyfuse3
    squashfuse squashfs-tools moosefs-master moosefs-chunkserver moosefs-client iproute2
    stress-ng postgresql sqlite3 nfs-kernel-server
    libcli11-dev libinih-dev libkmod-dev libmount-dev libnl-3-dev libnl-genl-3-dev libsdbus-c++-bin
    libsdbus-c++-dev libsystemd-dev nlohmann-json3-dev)

# servers_image SUITE: sets REPLY to an image with the packages of this tree and the servers'.
servers_image() {
    local suite=$1 root key
    build_debs "$suite"
    key=$REPLY
    guest_root "$suite"
    root=$REPLY
    key+=" $(suite_resolve "$suite" "${SERVER_PACKAGES[@]}")"
    key=$(recipe "${root##*/} $key $(hash_of "$TOP/tests/vm/guest")" make_servers_image \
        install_servers install_debs make_image make_initramfs INITRAMFS_MODULES)
    cache_entry "servers.$suite" "$key" make_servers_image "$root" "$BUILD/debs/$suite"
}

# make_servers_image ROOT DEBS DIRECTORY
make_servers_image() {
    local root=$1 debs=$2 directory=$3
    "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$debs" /mnt "$directory/work" \
        bash -euc "$(declare -f install_servers install_debs)
            install_servers ${SERVER_PACKAGES[*]}
            install_debs"
    "$TOP/tests/vm/lib/in-root" --over "$root" --outside "$directory/work" \
        "$TOP/run" --inside make_image "$directory"
    rm -rf "$directory/work"
}

# install_servers PACKAGE...: runs in the guest root; none of what they bring is started there.
install_servers() {
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    apt-get -q update
    apt-get -qy install --no-install-recommends "$@"
    # The tests start what they need.
    systemctl disable ssh.service moosefs-master.service moosefs-chunkserver.service \
        postgresql.service nfs-server.service || true
}

# server_tests KERNEL [NAME...]: each server's script, in that kernel.
server_tests() {
    local kernel=$1
    shift
    servers_image "$(kernel_suite "$kernel")"
    vm_defaults
    VM_SHARE=$TOP VM_TIMEOUT=7200 VM_MEMORY=3072
    vm_boot "$REPLY" "$kernel" /share/tests/servers/run "$@"
}

# verb_servers: see ./run help.
verb_servers() {
    local kernel=6.1 names=()
    while (($#)); do
        case $1 in
        --kernel)
            (($# > 1)) || die "$1 needs an argument"
            kernel=$2
            shift
            ;;
        -*) die "servers does not know '$1' (./run help)" ;;
        *)
            [[ -e $TOP/tests/servers/$1.sh ]] || die "no server $1 in tests/servers"
            names+=("$1")
            ;;
        esac
        shift
    done
    server_tests "$kernel" "${names[@]}"
}
