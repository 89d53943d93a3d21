# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# A repository is cloned to the mount, another branch checked out, everything compared.
serve() {
    local git=(git -c user.name=test -c user.email=test@localhost -c safe.directory='*'
        -c init.defaultBranch=main)
    mkdir "$base/origin"
    cp -a --no-preserve=ownership "$tree/." "$base/origin/"
    (
        cd "$base/origin" || exit
        "${git[@]}" init -q
        "${git[@]}" add .
        "${git[@]}" commit -qm "the tree"
        "${git[@]}" checkout -qb changed
        "${git[@]}" ls-files | sed -n '1,200p' |
            while read -r file; do echo "// changed" >>"$file"; done
        "${git[@]}" mv "$("${git[@]}" ls-files | sed -n 201p)" moved
        "${git[@]}" commit -qam "another"
        "${git[@]}" checkout -q main
    )
    mount_passthrough
    "${git[@]}" clone -q --no-local "$base/origin" "$mnt/clone"
    cd "$mnt/clone" || return
    drop_caches
    [[ -z $("${git[@]}" status --porcelain) ]]
    diff -r --no-dereference --exclude=.git "$base/origin" .
    "${git[@]}" checkout -q changed
    drop_caches
    [[ -z $("${git[@]}" status --porcelain) ]]
    "${git[@]}" -C "$base/origin" checkout -q changed
    diff -r --no-dereference --exclude=.git "$base/origin" .
    "${git[@]}" gc -q
    "${git[@]}" fsck --full --strict
    cd /
    done_on "git" "$(version_of git)" "clone, checkout, gc, fsck; the same as the origin"
}
