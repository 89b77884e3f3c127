"""What all commands share: help, versions, wrong usage, standard streams."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
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
        re.findall(
            r"(?<![\w-])--?[A-Za-z0-9][a-z0-9-]*", text[text.index("Options:") :]
        )
    )
    assert set(options(COMMANDS[name])) - told == set()
    assert f"trickle {name} " in text[text.index("Example") :]
    assert max(map(len, text.splitlines())) <= 80


WRONG = {
    "publish": "trickle: No such command 'publish'",
    "--verbose": "trickle: No such option: --verbose",
    "sub --form=0 cam": "trickle sub: No such option: --form",
    "sub": "trickle sub: Missing argument 'CHANNEL...'",
    "info a b": "trickle info: Got unexpected extra argument",
    "sub cam --from": "trickle sub: Option '--from' requires an argument",
    "sub cam -2": "trickle sub: No such option: -2",
    "sub cam --cert": "trickle sub: Option '--cert' requires an argument",
    "sub cam --retry-for -2": "trickle sub: --retry-for: '-2' is not a time",
    "sub cam --on-gap x": "trickle sub: --on-gap: 'x' is none of skip, fail",
    "sub cam -q -v": "trickle sub: either --quiet or --verbose",
    "serve --port": "trickle serve: Option '--port' requires an argument",
    "serve --port 99999": "serve: --port: '99999' is not a number from 0 to 65535",
    "serve --port x": "serve: --port: 'x' is not a number from 0 to 65535",
    "serve --keep-segments 0": "--keep-segments: '0' is not a whole number of 1 or",
    "serve --max-readers 1.5": "--max-readers: '1.5' is not a whole number of 1 or",
    "serve --sync x": "serve: --sync: 'x' is none of none, segment, always",
    "serve --sync always": "serve: --sync is of no use without --data-dir",
    "serve --trusted-proxy foo": "serve: --trusted-proxy: 'foo' is not a network",
    "serve --autocreate=1": "serve: Option '--autocreate' does not take a value",
    "token new --expires x": "trickle token new: --expires: 'x' is not a time",
    "context use": "trickle context use: either NAME or --none is wanted",
    "context add x --server here": "trickle context add: --server: 'here' is not the",
    "ls --json -1": "trickle ls: only one of --json, --names and --print0",
    "fetch cam": "trickle fetch: Missing argument 'SEQ'",
    "fetch cam newest": "SEQ: 'newest' is not a segment: latest, oldest, a number N",
    "fetch cam -x": "trickle fetch: No such option: -x",
    "close cam -2": "trickle close: SEQ: -2: a segment is ended by its own number",
    "ping --count -1": "trickle ping: --count: '-1' is not a whole number of 0 or more",
    "watch -s here": "trickle watch: --server: 'here' is not the URL of a server",
    "watch a/b": "trickle watch: channel name 'a/b' contains '/'",
}


def test_wrong_usage_is_one_line(programs: Programs) -> None:
    started = {line: programs.start(*line.split()) for line in WRONG}
    for line, program in started.items():
        assert (program.ends(), program.out) == (2, b""), line
        assert WRONG[line] in program.err
        assert program.err.count("\n") == 1
        if "/" not in line:
            whole = r"(trickle[a-z ]*): .* \(see \1 --help\)\n"
            assert re.fullmatch(whole, program.err), program.err


FROM_VARIABLES = {
    ("serve", "TRICKLE_PORT", "x"): "serve: --port (from TRICKLE_PORT): 'x' is not a",
    ("sub cam", "TRICKLE_SERVER", "x"): "--server (from TRICKLE_SERVER): 'x' is not",
    (
        "sub cam",
        "TRICKLE_INSECURE",
        "x",
    ): "(from TRICKLE_INSECURE): 'x' is neither true",
    (
        "sub cam",
        "TRICKLE_PROGRESS",
        "x",
    ): "(from TRICKLE_PROGRESS): 'x' is none of auto",
    ("sub cam -s http", "TRICKLE_SERVER", "x"): "sub: --server: 'http' is not the URL",
}


def test_what_came_from_a_variable_is_told_and_only_that(programs: Programs) -> None:
    for (line, variable, value), text in FROM_VARIABLES.items():
        env: dict[str, Any] = {variable: value}
        program = programs.run(*line.split(), **env)
        assert (program.ends(), program.out) == (2, b"")
        assert text in program.err


def test_a_group_of_commands_alone_shows_its_help(programs: Programs) -> None:
    alone, asked = programs.run("token"), programs.run("token", "--help")
    assert (alone.ends(), alone.out) == (2, b"")
    assert alone.err == asked.out.decode()


MISSING = {
    "sub cam --cacert": "sub: --cacert NOFILE: No such file or directory — check",
    "sub cam --cert": "sub: --cert NOFILE: No such file or directory — check",
    "sub cam --token-file": "sub: --token-file NOFILE: No such file or directory",
    "serve --cert": "serve: --cert NOFILE: No such file or directory — check the path",
    "serve --data-dir": "serve: --data-dir NOFILE: No such file or directory — check",
    "serve --uds": "cannot listen on NOFILE: No such file or directory — check the",
}


def test_a_file_that_is_not_there_is_named_with_its_option(programs: Programs) -> None:
    for line, text in MISSING.items():
        path = "/proc/nothing/there"
        program = programs.run(*line.split(), path)
        assert (program.ends(), program.out) == (1, b"")
        assert text.replace("NOFILE", path) in program.err
        assert program.err.count("\n") == 1


def test_what_is_unusual_in_an_argument_cannot_command_a_terminal(
    programs: Programs,
) -> None:
    program = programs.run("serve", "--port", "\033[1m\n\u202e")
    assert program.ends() == 2
    assert "\033" not in program.err
    assert "\u202e" not in program.err
    assert program.err.count("\n") == 1


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
    ("2>&-", "sub --format {x} a"): (2, ""),
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
        assert not program.out or code == 0, row
        assert program.err.count("\n") == (1 if text else 0), row


# Its start.


STARTS = {
    "module": ("-m", "trickle_cli"),
    "script": ("-c", "from trickle_cli.start import main; main()"),
}


@pytest.mark.parametrize("start", STARTS)
def test_an_interrupt_while_it_imports_ends_it_without_a_traceback(
    start: str, tmp_path: Path, programs: Programs
) -> None:
    (tmp_path / "typer.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(30)  # until a handler in Python has run\n"
    )
    here = [str(tmp_path), *filter(None, sys.path)]
    program = programs.start_other(
        sys.executable, *STARTS[start], "--help", PYTHONPATH=os.pathsep.join(here)
    )
    assert program.ends() == -signal.SIGINT
    assert program.err == ""


def test_the_installed_command_begins_there() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"trickle": "trickle_cli.start:main"}


def test_to_begin_imports_next_to_nothing() -> None:
    code = "import sys; old = set(sys.modules); import trickle_cli.start; "
    code += "print(*sorted(set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment()
    )
    new = {"__future__", "trickle_cli", "trickle_cli.start", "trickle_cli.version"}
    assert set(done.stdout.decode().split()) <= new


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


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_does_not_wait_for_what_it_works_with(
    programs: Programs, name: str
) -> None:
    """Nor does a shell that completes a line: both load it to know its options."""
    script = (
        f"from trickle_cli.commands.table import load; load({name!r}); import sys;"
        " sys.exit(', '.join({'trio', 'httpx'} & sys.modules.keys()) or 0)"
    )
    program = programs.start_other(sys.executable, "-c", script)
    assert program.ends() == 0, program.err


def test_the_collector_is_on_while_a_command_runs_and_passes_over_imports() -> None:
    code = (
        "import gc, sys; from trickle_cli import start, __main__;"
        "from trickle_cli.commands import running;\n"
        "async def program(): print(gc.isenabled(), gc.get_freeze_count() > 1000)\n"
        "__main__.main = lambda: running.run('it', program)\n"
        "start.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "True True\n", done.stderr
