# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
serve() {
    example hello_ll
    mount_as "hello_ll#"
    [[ $(ls -A "$mnt") == hello && $(cat "$mnt/hello") == "Hello World!" ]]
    verified "hello_ll (libfuse)" "$(version_of libfuse3-dev)" through
}
