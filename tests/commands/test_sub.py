"""Subscribing, to channels that an HTTP client or `trickle pub` publishes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from tests.client.ours import OurServer, serving
from tests.commands.programs import (
    TRICKLE,
    Http,
    Program,
    Programs,
    wait_until,
)
from trickle_cli.relay import Limits, Window
from trickle_cli.server import ServerConfig

Command = tuple[str, ...]
LARGE = b"x" * 1_000_000  # more than any pipe holds


def shell(programs: Programs, script: str, *command: str) -> Program:
    """`script`, in which "$@" is `trickle` with the arguments of `command`."""
    return programs.start_other("bash", "-c", script, "bash", *TRICKLE, *command)


# What comes out.


def test_bytes_come_out_as_they_are_published(
    programs: Programs, common: Http, pub: Command, sub: Command, name: str
) -> None:
    common.make(name)
    subscriber = programs.start(*sub, name)
    publisher = programs.start(*pub, "--time", "1h", name)
    publisher.feed(b"one, ")
    subscriber.writes(b"one, ")
    publisher.feed(b"two, ")
    subscriber.writes(b"one, two, ")
    publisher.end_input()
    assert subscriber.ends() == 0
    assert subscriber.out == b"one, two, "
    assert re.fullmatch(
        r"trickle sub: received 1 segment, 10 B in [\d.]+ m?s, [\d.]+ k?bit/s\n",
        subscriber.err,
    )


def test_segments_are_joined_byte_for_byte_until_the_channel_ends(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    segments = [os.urandom(300_000), b"", b"\0\r\n", os.urandom(70_000)]
    common.make(name, *segments)
    common.close(name)
    assert programs.run(*sub, "--from", "oldest", name).out == b"".join(segments)


def test_a_file_gets_it_instead_of_standard_output(
    programs: Programs, common: Http, sub: Command, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"something longer that was there before")
    common.make(name, b"all ", b"of it")
    common.close(name)
    program = programs.run(*sub, "--from", "0", "-o", str(path), name)
    assert (program.ends(), program.out) == (0, b"")
    assert path.read_bytes() == b"all of it"


def test_a_named_pipe_can_be_the_file(
    programs: Programs, common: Http, sub: Command, name: str, tmp_path: Path
) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    common.make(name, b"one ")
    program = programs.start(*sub, "--output", str(path), name)
    reader = programs.start_other("cat", str(path))
    reader.writes(b"one ")
    common.add(name, 1, b"two")
    reader.writes(b"one two")
    common.close(name)
    assert (program.ends(), reader.ends()) == (0, 0)


def test_an_output_that_takes_nothing_is_named(
    programs: Programs, common: Http, sub: Command, name: str, tmp_path: Path
) -> None:
    common.make(name, b"data")
    for path, reason in [
        (tmp_path, "Is a directory — name a file in it"),
        (tmp_path / "missing" / "file", "No such file or directory — check the path"),
        (Path("/dev/full"), "No space left on device — make room there"),
    ]:
        program = programs.run(*sub, "-o", str(path), name)
        assert program.ends() == 1
        assert program.err == f"trickle sub: {path}: {reason}\n"
    for redirection, reason in [
        (">/dev/full", "No space left on device — make room there"),
        (">&-", "Bad file descriptor"),
    ]:
        program = shell(programs, f'exec "$@" {redirection}', *sub, name)
        assert program.ends() == 1
        assert program.err == f"trickle sub: standard output: {reason}\n"


# Where it starts.


@pytest.fixture
async def small() -> AsyncIterator[OurServer]:
    """A server in this process that keeps four segments of a channel."""
    limits = Limits(window=Window(segments=4, floor=1))
    async with serving(ServerConfig(autocreate=True, limits=limits)) as server:
        yield server


async def beside(server: OurServer, work: Callable[[Http], None]) -> None:
    """Do `work`, which waits for processes, while `server` serves them."""
    await trio.to_thread.run_sync(work, Http(server.url.rstrip("/")))


STARTS = {
    "oldest": b"2345",
    "3": b"345",
    "0": b"2345",
    "latest": b"5",
    "-2": b"5",
    "-4": b"345",
    "-99": b"2345",
    "next": b"",
    "-1": b"",
    "6": b"",
}


async def test_it_starts_where_it_was_asked_to(
    programs: Programs, small: OurServer
) -> None:
    def work(http: Http) -> None:
        http.make("cam", b"0", b"1", b"2", b"3", b"4", b"5")
        started = {
            start: programs.start("sub", "--from", start, f"{http.url}/cam")
            for start in STARTS
        }
        for start, held in STARTS.items():
            started[start].writes(held)
        wait_until(lambda: small.hub.find("cam").readers == len(STARTS))
        http.add("cam", 6, b"+")
        http.close("cam")
        for start, held in STARTS.items():
            assert started[start].ends() == (4 if start == "0" else 0), start
            assert started[start].out == held + b"+", start

    await beside(small, work)


def test_a_start_that_cannot_be_is_wrong_usage(programs: Programs) -> None:
    for start in ["first", "", "1.5", "-0", "1_0", "9" * 17]:
        program = programs.run("sub", f"--from={start}", "cam")
        assert program.ends() == 2, start
        assert program.err == (
            f"trickle sub: --from: '{start}' is not a start:"
            " latest, next, oldest, a number N, or -N (see trickle sub --help)\n"
        )


# Channels that are not there.


@pytest.mark.parametrize("start", ["latest", "oldest"])
def test_a_missing_channel_is_waited_for_and_read_from_its_first_segment(
    programs: Programs, common: Http, sub: Command, name: str, start: str
) -> None:
    program = programs.start(*sub, "--from", start, name)
    program.says(f"trickle sub: no channel '{name}' on {common.url} yet; waiting")
    common.make(name, b"one ", b"two ", b"three")
    program.writes(b"one two three")
    assert program.says("here it is")
    common.close(name)
    assert program.ends() == 0
    assert program.err.count("\n") == 3


def test_no_wait_ends_it_where_there_is_no_channel(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    program = programs.run(*sub, "--no-wait", name)
    assert (program.ends(), program.out) == (3, b"")
    assert program.err == f"trickle sub: no channel '{name}' on {common.url}\n"


def test_an_unreachable_server_is_said_with_what_to_do(
    programs: Programs, nowhere: str
) -> None:
    program = programs.run("sub", "-s", nowhere, "cam")
    assert (program.ends(), program.out) == (1, b"")
    assert program.err == (
        f"trickle sub: cannot reach {nowhere}: connection refused"
        " — is a server running there? (trickle serve)\n"
    )


def test_a_name_with_a_slash_is_wrong_usage(programs: Programs) -> None:
    program = programs.run("sub", "a/b")
    assert program.ends() == 2
    assert "channel name 'a/b' contains '/': use a name without it" in program.err
    assert program.err.count("\n") == 1


def test_server_and_channel_are_told_by_a_url_or_the_environment(
    programs: Programs, common: Http, sub: Command, name: str, nowhere: str
) -> None:
    common.make(name, b"data")
    common.close(name)
    right = {"TRICKLE_SERVER": common.url, "TRICKLE_CHANNEL": name}
    wrong = {"TRICKLE_SERVER": nowhere, "TRICKLE_CHANNEL": "other"}
    told: list[tuple[Command, dict[str, str]]] = [
        (("sub",), right),
        (("sub", name), {"TRICKLE_SERVER": common.url}),
        ((*sub, name), wrong),
        (("sub", f"{common.url}/{name}"), wrong),
        (("sub", "-s", nowhere, f"{common.url}/{name}/"), {}),
        (("sub",), {"TRICKLE_CHANNEL": f"{common.url}/{name}"}),
    ]
    for command, env in told:
        program = programs.start(*command, **env)
        assert (program.ends(), program.out) == (0, b"data"), (command, env)


# What is lost.


async def test_what_a_slow_reader_missed_is_said_and_is_a_failure(
    programs: Programs, small: OurServer, tmp_path: Path
) -> None:
    def work(http: Http) -> None:
        http.make("cam", b"0")
        program = programs.start("sub", f"{http.url}/cam")
        program.writes(b"0")  # by now it has asked for 1
        program.interrupt(signal.SIGSTOP)
        http.add("cam", 1, *(b"%d" % seq for seq in range(1, 10)))
        program.interrupt(signal.SIGCONT)
        program.writes(b"016789")
        http.close("cam")
        assert program.ends() == 4
        told, summary = program.err.splitlines()
        assert told == "trickle sub: lost segments 2-5"
        assert summary.endswith("; lost 4 segments")

    await beside(small, work)


def test_what_is_lost_is_told_to_those_who_want_quiet_too(programs: Programs) -> None:
    _, http = programs.serve("--keep-segments", "5")
    http.make("cam", *(b"%d " % seq for seq in range(8)))
    quiet = ("sub", "-q", "--from", "0", "--until-end", f"{http.url}/cam")
    program = programs.run(*quiet)
    assert (program.ends(), program.out) == (4, b"3 4 5 6 7 ")
    assert program.err == "trickle sub: lost segments 0-2\n"


def test_a_segment_that_breaks_off_for_good_is_a_failure(programs: Programs) -> None:
    server, http = programs.serve("--channel", "cam")
    publisher = programs.start("pub", f"{http.url}/cam")
    program = programs.start("sub", "--retry-for", "6s", f"{http.url}/cam")
    publisher.feed(b"so far")
    program.writes(b"so far")
    publisher.process.kill()
    server.process.kill()
    program.says(f"cannot reach {http.url}")
    programs.serve(port=http.address[1])
    assert program.ends() == 4
    assert "trickle sub: segment 0 is incomplete\n" in program.err


def test_a_server_that_comes_back_without_the_channel_has_lost_it(
    programs: Programs,
) -> None:
    server, http = programs.serve("--channel", "cam")
    http.add("cam", 0, b"zero")
    program = programs.start("sub", "--retry-for", "6s", f"{http.url}/cam")
    program.writes(b"zero")
    server.process.kill()
    program.says(f"cannot reach {http.url}")
    programs.serve(port=http.address[1])
    assert program.ends() == 4
    assert f"channel 'cam' on {http.url} has vanished" in program.err.splitlines()[-1]


@pytest.mark.parametrize("command", ["pub", "sub"])
def test_a_server_that_stays_away_is_given_up_and_after_how_long_is_said(
    programs: Programs, command: str
) -> None:
    server, http = programs.serve("--channel", "cam")
    http.add("cam", 0, b"zero")
    program = programs.start(command, "--retry-for", "1s", f"{http.url}/cam")
    if command == "sub":
        program.writes(b"zero")
    else:
        program.feed(b"begun")
        with http.begin("GET", "/cam/1") as answer:
            assert answer.read(1) == b"b"
    server.process.kill()
    assert program.ends() == 1
    *_, line = (line for line in program.err.splitlines() if "cannot reach" in line)
    assert re.fullmatch(
        rf"trickle {command}: cannot reach {http.url}: connection refused"
        r" — is a server running there\? \(trickle serve\); gave up after [0-9]+ s",
        line,
    )


def test_a_server_that_comes_back_is_gone_on_with(programs: Programs) -> None:
    server, http = programs.serve("--channel", "cam")
    http.add("cam", 0, b"0 ", b"1 ", b"2 ")
    program = programs.start("sub", "--from", "0", f"{http.url}/cam")
    program.writes(b"0 1 2 ")
    server.process.kill()
    program.says(f"cannot reach {http.url}: connection refused")
    programs.serve("--autocreate", "--channel", "cam", port=http.address[1])
    http.add("cam", 0, b"new 0 ")
    program.writes(b"0 1 2 new 0 ")  # what it has not asked for, but is there
    assert program.says("the channel has begun anew, at segment 0")
    http.add("cam", 1, b"new 1")
    program.writes(b"0 1 2 new 0 new 1")
    http.close("cam")
    assert program.ends() == 0


# Who reads it.


def test_a_reader_that_has_enough_ends_it_quietly(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    common.make(name, b"0123456789 and no more")
    for command in ["head -c 10", "true"]:  # nothing comes in when it ends
        script = f'"$@" | {command}; exit "${{PIPESTATUS[0]}}"'
        program = shell(programs, script, *sub, name)
        assert program.ends() == 141
        assert program.out == (b"0123456789" if command != "true" else b"")
        assert program.err == ""


def test_a_reader_that_goes_before_anything_came_ends_it_quietly(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    common.make(name)
    program = shell(programs, '"$@" | true; exit "${PIPESTATUS[0]}"', *sub, name)
    assert (program.ends(), program.err) == (141, "")


def test_a_reader_that_has_all_may_go_before_the_channel_ends(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    common.make(name, b"all of it")
    script = (
        '"$@" | { head -c 9; exec <&-; echo has all >&2; }; exit "${PIPESTATUS[0]}"'
    )
    program = shell(programs, script, *sub, name)
    assert program.says("has all")
    common.close(name)
    assert (program.ends(), program.out) == (0, b"all of it")


# Interruptions.


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_it_whatever_it_waits_for(
    programs: Programs,
    common: Http,
    pub: Command,
    sub: Command,
    name: str,
    number: int,
    code: int,
) -> None:
    absent = programs.start(*sub, f"{name}-absent")
    absent.says("waiting")

    common.make(f"{name}-open")
    publisher = programs.start(*pub, f"{name}-open")
    publisher.feed(b"data")
    reading = programs.start(*sub, f"{name}-open")
    reading.writes(b"data")

    common.make(f"{name}-large", LARGE)
    reader, writer = os.pipe()
    with open(reader, "rb") as unread, open(writer, "wb") as full:
        blocked = programs.start(*sub, f"{name}-large", stdout=full)
        assert unread.read(1)
        for program in (absent, reading, blocked):
            program.interrupt(number)
            assert program.ends() == code
    assert reading.err.startswith("trickle sub: received 1 segment, 4 B in ")
    assert reading.err.count("\n") == 1
