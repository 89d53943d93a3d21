# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A cluster of a master and two chunk servers, each chunk on both. One of them is killed while
# files are written; the data survive.

address=192.0.2.1

cluster() {
    local n
    mkdir -p "$base"/{master,chunks1,chunks2,disk1,disk2}
    ip link set lo up
    # Chunk servers refuse a master on localhost.
    ip address add "$address/32" dev lo
    cp /var/lib/mfs/metadata.mfs.empty "$base/master/metadata.mfs"
    echo "$address / rw,alldirs,maproot=0" >"$base/master/exports"
    cat >"$base/master/cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $base/master
EXPORTS_FILENAME = $base/master/exports
TOPOLOGY_FILENAME = /dev/null
# New chunk servers get chunks at once.
REPLICATIONS_DELAY_INIT = 0
END
    mfsmaster -f -c "$base/master/cfg" start >"$base/master/log" 2>&1 &
    for n in 1 2; do
        cat >"$base/chunks$n/cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $base/chunks$n
HDD_CONF_FILENAME = $base/chunks$n/hdd
HDD_LEAVE_SPACE_DEFAULT = 16MiB
MASTER_HOST = $address
CSSERV_LISTEN_PORT = 943$n
LABELS = $([[ $n == 1 ]] && echo A || echo B)
END
        echo "$base/disk$n" >"$base/chunks$n/hdd"
        mfschunkserver -f -c "$base/chunks$n/cfg" start >"$base/chunks$n/log" 2>&1 &
        eval "chunkserver$n=\$!"
    done
}

# space FILE: bytes of the file system that it is on.
space() {
    stat -f -c '%b %S' "$1" | awk '{ printf "%.0f", $1 * $2 }'
}

# eventually COMMAND...: until it succeeds, which an emulated machine takes its time for.
eventually() {
    local end=$((SECONDS + 120))
    until "$@"; do
        ((SECONDS < end)) || {
            echo "still not so: $*"
            tail -n 8 "$base"/{master,chunks1,chunks2}/log
            return 1
        }
        sleep 0.5
    done
}

# The master may not listen yet. mfsmount looks at its mount point itself.
mounted() {
    mount_as "/usr/lib/fusewb/on-directory#mfsmount" -o \
        "mfsmaster=$address,mfscachemode=AUTO,subtype=mfsmount"
}

# Both chunk servers count their disk, which is the same one.
both_registered() {
    (($(space "$mnt") * 2 > $(space "$base/disk1") * 3))
}

# Every chunk of every file is on both chunk servers.
all_twice() {
    local copies
    copies=$(find "$mnt" -type f -size +0 -print0 | xargs -0 mfscheckfile) || return
    # MooseFS 3: "chunks with 2 copies"; 4: "2 full copies".
    grep -Eq '(with|^) *2 (full )?copies' <<<"$copies" &&
        ! grep -Eq '(with|^) *[013-9] (full )?cop' <<<"$copies"
}

serve() {
    local n sum
    cluster
    eventually mounted
    eventually both_registered
    # MooseFS 4 has classes with names in the place of goals.
    mfssetsclass 2CP "$mnt" || mfssetgoal 2 "$mnt"
    copy_and_verify "$mnt"
    eventually all_twice
    # Under load: one is killed in the middle of what is written.
    dd if=/dev/urandom of="$base/load" bs=1M count=48 status=none
    sum=$(sha256sum <"$base/load")
    (
        until [[ -s $mnt/load2 ]]; do sleep 0.1; done
        kill -9 "$chunkserver1"
    ) &
    for n in 1 2 3; do
        cp "$base/load" "$mnt/load$n"
    done
    ! kill -0 "$chunkserver1" || return
    drop_caches
    for n in 1 2 3; do
        [[ $(sha256sum <"$mnt/load$n") == "$sum" ]]
    done
    same_tree "$tree" "$mnt/tree"
    verified "MooseFS, one of two chunk servers killed" "$(version_of moosefs-client)" through
}
