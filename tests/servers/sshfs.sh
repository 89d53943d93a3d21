# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mkdir "$base"/{back,ssh}
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$base/ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$base/ssh/user"
    cp "$base/ssh/user.pub" "$base/ssh/authorized"
    chmod 700 "$base/ssh"
    ip link set lo up
    /usr/sbin/sshd -D -f /dev/null -p 2022 -h "$base/ssh/host" -o UsePAM=no -o StrictModes=no \
        -o "AuthorizedKeysFile=$base/ssh/authorized" -o PermitRootLogin=yes \
        -o "Subsystem=sftp /usr/lib/openssh/sftp-server" &
    for _ in {1..50}; do
        ! (exec 3<>/dev/tcp/127.0.0.1/2022) 2>/dev/null || break
        sleep 0.1
    done
    mount_as "sshfs#root@127.0.0.1:$base/back" -o \
        "port=2022,IdentityFile=$base/ssh/user,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null"
    copy_and_verify "$mnt"
    same_tree "$tree" "$base/back/tree"
    verified "sshfs" "$(version_of sshfs)" through
}
