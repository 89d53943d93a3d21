# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The file system stressors of stress-ng, one after another, each with its own checks.

stressors=(access acl aio aiol chattr chdir chmod chown close copy-file dentry dir dirdeep dirmany
    dnotify dup fallocate fanotify fcntl fiemap file-ioctl filename filerace flock fpunch fsize fstat
    getdent handle hdd inode-flags inotify io io-uring iomix ioprio lease link locka lockf lockofd
    metamix mknod mmap mmapmany open readahead rename revio seek sendfile splice symlink
    sync-file syncfs touch unlink utime verity xattr)

serve() {
    local name status passed=0 skipped=()
    # passthrough_ll checks no permissions itself.
    mount_passthrough -o allow_other,default_permissions,xattr
    for name in "${stressors[@]}"; do
        status=0
        stress-ng --temp-path "$mnt" "--$name" 2 --timeout 3 --verify --oomable \
            >"$base/stress" 2>&1 || status=$?
        case $status in
        0) passed=$((passed + 1)) ;;
        # The stressor says that it cannot run here, or this stress-ng does not have it.
        3 | 4) skipped+=("$name") ;;
        *)
            if grep -q 'unrecognized option' "$base/stress"; then
                skipped+=("$name")
            else
                cat "$base/stress"
                echo "stress-ng --$name: status $status"
                return 1
            fi
            ;;
        esac
    done
    # It serves as before, and nothing of theirs is left.
    copy_and_verify "$mnt"
    ((passed >= 25))
    done_on "stress-ng" "$(version_of stress-ng)" \
        "$passed stressors pass; not there or not for this file system: ${skipped[*]:-none}"
}
