from __future__ import annotations

import os
import pty
import stat
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.client.ours import serving
from tests.commands.programs import Http, Program, Programs
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig


@pytest.fixture
def three(common: Http, name: str) -> str:
    """The URL of a channel with three segments."""
    common.make(name, b"zero", b"one", b"two" * 300_000)
    return f"{common.url}/{name}"


WHICH = {"0": 0, "1": 1, "latest": 2, "-2": 2, "-3": 1, "-30": 0, "oldest": 0}


@pytest.mark.parametrize("seq", WHICH)
def test_a_segment_by_its_number_or_from_the_end(
    programs: Programs, three: str, seq: str
) -> None:
    program = programs.run("fetch", three, seq)
    assert (program.ends(), program.err) == (0, "")
    assert program.out == [b"zero", b"one", b"two" * 300_000][WHICH[seq]]


def test_a_negative_number_stands_anywhere_after_the_channel(
    programs: Programs, three: str, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    program = programs.run("fetch", three, "-3", "-o", str(file), "-q")
    assert (program.ends(), program.out, file.read_bytes()) == (0, b"", b"one")
    program = programs.run("fetch", "-q", "--", three, "-3")
    assert (program.ends(), program.out) == (0, b"one")
    url, _, name = three.rpartition("/")
    env: dict[str, Any] = {"TRICKLE_SERVER": url, "TRICKLE_CHANNEL": name}
    assert programs.run("fetch", name, "-3", **env).out == b"one"


@pytest.mark.parametrize("seq", ["3", "-1", "17"])
def test_what_has_not_begun_exits_with_3_and_tells_the_head(
    programs: Programs, three: str, seq: str, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"old")
    program = programs.run("fetch", three, seq, "-o", str(file))
    assert (program.ends(), program.out) == (3, b"")
    assert program.err == f"trickle fetch: no segment {seq} (the head is 3)\n"
    assert file.read_bytes() == b"old"


def test_what_has_gone_exits_with_3(programs: Programs) -> None:
    _, http = programs.serve("--keep-segments", "2", "--keep-newest", "2")
    http.make("cam", b"0", b"1", b"2", b"3")
    program = programs.run("fetch", f"{http.url}/cam", "0")
    assert (program.ends(), program.out) == (3, b"")
    assert program.err == "trickle fetch: no segment 0 (the head is 4)\n"


def test_no_such_channel_exits_with_3(programs: Programs, common: Http) -> None:
    program = programs.run("fetch", f"{common.url}/none", "0")
    assert (program.ends(), program.out) == (3, b"")
    assert "no channel 'none'" in program.err


def test_it_waits_for_what_is_to_begin_if_told_to(
    programs: Programs, common: Http, name: str
) -> None:
    common.make(name)
    program = programs.start("fetch", "--wait", "30s", f"{common.url}/{name}", "0")
    publisher = programs.start("pub", "--keep-open", f"{common.url}/{name}")
    publisher.feed(b"here")
    publisher.end_input()
    assert (program.ends(), program.out, program.err) == (0, b"here", "")


def test_it_does_not_wait_for_ever(programs: Programs, three: str) -> None:
    program = programs.run("fetch", "--wait", "200ms", three, "3")
    assert (program.ends(), program.out) == (124, b"")
    assert program.err == "trickle fetch: segment 3 has not begun in time\n"


def test_a_channel_that_closes_meanwhile_has_no_such_segment(
    programs: Programs, common: Http, three: str, name: str
) -> None:
    common.close(name)
    assert programs.run("fetch", three, "2").out == b"two" * 300_000
    program = programs.run("fetch", "--wait", "30s", three, "3")
    assert (program.ends(), program.out) == (3, b"")


def open_segment(programs: Programs, http: Http, name: str) -> Program:
    """The publisher of a segment that has begun with `half`, and stays open."""
    publisher = programs.start("pub", "--time", "1h", f"{http.url}/{name}")
    publisher.feed(b"half")
    with http.begin("GET", f"/{name}/-2") as answer:
        assert answer.read(4) == b"half"
    return publisher


def test_an_open_segment_comes_when_it_is_whole(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    common.make(name)
    publisher = open_segment(programs, common, name)
    file = tmp_path / "out"
    url = f"{common.url}/{name}"
    live = programs.start("fetch", "--live", url, "latest")
    live.writes(b"half")
    whole = programs.start("fetch", url, "latest")
    to_file = programs.start("fetch", url, "latest", "-o", str(file))
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(4) == b"half"
        assert whole.out == b""
        assert not file.exists()
        publisher.feed(b" and half")
        publisher.end_input()
        answer.read()
    for program in (whole, live, to_file):
        assert (program.ends(), program.err) == (0, "")
    assert whole.out == live.out == file.read_bytes() == b"half and half"
    assert os.listdir(tmp_path) == ["out"]


async def test_an_incomplete_segment_is_not_written_unless_live(
    programs: Programs, tmp_path: Path
) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"old")

    def work(url: str) -> None:
        http = Http(url)
        http.make("cam")
        publisher = open_segment(programs, http, "cam")
        waiting = programs.start("fetch", f"{url}/cam", "0", "-o", str(file))
        live = programs.start("fetch", f"{url}/cam", "0", "--live")
        live.writes(b"half")
        publisher.process.kill()
        later = programs.start("fetch", f"{url}/cam", "0")
        for program in (waiting, later, live):
            assert program.ends() == 4, program.err
            assert "segment 0 is incomplete" in program.err
        assert (waiting.out, later.out, live.out) == (b"", b"", b"half")

    config = ServerConfig(autocreate=True, allow_create=True, limits=Limits(resume=0.5))
    async with serving(config) as server:
        await trio.to_thread.run_sync(work, server.url.rstrip("/"))
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_keeps_its_permissions_and_a_link_its_target(
    programs: Programs, three: str, tmp_path: Path
) -> None:
    file, link = tmp_path / "out", tmp_path / "link"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to(file)
    assert programs.run("fetch", three, "1", "-o", str(link)).ends() == 0
    assert link.is_symlink()
    assert file.read_bytes() == b"one"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_is_no_file_is_written_to_and_not_replaced(
    programs: Programs, three: str
) -> None:
    program = programs.run("fetch", three, "1", "-o", "/dev/stdout")
    assert (program.ends(), program.out) == (0, b"one")
    assert programs.run("fetch", three, "1", "-o", "/dev/null").ends() == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("place", ["/dev/full", "/nothing/there", "/"])
def test_what_cannot_be_written_is_named(
    programs: Programs, three: str, place: str
) -> None:
    program = programs.run("fetch", three, "1", "-o", place)
    assert program.ends() == 1
    assert program.err.startswith(f"trickle fetch: {place}: ")
    assert program.err.count("\n") == 1


TYPES = [("video/mp2t", b"G"), ("", b"\0\1"), ("text/plain", b"a\0b")]


@pytest.mark.parametrize(("type_", "data"), TYPES)
def test_a_terminal_gets_no_binary_unless_somebody_insists(
    programs: Programs, common: Http, name: str, type_: str, data: bytes
) -> None:
    common.make(name, data, type_=type_)
    url = f"{common.url}/{name}"
    assert programs.run("fetch", url, "0").out == data
    for arguments, code in (((), 2), (("--live",), 2), (("--force",), 0)):
        terminal, side = pty.openpty()
        program = programs.start("fetch", url, "0", *arguments, stdout=side)
        os.close(side)
        assert program.ends() == code
        assert ("would upset the terminal" in program.err) is (code == 2)
        os.close(terminal)


def test_a_terminal_gets_text(programs: Programs, common: Http, name: str) -> None:
    common.make(name, "grüß dich\n".encode(), type_="application/octet-stream")
    terminal, side = pty.openpty()
    program = programs.start("fetch", f"{common.url}/{name}", "0", stdout=side)
    os.close(side)
    assert program.ends() == 0, program.err
    assert os.read(terminal, 100).decode().strip() == "grüß dich"
    os.close(terminal)


def test_an_interrupt_ends_it_and_leaves_nothing(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    common.make(name)
    open_segment(programs, common, name)
    url, file = f"{common.url}/{name}", tmp_path / "out"
    program = programs.start("fetch", url, "0", "-o", str(file))
    while not os.listdir(tmp_path):
        assert program.runs
    program.interrupt()
    assert program.ends() == 130
    assert os.listdir(tmp_path) == []
