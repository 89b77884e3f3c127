# Completion of `trickle` in bash. Keep this for bash-completion,
#   mkdir -p ~/.local/share/bash-completion/completions
#   trickle completion bash > ~/.local/share/bash-completion/completions/trickle
# or add a line to ~/.bashrc: eval "$(trickle completion bash)"

_trickle() {
    local answer
    mapfile -t answer < <(
        _TRICKLE_COMPLETE=bash "${1/#\~/$HOME}" \
            "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null
    )
    COMPREPLY=("${answer[@]:1}")
    case ${answer[0]-} in
        files) compopt -o default ;;
        directories) compopt -o dirnames ;;
    esac
}

complete -F _trickle trickle
