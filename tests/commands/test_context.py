from __future__ import annotations

import json
import os
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.commands.programs import Http, Program, Programs
from trickle_cli.access import digest_of
from trickle_cli.commands.connecting import _is_elsewhere


class Home:
    """Commands in a home with contexts of its own."""

    def __init__(self, programs: Programs, path: Path) -> None:
        self.programs = programs
        self.file = path / "trickle" / "contexts.json"
        self._path = path

    def run(self, line: str, **options: Any) -> Program:
        return self.programs.run(
            *line.split(), XDG_CONFIG_HOME=str(self._path), **options
        )

    def done(self, line: str, **options: Any) -> str:
        program = self.run(line, **options)
        assert program.ends() == 0, program.err
        return program.out.decode()


@pytest.fixture
def home(programs: Programs, tmp_path: Path) -> Home:
    return Home(programs, tmp_path / "config")


def test_the_first_one_is_current_and_another_when_it_is_chosen(home: Home) -> None:
    home.done("context add one --server http://one")
    home.done("context add two -s http://two:2939/live")
    assert home.done("context ls").splitlines() == [
        "* one  http://one",
        "  two  http://two:2939/live",
    ]
    home.done("context use two")
    assert home.done("context ls --names") == "one\ntwo\n"
    assert home.done("context show").startswith("name:       two\n")
    home.done("context rm two")
    assert home.done("context ls") == "  one  http://one\n"
    assert home.run("context show").ends() == 2
    assert home.run("context rm two").ends() == 2
    assert home.run("context use two").ends() == 2


def test_what_becomes_of_the_current_one_is_said(home: Home) -> None:
    say = "trickle context"
    assert home.run("context add one -s http://one").err == (
        f"{say} add: 'one' is http://one — the current context\n"
    )
    assert home.run("context add two -s http://two").err == (
        f"{say} add: 'two' is http://two — trickle context use two\n"
    )
    assert home.run("context rm two").err == f"{say} rm: 'two' is forgotten\n"
    assert home.run("context rm one").err == (
        f"{say} rm: 'one' is forgotten; none is the current one now\n"
    )


def test_without_any_that_is_said(home: Home) -> None:
    program = home.run("context ls")
    assert (program.ends(), program.out) == (0, b"")
    assert "there are none: trickle context add NAME --server URL" in program.err
    assert not home.file.exists()


def test_the_file_is_its_owners_alone(home: Home) -> None:
    mask = os.umask(0)
    try:
        home.done("context add one --server http://one --token secret")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.file.parent.stat().st_mode) == 0o700
    assert [path.name for path in home.file.parent.iterdir()] == [home.file.name]


def test_a_token_is_stored_and_never_shown(home: Home) -> None:
    home.done("context add one --server http://one --token -", given=b"secret\n")
    assert json.loads(home.file.read_text())["contexts"]["one"]["token"] == "secret"
    for line in ("context ls", "context show one", "context show --json one"):
        shown = home.done(line)
        assert "secret" not in shown
        assert "token" in shown


