"""The committed completion scripts, in the shells that are there."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.programs import PATIENCE, TRICKLE, environment

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "completions"

COMMANDS = {"serve", "pub", "sub", "token", "watch"}
COMPLETIONS = {
    "trickle ": COMMANDS,
    "trickle s": {"serve", "sub"},
    "trickle w": {"watch"},
    "trickle x": set(),
    "trickle sub --fr": {"--from"},
    "trickle sub --n": {"--no-wait"},
    "trickle pub --t": {"--tee", "--time", "--token", "--token-file", "--type"},
    "trickle serve --no-c": {"--no-changefeed", "--no-create"},
}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """In which `trickle` is ours, and a home without anybody's habits."""
    command = tmp_path / "trickle"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(TRICKLE)} "$@"\n')
    command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    return environment(PATH=path, HOME=str(tmp_path), PS1="$ ")


def run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=env["HOME"],  # where no file is taken for a completion
    )
    assert done.stderr == ""
    return done.stdout


def needs(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")


def test_the_scripts_are_what_the_command_makes_of_itself(
    tmp_path: Path, env: dict[str, str]
) -> None:
    made = tmp_path / "made"
    made.mkdir()
    run([str(ROOT / "scripts" / "completions"), str(made), *TRICKLE], env)
    fresh, committed = (
        {path.name: path.read_text() for path in folder.iterdir()}
        for folder in (made, SCRIPTS)
    )
    assert fresh == committed


# Without the shells that are not there, or say too much: what they are answered.


#: Where the words are in an answer, among what is told of them.
WORDS = {"bash": r"^(\S+)$", "zsh": r'"([^"]+)":"', "fish": r"^(\S+)\t"}


@pytest.mark.parametrize(
    "shell", [shell for shell in WORDS if shell == "zsh" or not shutil.which(shell)]
)
@pytest.mark.parametrize("line", COMPLETIONS)
def test_every_shell_is_answered(line: str, shell: str, env: dict[str, str]) -> None:
    ask = {
        "_TRICKLE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    done = subprocess.run(
        TRICKLE, env=env | ask, capture_output=True, text=True, timeout=PATIENCE
    )
    assert set(re.findall(WORDS[shell], done.stdout, re.MULTILINE)) == COMPLETIONS[line]
    assert done.stderr == ""


# In the shells.


@pytest.mark.parametrize("line", COMPLETIONS)
def test_bash_completes(line: str, env: dict[str, str]) -> None:
    needs("bash")
    script = """
        source "$1"
        IFS=' ' read -ra COMP_WORDS <<<"$2"
        case $2 in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        read -r _ _ _ _ function _ < <(complete -p trickle)
        $function trickle
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    script_path = str(SCRIPTS / "trickle.bash")
    out = run(["bash", "--norc", "-c", script, "bash", script_path, line], env)
    assert set(out.split()) == COMPLETIONS[line]


@pytest.mark.parametrize("line", COMPLETIONS)
def test_fish_completes(line: str, env: dict[str, str]) -> None:
    needs("fish")
    script = "source $argv[1]; complete --do-complete $argv[2]"
    path = str(SCRIPTS / "trickle.fish")
    out = run(["fish", "--no-config", "-c", script, path, line], env)
    words = [row.partition("\t")[0] for row in out.splitlines() if row]
    assert set(words) == COMPLETIONS[line]


class Shell:
    """An interactive one, for the person in front of the terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._said = b""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def says(self, text: str) -> None:
        """Wait for `text`, after what it said before."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._said:
            left = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self._descriptor], [], [], left)
            assert ready, self._said
            self._said += os.read(self._descriptor, 4096)
        self._said = self._said.partition(text.encode())[2]


@contextmanager
def terminal(command: list[str], env: dict[str, str]) -> Iterator[Shell]:
    child, descriptor = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, env)
    try:
        yield Shell(descriptor)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(descriptor)


SETUPS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        'source "$SCRIPTS/trickle.bash"',
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        'fpath=("$SCRIPTS" $fpath); autoload -Uz compinit; compinit -u -D',
    ),
}


@pytest.mark.parametrize("shell", SETUPS)
def test_the_tab_key_completes_the_first_time_too(
    shell: str, env: dict[str, str]
) -> None:
    needs(shell)
    command, setup = SETUPS[shell]
    with terminal(command, env | {"SCRIPTS": str(SCRIPTS)}) as person:
        person.says("$ ")
        person.type(f"{setup}; echo set' 'up\r")
        person.says("set up")
        person.says("$ ")
        person.type("trickle sub --fr\t")
        person.says("trickle sub --from ")
