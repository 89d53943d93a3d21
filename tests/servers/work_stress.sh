# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The file system stressors of stress-ng, one after another, each with its own checks.

stressors=(access acl aio aiol chattr chdir chmod chown close copy-file dentry dir dirdeep dirmany
    dnotify dup fallocate fanotify fcntl fiemap file-ioctl filename filerace flock fpunch fsize fstat
    getdent handle hdd inode-flags inotify io io-uring iomix ioprio lease link locka lockf lockofd
    metamix mknod mmap mmapmany open readahead rename revio seek sendfile splice symlink
    sync-file touch unlink utime verity xattr)

# stress NAME DIRECTORY: what it says goes to the end of $base/stress.
stress() {
    stress-ng --temp-path "$2" "--$1" 2 --timeout 3 --verify --oomable >"$base/stress" 2>&1
}

# Why stress-ng did not run it, in its own words.
reason() {
    grep -m 1 -E 'skip|unrecognized option|not implemented|cannot|failed' "$base/stress" ||
        tail -n 1 "$base/stress"
}

# ends_alike NAME STATUS: it ends so too on the same server with the kernel's own client.
ends_alike() {
    local plain=$base/plain status=0
    mkdir -p "$plain" "$plain.back"
    passthrough_ll -o "source=$plain.back,writeback,xattr,allow_other,default_permissions" "$plain"
    stress "$1" "$plain" || status=$?
    umount "$plain"
    ((status == $2))
}

serve() {
    local name status passed=0 skipped=() servers=()
    # passthrough_ll checks no permissions itself.
    mount_passthrough -o allow_other,default_permissions,xattr
    for name in "${stressors[@]}"; do
        status=0
        stress "$name" "$mnt" || status=$?
        if ((status == 0)); then
            passed=$((passed + 1))
        elif ((status == 4)) || grep -q 'unrecognized option' "$base/stress"; then
            # It says that it cannot run here, or this stress-ng does not have it.
            echo "[  SKIPPED ] stress-ng --$name: $(reason)"
            skipped+=("$name")
        elif ((status == 3)); then
            # What it lacks may be what the client does not have.
            echo "[  SKIPPED ] stress-ng --$name: $(reason)"
            ends_alike "$name" 3 || return
            skipped+=("$name")
        else
            cat "$base/stress"
            echo "stress-ng --$name: status $status"
            ends_alike "$name" 2 || return
            servers+=("$name")
        fi
    done
    # It serves as before, and nothing of theirs is left.
    copy_and_verify "$mnt"
    ((passed >= 50))
    done_on "stress-ng" "$(version_of stress-ng)" "$passed stressors pass; not there or not for \
this file system: ${skipped[*]:-none}; not on this server, whoever its client is: ${servers[*]:-none}"
}
