# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    example passthrough_ll
    mkdir "$base/back"
    mount_as "passthrough_ll#" -o "source=$base/back,writeback"
    copy_and_verify "$mnt"
    same_tree "$tree" "$base/back/tree"
    verified "passthrough_ll (libfuse)" "$(version_of libfuse3-dev)"
}