def test_additions_at_the_same_time_are_all_kept(home: Home) -> None:
    threads = [
        threading.Thread(target=home.done, args=(f"context add c{n} -s http://c{n}",))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert home.done("context ls -1").split() == [f"c{n}" for n in range(5)]


DAMAGED = {
    "{": "is damaged",
    "[]": "is damaged",
    '{"contexts": {"a": {}}}': "is damaged",
    '{"contexts": {"a": {"server": 5}}}': "is damaged",
    '{"contexts": {"a": {"server": "http://a", "surplus": 1}}}': "is damaged",
    '{"contexts": {}, "current": "a"}': "is damaged",
    '{"contexts": {"a": {"server": "no url"}}, "current": "a"}': "is not the URL of",
    "\x00": "is damaged",
    '{"contexts": []}': "is damaged",
    "[" * 100_000: "is damaged",
}


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_refused_in_one_line(home: Home, content: str) -> None:
    home.file.parent.mkdir(parents=True)
    home.file.write_text(content)
    home.file.chmod(0o600)
    program = home.run("next cam")
    assert (program.ends(), program.out) == (2, b"")
    assert DAMAGED[content] in program.err
    assert program.err.count("\n") == 1
    assert home.file.read_text() == content


def test_others_may_not_write_it_and_should_not_read_it(
    home: Home, common: Http
) -> None:
    common.make("mine")
    home.done(f"context add one --server {common.url} --token secret")
    home.file.chmod(0o640)
    program = home.run("next mine")
    assert (program.ends(), program.out) == (0, b"0\n")
    assert f"others can read the tokens in {home.file}" in program.err
    home.file.chmod(0o620)
    program = home.run("next mine")
    assert (program.ends(), program.out) == (2, b"")
    assert "others can write to it" in program.err


def reached(home: Home, line: str, **env: str) -> str:
    """Which server a command cannot reach, or finds no channel on."""
    program = home.run(line, **env)
    found = re.search(r"(?:cannot reach| on) (http://[\w.:]+\d)", program.err)
    assert program.ends() in {1, 3}, program.err
    assert found is not None, program.err
    return found[1]


def test_what_is_said_comes_before_what_is_in_a_context(home: Home) -> None:
    servers = [f"http://127.0.0.1:{port}" for port in (1, 2, 3, 4)]
    current, named, variable, option = servers
    home.done(f"context add current --server {current}")
    home.done(f"context add named --server {named}")
    env = {"TRICKLE_SERVER": variable}
    assert reached(home, "next cam") == current
    assert reached(home, "next cam", TRICKLE_CONTEXT="named") == named
    assert reached(home, "next cam", **env, TRICKLE_CONTEXT="named") == variable
    assert reached(home, "next cam", **env) == variable
    assert reached(home, "next --context named cam", **env) == named
    assert reached(home, f"next --context named -s {option} cam", **env) == option
    home.done("context use --none")
    assert reached(home, "next cam") == "http://127.0.0.1:2939"


def test_an_unknown_context_is_said_with_those_there_are(home: Home) -> None:
    home.done("context add one --server http://one")
    program = home.run("next --context two cam")
    assert program.ends() == 2
    assert "no context is called 'two' — there are: one" in program.err


ELSEWHERE = {
    "cam": False,
    "http://host:2939/cam": False,
    "http://host:2939": False,
    "http://host:2939/": False,
    "http://HOST:2939/cam": False,
    "http://host:29390/cam": True,
    "http://host/cam": True,
    "http://host:2939/below/cam": True,
    "http://host:2939@evil/cam": True,
    "https://host:2939/cam": True,
    "unix:/run/it:/cam": True,
}


@pytest.mark.parametrize("text", ELSEWHERE)
def test_an_argument_leads_to_another_server_or_not(text: str) -> None:
    assert _is_elsewhere(text, "http://host:2939") is ELSEWHERE[text]


def test_a_socket_is_another_than_one_below_its_path() -> None:
    assert not _is_elsewhere("unix:/run/it:/cam", "unix:/run/it")
    assert not _is_elsewhere("unix:/run/it", "unix:/run/it")
    assert _is_elsewhere("unix:/run/it/other:/cam", "unix:/run/it")


@pytest.fixture
def guarded(programs: Programs, tmp_path: Path) -> Http:
    """A server with the channel `cam`, and the token `secret` for it."""
    tokens = tmp_path / "tokens.toml"
    digest = digest_of(b"secret").hex()
    rights = 'rights = ["subscribe", "create"]\nchannels = ["*"]\n'
    tokens.write_text(f'[tokens.me]\nsha256 = "{digest}"\n{rights}')
    return programs.serve("--tokens", str(tokens), "--channel", "cam")[1]


def test_its_token_goes_to_its_server_and_to_no_other(
    home: Home, guarded: Http, tmp_path: Path
) -> None:
    """The same server by another name is another, as far as we can know."""
    other = guarded.url.replace("127.0.0.1", "localhost")
    home.done(f"context add one --server {guarded.url} --token secret")
    assert home.done("next cam") == "0\n"
    assert home.done(f"next {guarded.url}/cam") == "0\n"
    assert home.done(f"next -s {guarded.url} cam") == "0\n"
    assert home.done(f"ping -c 1 {guarded.url}")
    assert home.run(f"next {other}/cam").ends() == 5
    assert home.run(f"next -s {other} cam").ends() == 5
    assert home.run(f"next {guarded.url}0/cam").ends() != 0
    assert home.run("next cam", TRICKLE_TOKEN="wrong").ends() == 5
    file = tmp_path / "token"
    file.write_text("secret\n")
    home.done(f"context add one --server {guarded.url} --token-file {file}")
    assert home.done("next cam", TRICKLE_CONTEXT="one") == "0\n"
