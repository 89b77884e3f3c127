"""What all commands share: help, versions, wrong usage, standard streams."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.commands.programs import TRICKLE, Programs, environment
from trickle_cli import __version__
from trickle_cli.commands.table import COMMANDS as TABLE, load

COMMANDS: dict[str, Any] = {name: load(name) for name in TABLE}


def options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield from (*parameter.opts, *parameter.secondary_opts)


def test_alone_it_shows_its_help_as_wrong_usage(programs: Programs) -> None:
    alone, asked = programs.run(), programs.run("--help")
    assert (alone.ends(), alone.out) == (2, b"")
    assert (asked.ends(), asked.err) == (0, "")
    assert alone.err == asked.out.decode()
    assert asked.out.startswith(b"Usage: trickle [OPTIONS] COMMAND")
    for name in COMMANDS:
        assert re.search(rf"^  {name}  +\S", alone.err, re.MULTILINE)


def test_the_version_is_the_packages(programs: Programs) -> None:
    program = programs.run("--version")
    assert (program.ends(), program.err) == (0, "")
    assert program.out.decode() == f"trickle {__version__}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_help_of_a_command_tells_every_option_and_an_example(
    programs: Programs, name: str
) -> None:
    long, short = programs.run(name, "--help"), programs.run(name, "-h")
    assert (long.ends(), long.err) == (0, "")
    assert short.out == long.out
    text = long.out.decode()
    told = set(
        re.findall(r"(?<![\w-])--?[A-Za-z][a-z-]*", text[text.index("Options:") :])
    )
    assert set(options(COMMANDS[name])) - told == set()
    assert f"trickle {name} " in text[text.index("Example") :]
    assert max(map(len, text.splitlines())) <= 80


WRONG = {
    "publish": "trickle: No such command 'publish'",
    "--verbose": "trickle: No such option: --verbose",
    "sub --form=0 cam": "trickle sub: No such option: --form",
    "sub": "trickle sub: Missing argument 'CHANNEL'",
    "sub a b": "trickle sub: Got unexpected extra argument",
    "sub cam --from": "trickle: Option '--from' requires an argument",
    "serve --port": "trickle: Option '--port' requires an argument",
    "watch -s here": "trickle watch: Invalid value for '--server'",
    "watch a/b": "trickle watch: channel name 'a/b' contains '/'",
}


def test_wrong_usage_is_one_line(programs: Programs) -> None:
    started = {line: programs.start(*line.split()) for line in WRONG}
    for line, program in started.items():
        assert (program.ends(), program.out) == (2, b""), line
        assert WRONG[line] in program.err
        assert program.err.count("\n") == 1
        if "/" not in line:
            path = WRONG[line].partition(":")[0]
            assert program.err.endswith(f" (see {path} --help)\n")


# Standard streams.


@pytest.mark.parametrize("line", ["--help", "sub --help", "--version"])
def test_a_reader_that_has_enough_ends_it_quietly(
    programs: Programs, line: str
) -> None:
    for reader in ("head -1", "true", "sleep 0"):
        program = programs.start_other(
            "bash", "-c", f'"$@" | {reader}', "bash", *TRICKLE, *line.split()
        )
        assert (program.ends(), program.err) == (0, "")


CLOSED = {
    # What is closed, the arguments, the exit code, what standard error says.
    ("<&-", "--help"): (0, ""),
    (">&-", "--help"): (1, "trickle: Bad file descriptor"),
    ("2>&-", "--help"): (0, ""),
    ("<&- >&- 2>&-", "--help"): (1, ""),
    (">&-", "--version"): (1, "trickle: Bad file descriptor"),
    (">/dev/full", "--version"): (1, "trickle: No space left on device"),
    ("2>&-", ""): (2, ""),
    ("2>/dev/full", ""): (1, ""),
    ("2>&-", "sub"): (2, ""),
    ("2>/dev/full", "sub"): (2, ""),
    ("<&- >&- 2>&-", "sub"): (2, ""),
    ("<&-", "sub NOWHERE/a"): (1, "cannot reach"),
    (">&-", "sub NOWHERE/a"): (1, "trickle sub: "),
    ("2>&-", "sub NOWHERE/a"): (1, ""),
    ("2>&-", "pub NOWHERE/a"): (1, ""),
    ("2>&-", "watch -s NOWHERE"): (1, ""),
    ("<&- >&- 2>&-", "watch -s NOWHERE"): (1, ""),
    ("<&- >&- 2>&-", "pub NOWHERE/a"): (1, ""),
    ("<&- >&- 2>&-", "serve --host 192.0.2.1"): (1, ""),
}


def test_closed_standard_streams_are_no_reason_for_a_traceback(
    programs: Programs, nowhere: str
) -> None:
    started = {
        (closed, line): programs.start_other(
            *("sh", "-c", f'exec "$@" {closed}', "sh", *TRICKLE),
            *line.replace("NOWHERE", nowhere).split(),
        )
        for closed, line in CLOSED
    }
    for row, program in started.items():
        code, text = CLOSED[row]
        assert program.ends() == code, (row, program.err)
        assert text in program.err
        assert program.err.count("\n") == (1 if text else 0), row


# Its start.


def test_it_starts_about_as_fast_as_what_it_is_made_of() -> None:
    ours = (*TRICKLE, "--help")
    floor = (sys.executable, "-c", "import typer, rich")
    best = {ours: float("inf"), floor: float("inf")}
    for _ in range(7):  # in turns, so that what else runs here slows both
        for command in best:
            began = time.perf_counter()
            subprocess.run(
                command, stdout=subprocess.DEVNULL, env=environment(), check=True
            )
            best[command] = min(best[command], time.perf_counter() - began)
    assert best[ours] / best[floor] <= 1.8, best
