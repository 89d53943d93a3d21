# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A cluster of a master and two chunk servers, each chunk on both. One of them is killed while
# files are written; the data survive.

cluster() {
    local n
    mkdir -p "$base"/{master,chunks1,chunks2,disk1,disk2}
    ip link set lo up
    cp /var/lib/mfs/metadata.mfs.empty "$base/master/metadata.mfs"
    echo '127.0.0.0/8 / rw,alldirs,maproot=0' >"$base/master/exports"
    cat >"$base/master/cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $base/master
EXPORTS_FILENAME = $base/master/exports
TOPOLOGY_FILENAME = /dev/null
# New chunk servers get chunks at once.
REPLICATIONS_DELAY_INIT = 0
END
    mfsmaster -f -c "$base/master/cfg" start &
    for n in 1 2; do
        cat >"$base/chunks$n/cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
DATA_PATH = $base/chunks$n
HDD_CONF_FILENAME = $base/chunks$n/hdd
HDD_LEAVE_SPACE_DEFAULT = 16MiB
MASTER_HOST = 127.0.0.1
CSSERV_LISTEN_PORT = 942$n
LABELS = $n
END
        echo "$base/disk$n" >"$base/chunks$n/hdd"
        mfschunkserver -f -c "$base/chunks$n/cfg" start &
        eval "chunkserver$n=\$!"
    done
}

serve() {
    local n sum
    cluster
    sleep 5
    mount_as "mfsmount#" -o "mfsmaster=127.0.0.1,mfscachemode=AUTO"
    mfssetgoal 2 "$mnt"
    copy_and_verify "$mnt"
    sleep 5
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
    ! kill -0 "$chunkserver1" 2>/dev/null
    drop_caches
    for n in 1 2 3; do
        [[ $(sha256sum <"$mnt/load$n") == "$sum" ]]
    done
    same_tree "$tree" "$mnt/tree"
    verified "MooseFS, one of two chunk servers killed" "$(version_of moosefs-client)"
}
