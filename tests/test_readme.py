"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import typer.main

from tests.commands.conftest import programs as programs
from tests.commands.programs import Programs
from trickle_cli.__main__ import app
from trickle_cli.commands.running import ExitCode
from trickle_cli.commands.table import COMMANDS as TABLE, load

HOME = Path(__file__).parent.parent
README = (HOME / "README.md").read_text()
SERVING = (HOME / "docs/serving.md").read_text()
COMMANDS: dict[str, Any] = {name: load(name) for name in TABLE}
#: A command line of ours, within a block or in a sentence.
LINE = re.compile(r"(?:^|[`|]) *(trickle [^`|#\n]+)", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def block_with(text: str, language: str = "sh") -> str:
    (block,) = (block for block in blocks(language) if text in block)
    return block.strip()


def examples() -> Iterator[str]:
    """Every command line that is in the README, and in the help of a command."""
    texts = [README, SERVING, *(command.epilog for command in COMMANDS.values())]
    for text in texts:
        yield from (line.strip() for line in LINE.findall(text))


@pytest.mark.parametrize("line", sorted(set(examples())))
def test_every_command_line_is_one(line: str) -> None:
    _, *arguments = shlex.split(line.partition(">")[0])
    if not {"COMMAND", "[CHANNEL]", "CHANNEL...", "|"} & set(arguments):
        if "2>" in line:  # before what standard error goes to
            arguments = arguments[:-1]
        COMMANDS[arguments[0]].make_context(arguments[0], arguments[1:])


def test_every_command_is_told() -> None:
    table = README[README.index("## The commands") : README.index("### Publishing")]
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told == set(COMMANDS)


def test_every_option_it_tells_of_is_one() -> None:
    ours = {
        option
        for command in COMMANDS.values()
        for one in [command, *getattr(command, "commands", {}).values()]
        for parameter in one.params
        if parameter.param_type_name == "option"
        for option in [*parameter.opts, *parameter.secondary_opts]
    }
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", README))
    assert told - ours - {"--help"} == set()


def test_every_exit_code_is_told_and_no_other() -> None:
    table = README[README.index("| code |") : README.index("### Completion")]
    told = re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)
    assert {int(code) for codes in told for code in codes.split(",")} == set(ExitCode)
    shown = re.search(r"Exit codes: (.*?)\.", " ".join(str(app_help()).split()))
    assert shown is not None
    assert {int(code) for code in re.findall(r"\d+", shown[1])} == set(ExitCode)


def app_help() -> object:
    return vars(typer.main.get_command(app))["help"]


def test_every_variable_is_told_and_no_other() -> None:
    ours = {
        variable
        for command in COMMANDS.values()
        for parameter in command.params
        if (variable := parameter.envvar) is not None
    }
    of_commands = {f"TRICKLE_{name}" for name in ("CHANNEL", "SEQ", "TYPE", "SIZE")}
    assert set(re.findall(r"TRICKLE_[A-Z_]+", README)) == ours | of_commands


def test_the_program_in_it_runs(tmp_path: Path) -> None:
    (text,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        cwd=tmp_path,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0 one\n1 two\n2 three\n", "")


def test_live_video_in_three_terminals(programs: Programs, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    (tools / "trickle").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m trickle_cli "$@"\n'
    )
    (tools / "trickle").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def type_in(line: str, **env: str) -> Any:
        script = f"cd {shlex.quote(str(tmp_path))} && {line}"
        return programs.start_other("bash", "-c", script, PATH=path, **env)

    # exec: what runs is what is killed in the end.
    serve = "exec " + block_with("trickle serve --autocreate")
    server = type_in(serve, TRICKLE_PORT="0")
    url = server.says("listening on").rpartition(" ")[2]
    sub = "exec " + block_with("trickle sub cam >")
    subscriber = type_in(sub, TRICKLE_SERVER=url)
    subscriber.says("waiting")
    camera = block_with("ffmpeg -log")
    assert camera.endswith(" - | trickle pub cam")
    publisher = type_in(
        camera.replace(" | ", " | tee source.ts | "), TRICKLE_SERVER=url
    )
    assert publisher.ends(120) == 0, publisher.err
    assert subscriber.ends() == 0, subscriber.err
    source = (tmp_path / "source.ts").read_bytes()
    assert len(source) > 100_000
    assert (tmp_path / "out.ts").read_bytes() == source
