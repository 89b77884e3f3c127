"""Commands about channels that take a moment: ls, info, create, close, next."""

from __future__ import annotations

import json
import os
import pty

import pytest

from tests.commands.programs import TRICKLE, Http, Programs


@pytest.fixture
def server(programs: Programs) -> Http:
    """A server with three channels, of which one is closed."""
    _, http = programs.serve()
    http.make("cam-1", b"12345", b"678", type_="video/mp2t")
    http.make("cam-2")
    http.make("log", b"x" * 3000)
    http.close("log")
    return http


def listed(programs: Programs, http: Http, *arguments: str) -> str:
    program = programs.run("ls", "-s", http.url, *arguments)
    assert (program.ends(), program.err) == (0, "")
    return program.out.decode()


def test_ls_is_a_table_with_what_there_is_of_each(
    programs: Programs, server: Http
) -> None:
    heading, *rows = listed(programs, server).splitlines()
    assert (
        " ".join(heading.split()) == "NAME TYPE NEXT SEGMENTS HELD RATE SUBS PUBS AGE"
    )
    first, second, third = (row.split() for row in rows)
    assert first[:6] == ["cam-1", "video/mp2t", "2", "2", "8", "B"]
    assert second[:6] == ["cam-2", "text/plain", "0", "0", "0", "B"]
    assert third[:6] == ["log", "text/plain", "1", "1", "2.9", "KiB"]
    assert (first[-1][-1], third[-1]) == ("s", "closed")
    assert len({row.index("/p" if "/p" in row else "/m") for row in rows}) == 2


def test_ls_for_scripts(programs: Programs, server: Http) -> None:
    assert listed(programs, server, "-1") == "cam-1\ncam-2\nlog\n"
    assert listed(programs, server, "--names", "cam-*") == "cam-1\ncam-2\n"
    assert listed(programs, server, "-0", "c?m-[2-9]") == "cam-2\0"
    assert listed(programs, server, "-1", "--all").startswith("_changes\n")
    assert listed(programs, server, "-1", "_*") == "_changes\n"
    rows = map(json.loads, listed(programs, server, "--json").splitlines())
    told = {row["name"]: row for row in rows}
    assert list(told) == ["cam-1", "cam-2", "log"]
    assert (told["cam-1"]["head"], told["log"]["closed"]) == (2, True)
    page = json.loads(server.get("/cam-1"))
    assert told["cam-1"].keys() >= page.keys()


def test_ls_of_nothing_prints_nothing(programs: Programs, server: Http) -> None:
    program = programs.run("ls", "-s", server.url, "nothing*")
    assert (program.ends(), program.out) == (0, b"")
    assert program.err == f"trickle ls: no channel like 'nothing*' on {server.url}\n"
    silent = programs.run("ls", "-q", "-s", server.url, "nothing*")
    assert (silent.ends(), silent.out, silent.err) == (0, b"", "")


@pytest.mark.parametrize(
    ("env", "is_styled"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({}, False),
    ],
)
def test_ls_has_codes_on_terminals_that_want_them(
    programs: Programs, server: Http, env: dict[str, str], is_styled: bool
) -> None:
    terminal, side = pty.openpty()
    program = programs.start("ls", "-s", server.url, stdout=side, **env)
    os.close(side)
    assert program.ends() == 0
    shown = os.read(terminal, 65536)
    os.close(terminal)
    assert b"cam-1" in shown
    assert (b"\033[" in shown) is is_styled


def test_ls_ends_quietly_when_nobody_reads(programs: Programs, server: Http) -> None:
    script = '"$@" | true; echo "${PIPESTATUS[0]}"'
    program = programs.start_other(
        "bash", "-c", script, "bash", *TRICKLE, "ls", "-s", server.url
    )
    program.ends()
    assert program.err == ""
    assert program.out.strip() in {b"0", b"141"}


