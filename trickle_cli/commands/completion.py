"""`trickle completion`: what makes a shell complete our command lines.

The scripts are short, because they ask `trickle` itself, each time: with
`_TRICKLE_COMPLETE` set it answers, and does nothing else (see `completing`).
"""

from __future__ import annotations

import enum
import os
from typing import Annotated, Final

import typer

from trickle_cli.commands.running import ExitCode

EPILOG = """\b
Example, for zsh, in this shell and in every new one:
  eval "$(trickle completion zsh)"
  echo 'eval "$(trickle completion zsh)"' >> ~/.zshrc"""


class Shell(enum.Enum):
    """The shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


BASH: Final = r"""# Completion of `trickle` in bash. Keep this for bash-completion,
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
"""

ZSH: Final = r"""#compdef trickle
# Completion of `trickle` in zsh. Either keep this in a folder of $fpath, as _trickle,
#   mkdir -p ~/.zfunc
#   trickle completion zsh > ~/.zfunc/_trickle
# with `fpath+=~/.zfunc` before compinit in ~/.zshrc, or add a line after compinit:
#   eval "$(trickle completion zsh)"

_trickle() {
    local -a answer
    answer=("${(@f)$(
        _TRICKLE_COMPLETE=zsh ${~words[1]} \
            "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null
    )}")
    local kind=$answer[1]
    shift answer
    if [[ $kind == (files|directories) && $PREFIX == --*=* ]]; then
        compset -P 1 '*='
    fi
    case $kind in
        files) _files ;;
        directories) _files -/ ;;
        ?*) (( ! $#answer )) || _describe -t $kind $kind answer ;;
    esac
}

if [[ $funcstack[1] == _trickle ]]; then
    _trickle "$@"
else
    compdef _trickle trickle
fi
"""

FISH: Final = r"""# Completion of `trickle` in fish. Keep this where fish finds it:
#   trickle completion fish > ~/.config/fish/completions/trickle.fish

function __trickle_complete
    # With what is set for it in front, as in TRICKLE_SERVER=URL trickle sub: env knows.
    set -l words (string replace -r '^~(?=/)' -- "$HOME" (commandline -opc))
    set -l last (commandline -ct)
    set -l answer (env _TRICKLE_COMPLETE=fish $words "$last" 2>/dev/null)
    set -l option (string match -r -- '^--[^=]*=' "$last")
    set -l path (string replace -r -- '^--[^=]*=' '' "$last")
    switch "$answer[1]"
        case files
            for found in (__fish_complete_path "$path")
                echo -- "$option$found"
            end
        case directories
            for found in (__fish_complete_directories "$path" '')
                echo -- "$option$found"
            end
        case '*'
            set -e answer[1]
            string join -- \n $answer
    end
end

complete -c trickle -f -a '(__trickle_complete)'
"""

SCRIPTS: Final = {Shell.BASH: BASH, Shell.ZSH: ZSH, Shell.FISH: FISH}


def completion(
    shell: Annotated[
        Shell | None,
        typer.Argument(help="The shell to be taught.", show_default=False),
    ] = None,
) -> None:
    """Print a script that makes a shell complete commands, options and their values.

    Names of channels are completed, too, as the server has them that the line is
    for, if it tells them at once. The script says where to put it.
    """
    if shell is None:
        typer.echo(f"trickle completion: {_advice()}", err=True)
        raise typer.Exit(ExitCode.USAGE)
    typer.echo(SCRIPTS[shell], nl=False)


def _advice() -> str:
    """Which shell to name: that of whoever asks, if we know it."""
    mine = os.path.basename(os.environ.get("SHELL", ""))
    if mine in {shell.value for shell in Shell}:
        return f"which shell? Yours may be {mine}: trickle completion {mine}"
    return "which shell? trickle completion bash, zsh or fish"
