# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mkdir "$base/back"
    mount_as "$here/passthrough.py#$base/back"
    copy_and_verify "$mnt"
    same_tree "$tree" "$base/back/tree"
    verified "a passthrough of pyfuse3" "$(version_of python3-pyfuse3)" direct
}
