# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# Files with a checksum in every block, written and then read back from the server.

# verify NAME OPTION...: of fio.
verify() {
    local job=(fio --name="$1" --directory="$mnt" --size=24m --verify=crc32c --verify_fatal=1
        --randseed=7 "${@:2}")
    "${job[@]}" --do_verify=0 --end_fsync=1
    drop_caches
    "${job[@]}" --verify_only
    rm "$mnt/$1".*
}

serve() {
    mount_passthrough
    verify sequential --rw=write --bs=128k
    verify random --rw=randwrite --bs=4k
    verify odd --rw=randwrite --bs=7k --size=21m
    verify mapped --rw=randwrite --bs=4k --ioengine=mmap
    verify direct --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=8
    verify four --rw=randwrite --bs=16k --numjobs=4 --size=8m --ioengine=io_uring --iodepth=4
    done_on "fio --verify" "$(version_of fio)" \
        "sequential, random, odd, mapped, direct and io_uring writes"
}
