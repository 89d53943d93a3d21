# SPDX-License-Identifier: GPL-2.0-only
# bash completion for fusewbctl
# shellcheck shell=bash disable=SC2207

_fusewbctl_connections() {
    fusewbctl list --json 2>/dev/null | sed -n 's/^ *"\(\/[^"]*\)",\{0,1\}$/\1/p'
}

_fusewbctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} verb='' second='' word i
    local keys='Writeback= WritebackDeadlineSec= MetadataDeadlineSec= ReadDeadlineSec=
        LockDeadlineSec= RequestDeadlineSec= DeadlineAction= RetrySec= SyncWaits= MaxDirtyRatio=
        StrictLimit= MaxWriteSize= SpliceFolios= ForceWritebackCache='
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -* ]] && continue
        if [[ -z $verb ]]; then
            verb=$word
        elif [[ -z $second ]]; then
            second=$word
        fi
    done
    COMPREPLY=()
    compopt +o default 2>/dev/null
    case $verb in
    '') COMPREPLY=($(compgen -W 'list status set abort policy monitor top doctor --json --help
        --version' -- "$cur")) ;;
    set)
        if [[ -z $second ]]; then
            COMPREPLY=($(compgen -W "$(_fusewbctl_connections)" -- "$cur"))
        else
            compopt -o nospace
            COMPREPLY=($(compgen -W "$keys --while" -- "$cur"))
        fi
        ;;
    status | abort)
        [[ -n $second ]] || COMPREPLY=($(compgen -W "$(_fusewbctl_connections)" -- "$cur"))
        ;;
    policy)
        case $second in
        '') COMPREPLY=($(compgen -W 'show explain check reload' -- "$cur")) ;;
        explain) COMPREPLY=($(compgen -W "$(_fusewbctl_connections)" -- "$cur")) ;;
        check) COMPREPLY=($(compgen -f -- "$cur")) ;;
        esac
        ;;
    top) COMPREPLY=($(compgen -W '--interval --rounds --json' -- "$cur")) ;;
    list | monitor | doctor) COMPREPLY=($(compgen -W '--json' -- "$cur")) ;;
    esac
}

complete -F _fusewbctl fusewbctl
