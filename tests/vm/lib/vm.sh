# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # what is set here, other parts read

# verb_vm: see ./run help.
verb_vm() {
    local kernel=6.1 bare='' module='' suite image
    vm_defaults
    while (($#)); do
        case $1 in
        --kernel | --cpus | --memory | --share | --append | --timeout | --module)
            (($# > 1)) || die "$1 needs an argument"
            ;;&
        --kernel) kernel=$2 ;;
        --cpus) VM_CPUS=$2 ;;
        --memory) VM_MEMORY=$2 ;;
        --share)
            [[ -d $2 ]] || die "--share: no directory $2"
            VM_SHARE=$(readlink -e -- "$2")
            ;;
        --module)
            [[ -e $2/Kbuild ]] || die "--module: no Kbuild in $2"
            module=$(readlink -e -- "$2")
            ;;
        --append) VM_APPEND=$2 ;;
        --timeout) VM_TIMEOUT=$2 ;;
        --counted) VM_COUNTED=yes ;;
        --bare) bare=yes ;;
        --allow-splat) VM_ALLOW_SPLAT=yes ;;
        --)
            shift
            (($#)) || die "nothing follows --"
            break
            ;;
        *) die "vm does not know '$1' (./run help)" ;;
        esac
        case $1 in
        --counted | --bare | --allow-splat) shift ;;
        *) shift 2 ;;
        esac
    done
    suite=$(kernel_suite "$kernel")
    if [[ $bare ]]; then
        bare_image "$suite"
    else
        packaged_image "$suite"
    fi
    image=$REPLY
    if [[ $module ]]; then
        scratch
        VM_OVERLAY=$SCRATCH/overlay
        build_module "$module" "$kernel" "$VM_OVERLAY"
    fi
    vm_boot "$image" "$kernel" "$@"
}
