# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here, other parts read
#
# Kernels that are built here, from the source package of Debian's 6.12, for what no packaged kernel
# has: user-mode Linux, and the checkers of debug kernels. tests/vm/kernels/ has what all of them
# are configured with.

KERNELS=$TOP/tests/vm/kernels
KERNEL_SOURCE=linux-source-6.12
KERNEL_SUITE=trixie
HOST_KERNEL_PACKAGES=(gcc libc6-dev make flex bison bc xz-utils patch kmod debian-archive-keyring gpg
    ca-certificates libelf-dev cpio)
# What neither these kernels nor a module for them reads: a third of the source.
KERNEL_UNREAD=('*/drivers/gpu/*.[ch]' '*/drivers/net/*/*.[ch]' '*/drivers/media/*.[ch]'
    '*/drivers/staging/*.[ch]' '*/drivers/infiniband/*.[ch]' '*/drivers/scsi/*.[ch]'
    '*/sound/*.[ch]' '*/Documentation/*.rst' '*/Documentation/*.yaml' '*/Documentation/*.svg'
    '*/arch/*.dts' '*/arch/*.dtsi' '*/tools/testing/*' '*/tools/perf/*')

# kernel_source: the unpacked and patched source. Sets REPLY to its directory.
kernel_source() {
    local version key
    suite_refresh "$KERNEL_SUITE"
    version=$(suite_apt "$KERNEL_SUITE" apt-cache policy "$KERNEL_SOURCE" |
        awk '$1 == "Candidate:" && $2 != "(none)" {print $2}')
    [[ -n $version ]] || die "the mirror has no $KERNEL_SOURCE for $KERNEL_SUITE"
    key=$(sha256sum <<<"$version ${KERNEL_UNREAD[*]} $(<"$KERNELS/large-folios.patch")" |
        cut -c1-16)
    cache_entry kernelsource "$key" kernel_make_source "$version"
}

# kernel_make_source VERSION DIRECTORY
kernel_make_source() {
    local exclude=("${KERNEL_UNREAD[@]/#/--exclude=}")
    cd "$2" || return
    # apt checks the package against the signed lists.
    suite_apt "$KERNEL_SUITE" apt-get -q download "$KERNEL_SOURCE=$1"
    dpkg-deb --fsys-tarfile "$KERNEL_SOURCE"_*.deb |
        tar -xO "./usr/src/$KERNEL_SOURCE.tar.xz" |
        tar -xJ --strip-components=1 "${exclude[@]}"
    rm "$KERNEL_SOURCE"_*.deb
    patch -p1 <"$KERNELS/large-folios.patch"
}

# kernel_entry NAME FILE... -- MAKER [ARGUMENT...]: sets REPLY to the kernel's directory in the cache,
# which "MAKER ARGUMENT... SOURCE DIRECTORY" fills. The files are all else that it is made from.
kernel_entry() {
    local name=$1 source key files=()
    shift
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    kernel_source
    source=$REPLY
    # The headers of a kernel point to the source by its path.
    key=$(sha256sum <<<"$source $(gcc --version | head -n 1) $(cat "${files[@]}")" | cut -c1-16)
    cache_entry "$name" "$key" "$@" "$source"
}

# kernel_make SOURCE DIRECTORY FRAGMENT... -- [VARIABLE=VALUE] TARGET...: configures and builds it; all
# that building a module for it takes stays.
kernel_make() {
    local source=$1 directory=$2 line make variable=()
    shift 2
    while [[ $1 != -- ]]; do
        cat "$1" >>"$directory/fragment"
        shift
    done
    shift
    if [[ $1 == *=* ]]; then
        variable=("$1")
        shift
    fi
    make=(nice -n 5 make -s -C "$source" "O=$directory" -j"$(nproc)" "${variable[@]}")
    "${make[@]}" KCONFIG_ALLCONFIG="$directory/fragment" alldefconfig
    # An option whose conditions do not hold is dropped without a word.
    while read -r line; do
        grep -qxF "$line" "$directory/.config" || {
            echo "the kernel's configuration did not take $line"
            return 1
        }
    done < <(grep '^CONFIG_' "$directory/fragment")
    "${make[@]}" "$@"
    find "$directory" -path "$directory/scripts" -prune -o -path "$directory/tools" -prune -o \
        \( -name '*.o' -o -name '*.a' -o -name 'vmlinux*' \) -type f -links 1 -exec rm {} +
}

# kernel_module NAME KERNEL [MAKE_ARGUMENT...]: builds module/ for that kernel, what is new only.
# Sets REPLY to the directory with fusewb.ko.
kernel_module() {
    local name=$1 kernel=$2 work=$BUILD/kernels/$1 lock
    shift 2
    mkdir -p "$work"
    exec {lock}>"$work/lock"
    flock "$lock"
    if [[ $(readlink "$work/kernel") != "$kernel" ]]; then
        rm -rf "$work/module"
        ln -sfnT "$kernel" "$work/kernel"
    fi
    # Another kernel's objects may lie beside the sources: take what is not ignored.
    mkdir -p "$work/module"
    (
        cd "$TOP" || exit
        while IFS= read -r -d '' file; do
            [[ ! -e $file ]] || printf '%s\0' "$file"
        done < <(git ls-files -coz --exclude-standard module) |
            xargs -0 cp --parents -up -t "$work"
    )
    quietly "module-$name" make -C "$work/module" "KDIR=$kernel" "$@" ||
        die "the module does not build for the kernel in $kernel"
    REPLY=$work/module
    exec {lock}>&-
}
