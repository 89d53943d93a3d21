# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The mount is exported by the kernel's NFS server and mounted from there. What a file handle names is
# looked up at the server anew after the caches were dropped, which libfuse understands of those servers
# that remember their nodes: "noforget".
serve() {
    local sum back queued=/sys/kernel/tracing/events/fusewb/fusewb_queue
    nfs=$base/nfs
    mkdir "$base/back" "$nfs"
    example passthrough_fh
    mount_as "passthrough_fh#" -o noforget
    trap 'umount "$nfs"; exportfs -u "127.0.0.1:$mnt"; systemctl stop nfs-server.service; end' EXIT
    systemctl start nfs-server.service
    exportfs -o rw,no_root_squash,no_subtree_check,fsid=77 "127.0.0.1:$mnt"
    mount -t nfs -o vers=4.2 "127.0.0.1:$mnt" "$nfs"
    back=$nfs$base/back
    copy_and_verify "$back"
    same_tree "$tree" "$base/back/tree"
    sum=$(sha256sum <"$base/back/big")
    # A file that the client has open, by a name that is gone.
    exec 7<"$back/big"
    mv "$back/big" "$back/moved"
    drop_caches
    [[ $(sha256sum <&7) == "$sum" ]]
    exec 7<&-
    # What the client has of a directory that it has open is the handle.
    mkdir "$back/alone"
    exec 7<"$back/alone"
    drop_caches
    echo 'opcode == 1' >"$queued/filter"
    echo 1 >"$queued/enable"
    stat -f /proc/self/fd/7 >/dev/null
    echo 0 >"$queued/enable"
    exec 7<&-
    grep -q 'fusewb_queue: .* opcode=1 ' /sys/kernel/tracing/trace
    rm -r "${back:?}"/*
    [[ -z $(ls -A "$base/back") ]]
    done_on "NFS 4.2" "$(version_of nfs-kernel-server)" \
        "a tree by way of knfsd, caches dropped, an open file renamed, a handle looked up" through
}