def test_info_tells_all_of_a_channel(programs: Programs, server: Http) -> None:
    program = programs.run("info", "-s", server.url, "log")
    assert (program.ends(), program.err) == (0, "")
    told = dict(
        line.split(":", 1) for line in program.out.decode().splitlines() if ":" in line
    )
    told = {key: value.strip() for key, value in told.items()}
    assert told["channel"] == "log"
    assert told["url"] == f"{server.url}/log"
    assert told["state"] == "closed, but still to be read"
    assert told["segments held"] == "1, 2.9 KiB (3000 bytes), from 0 on"
    assert told["next segment"] == "1"
    as_json = programs.run("info", "-s", server.url, "--json", "log")
    assert json.loads(as_json.out)["total_bytes"] == 3000


def test_create_says_whether_it_made_them(programs: Programs, server: Http) -> None:
    program = programs.run(
        *("create", "-s", server.url, "--type", "video/mp2t", "cam-1", "cam-2", "new")
    )
    assert (program.ends(), program.out) == (0, b"")
    assert program.err.splitlines() == [
        f"trickle create: {server.url}/cam-1 is there already",
        f"trickle create: {server.url}/cam-2 is there already, as text/plain",
        f"trickle create: made {server.url}/new",
    ]
    assert json.loads(server.get("/new"))["type"] == "video/mp2t"
    again = programs.run("create", "-s", server.url, "log")
    assert again.err == f"trickle create: made {server.url}/log\n"
    assert json.loads(server.get("/log"))["segments"] == 0


def test_create_makes_lossless_channels_or_says_that_it_is_none(
    programs: Programs, server: Http
) -> None:
    program = programs.run("create", "-s", server.url, "--lossless", "new")
    assert program.ends() == 0
    assert json.loads(server.get("/new"))["lossless"] is True
    program = programs.run("create", "-s", server.url, "--lossless", "cam-1")
    assert program.ends() == 1
    assert "is not lossless" in program.err


def test_create_without_the_right_to_exits_with_5(programs: Programs) -> None:
    _, http = programs.serve("--no-create")
    program = programs.run("create", "-s", http.url, "new")
    assert (program.ends(), program.out) == (5, b"")
    assert f"{http.url} does not let us make 'new' — start it with" in program.err


def test_close_ends_a_channel_once(programs: Programs, server: Http) -> None:
    program = programs.run("close", "-s", server.url, "cam-1")
    assert (program.ends(), program.out) == (0, b"")
    assert program.err == f"trickle close: closed {server.url}/cam-1\n"
    assert server.is_closed("cam-1")
    program = programs.run("close", "-s", server.url, "cam-1")
    assert program.ends() == 3


def test_close_ends_a_segment_that_is_open(programs: Programs, server: Http) -> None:
    publisher = programs.start("pub", "-s", server.url, "--time", "1h", "cam-2")
    publisher.feed(b"half")
    with server.begin("GET", "/cam-2/0") as answer:
        assert answer.read(4) == b"half"
        program = programs.run("close", "-s", server.url, "cam-2", "0")
        assert program.ends() == 0, program.err
        assert answer.read() == b""
    missing = programs.run("close", "-s", server.url, "cam-2", "9")
    assert missing.ends() == 3
    assert missing.err == "trickle close: no segment 9 (the head is 1)\n"


def test_next_prints_a_number_and_nothing_else(
    programs: Programs, server: Http
) -> None:
    program = programs.run("next", "-s", server.url, "cam-1")
    assert (program.ends(), program.out, program.err) == (0, b"2\n", "")
    closed = programs.run("next", "-s", server.url, "log")
    assert (closed.ends(), closed.out) == (0, b"1\n")
    assert "channel 'log' is closed" in closed.err


@pytest.mark.parametrize("command", ["info", "close", "next"])
def test_no_such_channel_exits_with_3(
    programs: Programs, server: Http, command: str
) -> None:
    program = programs.run(command, "-s", server.url, "none")
    assert (program.ends(), program.out) == (3, b"")
    where = f"no channel 'none' on {server.url}"
    assert program.err == f"trickle {command}: {where}\n"


@pytest.mark.parametrize("line", ["ls", "info c", "create c", "close c", "next c"])
def test_no_such_server_exits_with_1(
    programs: Programs, nowhere: str, line: str
) -> None:
    program = programs.run(*line.split(), TRICKLE_SERVER=nowhere)
    assert (program.ends(), program.out) == (1, b"")
    assert "connection refused — is a server running there? (trickle" in program.err
