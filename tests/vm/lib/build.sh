# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The Debian packages of this tree, each release's built in a root that holds what Build-Depends
# asks for and nothing else, and the images that have them installed.

HOST_BUILD_PACKAGES=(mmdebstrap debian-archive-keyring ca-certificates gpg dpkg-dev)
# What the packages are made from.
PACKAGE_SOURCES=(CMakeLists.txt LICENSE README.md dkms.conf module daemon tools udev packaging docs
    tests/unit tests/model)

# source_files PATH...: the files of the tree that are tracked or could be, ended by NUL.
source_files() {
    local file
    if git -c safe.directory='*' -C "$TOP" rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$TOP" ls-files -coz --exclude-standard -- "$@"
    else
        (cd "$TOP" && find "$@" -type f -print0)
    fi | while IFS= read -r -d '' file; do
        [[ ! -e $TOP/$file ]] || printf '%s\0' "$file"
    done
}

# copy_sources DIRECTORY PATH...: copies what source_files names.
copy_sources() {
    local directory=$1
    shift
    mkdir -p "$directory"
    source_files "$@" | (cd "$TOP" && xargs -0 -r cp --parents -p -t "$directory")
}

# sources_key PATH...: one hash over those sources.
sources_key() {
    source_files "$@" | sort -z | (cd "$TOP" && xargs -0 -r sha256sum) | sha256sum | cut -c1-16
}

# build_root SUITE: sets REPLY to a root with the build dependencies.
build_root() {
    local suite=$1 set
    need_packages "${HOST_BUILD_PACKAGES[@]}"
    suite_refresh "$suite"
    scratch
    mkdir -p "$SCRATCH/control/debian"
    cp "$TOP"/packaging/debian/{control,changelog} "$SCRATCH/control/debian/"
    set=$(suite_apt "$suite" apt-get -qq --simulate --no-install-recommends \
        build-dep "$SCRATCH/control" | awk '/^Inst/ {print $2, $3}' | sort)
    [[ -n $set ]] || die "$suite does not offer the build dependencies of packaging/debian/control"
    cache_entry "build.$suite" "$(recipe "$set" make_build_root make_tree)" make_build_root "$suite" \
        "$(awk '{print $1}' <<<"$set" | paste -sd,)"
}

make_build_root() {
    # shellcheck disable=SC2034 # read by make_tree through its name
    local build_options=('--dpkgopt=path-exclude=/usr/share/man/*')
    make_tree "$1" buildd "$2" build_options "$3"
}

# build_debs SUITE: has the packages of this tree in build/debs/SUITE. Sets REPLY to a key that
# changes with them.
build_debs() {
    local suite=$1 root key lock debs=$BUILD/debs/$1
    mkdir -p "$BUILD/debs"
    exec {lock}>"$BUILD/debs/.$suite.lock"
    flock "$lock"
    build_root "$suite"
    root=$REPLY
    key=$(recipe "${root##*/} $(sources_key "${PACKAGE_SOURCES[@]}")" make_debs)
    if [[ $(cat "$debs/.key" 2>/dev/null) != "$key" ]]; then
        say "building the packages for $suite"
        quietly "debs.$suite" make_debs "$suite" "$root" "$debs"
        echo "$key" >"$debs/.key"
        say "built: $(cd "$debs" && echo *.deb)"
    fi
    REPLY=$key
    exec {lock}>&-
}

