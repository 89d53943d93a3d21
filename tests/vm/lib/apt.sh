# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian's packages, from the mirrors that this machine is configured for. For the other release
# the suite names are swapped; the archive's keyring verifies both.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# How long a list of packages is taken as current before the mirror is asked again.
LISTS_LIFE=$((24 * 3600))

# host_mirror CODENAME: the first address from which this machine gets that suite of Debian.
host_mirror() {
    local uri
    # shellcheck disable=SC2016 # apt's own variables
    uri=$(apt-get indextargets --format '$(CODENAME)|$(RELEASE)|$(ORIGIN)|$(REPO_URI)' \
        'Created-By: Packages' |
        awk -F'|' -v s="$1" '($1 == s || $2 == s) && ($3 == "Debian" || $3 == "") && !n++ {print $4}')
    # Cloud images name a file that lists their mirrors.
    case $uri in
    mirror+file:*)
        uri=$(awk '!/^#/ && NF {print $1; exit}' "${uri#mirror+file:}")
        ;;
    esac
    [[ -n $uri ]] && printf '%s\n' "${uri%/}"
}

# suite_sources SUITE: the lines of a sources.list.
suite_sources() {
    local suite=$1 host main security
    host=$(. /etc/os-release && echo "$VERSION_CODENAME")
    main=$(host_mirror "$host") ||
        die "apt on this machine names no Debian mirror for $host: check /etc/apt/sources.list"
    echo "deb $main $suite main"
    echo "deb $main $suite-updates main"
    [[ $suite == bookworm ]] || echo "deb $main $suite-backports main"
    if security=$(host_mirror "$host-security"); then
        echo "deb $security $suite-security main"
    fi
}

# suite_apt SUITE COMMAND...: apt on a state of its own for that suite, nothing installed.
suite_apt() {
    local state=$CACHE/apt/$1 command=$2
    shift 2
    "$command" -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Trusted="$KEYRING" -o Dir::Etc::TrustedParts=/dev/null \
        -o Dir::State="$state/state" -o Dir::State::Status=/dev/null \
        -o Dir::Cache="$state/cache" -o APT::Sandbox::User=root \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 \
        -o APT::Update::Post-Invoke-Success= -o Acquire::Languages=none "$@"
}

# suite_refresh SUITE: has a recent list of the packages that the mirror offers.
suite_refresh() {
    local suite=$1 state=$CACHE/apt/$1 lock
    mkdir -p "$state"/{state,cache} "$CACHE/lock"
    exec {lock}>"$CACHE/lock/apt.$suite"
    flock "$lock"
    suite_sources "$suite" >"$state/sources.new"
    if ! cmp -s "$state/sources.new" "$state/sources.list" ||
        (($(date +%s) - $(stat -c %Y "$state/fresh" 2>/dev/null || echo 0) > LISTS_LIFE)); then
        cp "$state/sources.new" "$state/sources.list"
        if suite_apt "$suite" apt-get -q -o APT::Update::Error-Mode=any update \
            >"$state/log" 2>&1; then
            touch "$state/fresh"
        elif [[ -e $state/fresh ]]; then
            say "the mirror's list for $suite cannot be fetched; going on with the last one"
        else
            cat "$state/log" >&2
            die "the mirror's list for $suite cannot be fetched"
        fi
    fi
    exec {lock}>&-
}

# suite_resolve SUITE PACKAGE...: a hash of every package and version that installing these
# would bring: a new kernel on the mirror gives a new image, a new editor does not.
suite_resolve() {
    local suite=$1 set
    shift
    set=$(suite_apt "$suite" apt-get -qq --simulate --no-install-recommends install "$@" |
        awk '/^Inst/ {print $2, $3}' | sort)
    [[ -n $set ]] || die "$suite does not offer all of: $*"
    sha256sum <<<"$set" | cut -c1-16
}

# make_tree SUITE VARIANT PACKAGES(comma separated) OPTIONS(array name) DIRECTORY
make_tree() {
    local suite=$1 variant=$2 packages=$3 directory=$5 proxies=() line
    local -n options=$4
    while read -r line; do
        proxies+=("--aptopt=$line")
    done < <(apt-config dump Acquire::http::Proxy Acquire::https::Proxy | grep '"..*"' || true)
    unshare --mount mmdebstrap --mode=root --variant="$variant" --architectures=amd64 \
        --keyring="$KEYRING" --include="$packages" --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
        --aptopt='APT::Sandbox::User "root"' \
        "${proxies[@]}" "${options[@]}" "$suite" "$directory" "$CACHE/apt/$suite/sources.list"
}
