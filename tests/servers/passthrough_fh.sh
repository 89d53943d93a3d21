# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
# It shows the whole system's root.
serve() {
    example passthrough_fh
    mkdir "$base/back"
    mount_as "passthrough_fh#"
    copy_and_verify "$mnt$base/back"
    same_tree "$tree" "$base/back/tree"
    copied=$mnt$base/back verified "passthrough_fh (libfuse)" "$(version_of libfuse3-dev)" through
}
