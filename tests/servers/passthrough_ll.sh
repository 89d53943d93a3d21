# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mount_passthrough
    copy_and_verify "$mnt"
    same_tree "$tree" "$base/back/tree"
    verified "passthrough_ll (libfuse)" "$(version_of libfuse3-dev)" direct
}
