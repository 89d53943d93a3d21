# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    mkdir "$base/cipher"
    echo secret >"$base/password"
    gocryptfs -q -init -scryptn 10 -passfile "$base/password" "$base/cipher"
    mount_as "gocryptfs#$base/cipher" -o "passfile=$base/password"
    copy_and_verify "$mnt"
    verified "gocryptfs (go-fuse)" "$(version_of gocryptfs)" through
}
