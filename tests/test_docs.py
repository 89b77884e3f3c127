"""What docs/ says is true: its programs run, its tables are those of the code."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import trickle_cli
from tests.commands.conftest import programs as programs
from tests.commands.programs import Http, Programs
from trickle_cli.access import TokenFile
from trickle_cli.commands.table import load
from trickle_cli.statistics import ChannelStatistics

DOCS = Path(__file__).parent.parent / "docs"
LIBRARY = (DOCS / "library.md").read_text()
SERVING = (DOCS / "serving.md").read_text()
SERVE: Any = load("serve")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first row is `heading`."""
    table = text[text.index(heading) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


# The library.

PUBLISHER, SUBSCRIBER, SERVER, OTHER = blocks(LIBRARY, "python")


def run(text: str, http: Http) -> str:
    """What a program prints, with `http` where it looks for a server."""
    assert text.count("http://127.0.0.1:2939") <= 1
    done = subprocess.run(
        [sys.executable, "-c", text.replace("http://127.0.0.1:2939", http.url)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_programs_for_the_library_do_what_they_say(programs: Programs) -> None:
    _, http = programs.serve("--autocreate")
    assert run(PUBLISHER, http) == "published 2 segments\n"
    assert run(SUBSCRIBER, http) in {
        "0 one, \n0 two\n1 three\n",
        "0 one, two\n1 three\n",
    }
    assert run(OTHER, http) == "1 2\nFalse three\n"
    assert run(SERVER, http) == "['_changes', 'clock']\n"


TABLE = rows(LIBRARY, "| there | here | |")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_each_name_of_the_go_package_has_one_here(row: list[str]) -> None:
    there, here, _ = row
    assert there
    (path,) = re.findall(r"^`([\w.]+)`$", here)
    found: object = trickle_cli
    for name in path.split("."):
        if dataclasses.is_dataclass(found):
            assert name in {field.name for field in dataclasses.fields(found)}
            return
        found = getattr(found, name)
        assert getattr(found, "__doc__", None), f"{path} has no docstring"


def test_nothing_of_the_go_package_is_left_out() -> None:
    here = " ".join(row[1] for row in TABLE)
    for name in (
        *("Server", "ServerConfig.base_path", "ServerConfig.changefeed"),
        *("ServerConfig.autocreate", "ServerConfig.idle_timeout"),
        *("ServerConfig.sweep_interval", "ServerConfig.before_create"),
        *("ServerConfig.before_delete", "Server.run", "Server.stop"),
        *("LocalPublisher.write", "LocalSubscriber.set_seq", "LocalSegment"),
        *("Publisher.next", "SegmentWriter.close", "Subscriber.set_seq"),
        *("Changefeed", "SegmentNotFound", "ChannelNotFound", "ChannelClosed"),
        *("UnexpectedStatus", "FirstByteTimeout", "CHANGEFEED"),
        *("SequenceStart.CURRENT", "SequenceStart.NEXT", "Channel", "Segment"),
        *("Reader", "seq_of", "latest_of", "is_end_of_channel", "tls_context"),
    ):
        assert f"`{name}`" in here, name


def test_what_is_public_is_there_and_documented() -> None:
    names = [name for name in trickle_cli.__all__ if name != "__version__"]
    assert len(names) == len(set(names))
    for name in names:
        value = getattr(trickle_cli, name)
        assert isinstance(value, str) or value.__doc__, name
    stub = (Path(trickle_cli.__file__)).read_text()
    for name in names:
        assert f"{name} as {name}" in stub, "the type checker does not see it"
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = trickle_cli.Nothing
    assert set(names) <= set(dir(trickle_cli))


def test_to_import_the_package_imports_little() -> None:
    code = "import sys, trickle_cli; print('trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"


# Serving.


def test_the_table_of_limits_is_that_of_the_options() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(SERVING, "| option | default |")}
    options = {
        option.opts[0]: str(option.default)
        for option in SERVE.params
        if option.opts[0] in told
    }
    assert options == told
    groups = (DOCS.parent / "trickle_cli/commands/limiting.py").read_text()
    ours = re.findall(r"^    ([a-z_]+): Annotated\[", groups, re.MULTILINE)
    missing = {f"--{name.replace('_', '-')}" for name in ours} - set(told)
    assert missing == {"--trusted-proxy"}  # which is no limit, and told elsewhere


def test_the_file_of_tokens_can_be_read(tmp_path: Path) -> None:
    (text,) = blocks(SERVING, "toml")
    assert tomllib.loads(text)
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    assert len(TokenFile.load(str(path))) == 2


def test_the_page_of_a_channel_is_as_shown() -> None:
    (text,) = blocks(SERVING, "json")
    shape = [field.name for field in dataclasses.fields(ChannelStatistics)]
    assert list(json.loads(text)) == shape


def test_every_right_is_told() -> None:
    told = [row[0].strip("`") for row in rows(SERVING, "| right | for |")]
    assert told == [right.value for right in trickle_cli.Right]


def test_the_units_for_systemd_are_well_formed() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DOCS / "trickle.service")
    command, serve, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert (Path(command).name, serve) == ("trickle", "serve")
    SERVE.make_context("serve", arguments)
    assert unit["Service"]["Type"] == "notify"
    sockets = configparser.ConfigParser(interpolation=None)
    sockets.read(DOCS / "trickle.socket")
    assert sockets["Socket"]["ListenStream"] == "2939"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target
