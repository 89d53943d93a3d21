# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every verb needs: messages with elapsed time, root, Debian packages, quiet long steps.

BUILD=$TOP/build
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/fusewb
# Exit status of a failure of the harness itself, so that nobody takes it for a command's.
HARNESS_FAILED=125

# say TEXT...: one line of progress on stderr, with the seconds since the start.
say() {
    printf '[%5ds] %s\n' "$SECONDS" "$*" >&2
}

die() {
    printf 'run: %s\n' "$*" >&2
    exit "$HARNESS_FAILED"
}

# need_root VERB ARGS...: goes on as root, through sudo if necessary.
need_root() {
    ((EUID == 0)) && return
    command -v sudo >/dev/null || die "'$1' needs root: become root, or install sudo"
    exec sudo "XDG_CACHE_HOME=${XDG_CACHE_HOME:-$HOME/.cache}" "CI=${CI:-}" "$TOP/run" "$@"
}

# need_packages NAME...: installs those that this machine lacks, and says so.
need_packages() {
    local name lacking=()
    for name; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] ||
            lacking+=("$name")
    done
    ((${#lacking[@]})) || return 0
    say "this machine lacks ${lacking[*]}: installing"
    quietly host-packages install_packages "${lacking[@]}"
}

# apt waits for a lock of its own where it installs, and fails at once where it updates.
install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p "$CACHE/lock"
    flock --close "$CACHE/lock/host-packages" apt-get -q update
    apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# quietly NAME COMMAND...: keeps the output in build/log/NAME.log and shows its end if the
# command fails; says every half minute that it is still at it.
quietly() {
    local name=$1 log=$BUILD/log/$1.log status=0 child started=$SECONDS next
    shift
    mkdir -p "$BUILD/log"
    (
        set -e
        "$@"
    ) >"$log" 2>&1 </dev/null &
    child=$!
    next=$((SECONDS + 30))
    while kill -0 "$child" 2>/dev/null; do
        sleep 0.2
        if ((SECONDS >= next)); then
            say "  ... $name, $((SECONDS - started)) s so far"
            next=$((SECONDS + 30))
        fi
    done
    wait "$child" || status=$?
    if ((status)); then
        tail -n 40 "$log" >&2
        say "$name failed with status $status; the whole output is in $log"
    fi
    return "$status"
}

# hash_of DIRECTORY: one hash over the names and contents of all files in it.
hash_of() {
    (cd "$1" && find . -type f | sort | xargs -d '\n' -r sha256sum) | sha256sum | cut -c1-16
}

# recipe TEXT NAME...: one hash over the text and over the named functions and variables, for
# the key of what they make.
recipe() {
    local name text=$1
    shift
    {
        echo "$text"
        for name; do
            declare -f "$name" || declare -p "$name"
        done
    } | sha256sum | cut -c1-16
}

verb_clean() {
    case ${1:-} in
    '') ;;
    --cache) rm -rf -- "$CACHE" ;;
    *) die "clean takes --cache or nothing" ;;
    esac
    rm -rf -- "$BUILD"
}

# stop_tree PID: ends a process and all that it started.
stop_tree() {
    local child children=()
    read -ra children 2>/dev/null <"/proc/$1/task/$1/children" || true
    for child in "${children[@]}"; do
        stop_tree "$child"
    done
    kill "$1" 2>/dev/null || true
}

# A run that ends, for whatever reason, takes with it what it started and what it left on disk.
clean_up() {
    local child
    for child in $(jobs -p); do
        stop_tree "$child"
    done
    [[ -z ${SCRATCH:-} ]] || rm -rf -- "$SCRATCH"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# scratch: a directory of this run alone, on disk, removed at the end. Sets SCRATCH.
scratch() {
    [[ -n ${SCRATCH:-} ]] && return
    mkdir -p "$CACHE/tmp"
    # Those that a power cut or a SIGKILL left behind.
    find "$CACHE/tmp" -maxdepth 1 -name 'run.*' -mtime +1 -exec rm -rf {} +
    SCRATCH=$(mktemp -d "$CACHE/tmp/run.XXXXXX")
}