# make_debs SUITE ROOT DIRECTORY
make_debs() {
    local suite=$1 root=$2 debs=$3 work options=''
    # The unit tests belong to the build, except where ./run test has the same of the host.
    [[ $suite != "$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)" ]] || options=nocheck
    scratch
    work=$(mktemp -d "$SCRATCH/debs.XXXXXX")
    mkdir -p "$work/build"
    copy_sources "$work/build/fusewb" "${PACKAGE_SOURCES[@]}"
    mv "$work/build/fusewb/packaging/debian" "$work/build/fusewb/debian"
    "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$work/build" /build "$work/root" \
        sh -ec "cd /build/fusewb && export DEB_BUILD_OPTIONS='$options' &&
            exec dpkg-buildpackage --no-sign --build=binary -j$(nproc)"
    rm -rf "$debs"
    mkdir -p "$debs"
    cp "$work"/build/*.deb "$debs/"
    rm -rf "$work"
}

# verb_build: see ./run help.
verb_build() {
    local suites=(bookworm trixie) suite
    case ${1:-} in
    '') ;;
    --suite)
        [[ ${2:-} == bookworm || ${2:-} == trixie ]] || die "--suite takes bookworm or trixie"
        suites=("$2")
        ;;
    *) die "build does not know '$1' (./run help)" ;;
    esac
    for suite in "${suites[@]}"; do
        build_debs "$suite"
        say "the packages for $suite are in build/debs/$suite"
    done
}

# packaged_image SUITE: sets REPLY to an image with the packages of this tree installed.
packaged_image() {
    local suite=$1 root key
    build_debs "$suite"
    key=$REPLY
    guest_root "$suite"
    root=$REPLY
    key=$(recipe "${root##*/} $key $(hash_of "$TOP/tests/vm/guest")" make_packaged_image \
        install_debs make_image make_initramfs INITRAMFS_MODULES)
    cache_entry "packaged.$suite" "$key" make_packaged_image "$root" "$BUILD/debs/$suite"
}

# make_packaged_image ROOT DEBS DIRECTORY: installs in a copy of the guest root, where DKMS
# compiles at native speed, and makes the image from that.
make_packaged_image() {
    local root=$1 debs=$2 directory=$3
    "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$debs" /mnt "$directory/work" \
        bash -euc "$(declare -f install_debs); install_debs"
    "$TOP/tests/vm/lib/in-root" --over "$root" --outside "$directory/work" \
        "$TOP/run" --inside make_image "$directory"
    rm -rf "$directory/work"
}

# Runs in the guest root, the packages being in /mnt.
install_debs() {
    local kernel
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    apt-get -qy install /mnt/*.deb || {
        apt-get -q update
        apt-get -qy install /mnt/*.deb
    }
    rm /usr/sbin/policy-rc.d
    for kernel in /lib/modules/*; do
        kernel=${kernel##*/}
        dkms autoinstall -k "$kernel" || true
        # Found where modprobe will look for it, or the image is not worth having.
        modinfo -k "$kernel" fusewb || {
            cat /var/lib/dkms/fusewb/*/build/make.log
            return 1
        }
    done
}

# build_module DIRECTORY KERNEL OUTPUT: compiles the module in DIRECTORY against that kernel's
# headers, in the guest root of its release, and puts it below OUTPUT where the image has DKMS's.
build_module() {
    local source=$1 kernel=$2 output=$3 root release work compress=cat suffix=''
    guest_root "$(kernel_suite "$kernel")"
    root=$REPLY
    release=$(kernel_release "$root" "$kernel")
    scratch
    work=$(mktemp -d "$SCRATCH/module.XXXXXX")
    cp -a "$source" "$work/module"
    quietly "module.$kernel" "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$work/module" /mnt \
        "$work/root" sh -ec "make -C /mnt KDIR=/lib/modules/$release/build clean
            make -C /mnt KDIR=/lib/modules/$release/build -j\$(nproc)"
    if [[ -e $root/lib/modules/$release/kernel/fs/ext4/ext4.ko.xz ]]; then
        compress='xz --check=crc32 -0' suffix=.xz
    fi
    mkdir -p "$output/usr/lib/modules/$release/updates/dkms"
    $compress <"$work/module/fusewb.ko" \
        >"$output/usr/lib/modules/$release/updates/dkms/fusewb.ko$suffix"
    rm -rf "$work"
}

# build_guest_tests SUITE: compiles fusewb-guest-tests in the guest root of that release. Sets
# REPLY to the directory that has it.
build_guest_tests() {
    local suite=$1 root output=$BUILD/guest/$1 lock
    guest_root "$suite"
    root=$REPLY
    mkdir -p "$output"
    exec {lock}>"$output.lock"
    flock "$lock"
    scratch
    quietly "guest-tests.$suite" "$TOP/tests/vm/lib/in-root" --over "$root" --bind "$TOP" /mnt \
        --bind "$output" /media "$SCRATCH/guest-tests.$suite" \
        sh -ec "cmake -S /mnt/tests/vm -B /media -DCMAKE_BUILD_TYPE=RelWithDebInfo
            cmake --build /media -j$(nproc)"
    exec {lock}>&-
    REPLY=$output
}
