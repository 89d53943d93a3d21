# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The cache: directories named NAME-KEY, where the key is a hash of everything that went into
# them. An entry is made under tmp/ and renamed into place when it is complete, so what has the
# final name can be trusted. Makers of one name queue up on a lock; users of an entry hold a
# shared lock until they exit, which keeps it from being pruned under their feet.

# Newest entries of a name that survive pruning.
CACHE_KEEP=2

# cache_entry NAME KEY MAKER [ARGUMENT...]: sets REPLY to the entry's path; runs
# "MAKER ARGUMENT... DIRECTORY" to fill it if it is not there. NAME has no dash in it.
cache_entry() {
    local name=$1 key=$2 entry=$CACHE/$1-$2 making=$CACHE/tmp/$1-$2 started=$SECONDS use lock
    shift 2
    mkdir -p "$CACHE/lock" "$CACHE/tmp"
    exec {use}>"$CACHE/lock/$name-$key.use"
    flock -s "$use"
    if [[ ! -d $entry ]]; then
        exec {lock}>"$CACHE/lock/$name.make"
        flock -n "$lock" || {
            say "waiting for another run that makes $name"
            flock "$lock"
        }
        if [[ ! -d $entry ]]; then
            # Whoever left these held the lock and is gone.
            rm -rf -- "$CACHE/tmp/$name-"*
            mkdir "$making"
            say "making $name"
            quietly "$name" "$@" "$making"
            # The entry must be whole on disk before it gets the name that is trusted.
            sync -f "$making"
            mv -T "$making" "$entry"
            say "$name is ready after $((SECONDS - started)) s"
            cache_prune "$name"
        fi
        exec {lock}>&-
    fi
    touch "$entry"
    REPLY=$entry
}

# cache_prune NAME: removes the entries of a name that are old and not in use.
cache_prune() {
    local name=$1 entry use
    while read -r entry; do
        exec {use}>"$CACHE/lock/${entry##*/}.use"
        if flock -n -x "$use"; then
            mv -T "$entry" "$CACHE/tmp/$name-pruned-${entry##*-}"
            rm -rf -- "$CACHE/tmp/$name-pruned-${entry##*-}" "$CACHE/lock/${entry##*/}.use"
        fi
        exec {use}>&-
    done < <(find "$CACHE" -maxdepth 1 -name "$name-*" -printf '%T@ %p\n' | sort -rn |
        tail -n "+$((CACHE_KEEP + 1))" | cut -d' ' -f2-)
}
