# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mksquashfs "$tree" "$base/image" -quiet -no-progress
    mount_as "squashfuse#$base/image"
    same_tree "$tree" "$mnt"
    verified "squashfuse" "$(version_of squashfuse)" through
}
