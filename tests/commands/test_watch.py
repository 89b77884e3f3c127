from __future__ import annotations

import json
import re
import signal
import time
from datetime import datetime

import pytest
import trio

from tests.client import scripted as say
from tests.client.ours import serving
from tests.client.scripted import ScriptedServer, scripted
from tests.commands.programs import TRICKLE, Http, Program, Programs
from trickle_cli.client import Publisher
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig


@pytest.fixture
def feed(programs: Programs) -> tuple[Http, Program]:
    """A server with the channels `a` and `b`, and `trickle watch` on its feed."""
    _, http = programs.serve("--channel", "a", "--channel", "b")
    http.make("gone")
    http.close("gone")
    program = programs.start("watch", "-s", http.url)
    program.writes(b"added _changes\nadded a\nadded b\n")
    return http, program


def test_what_there_is_comes_first_and_then_each_change(
    feed: tuple[Http, Program],
) -> None:
    http, program = feed
    http.make("new")
    program.writes(existing := b"added _changes\nadded a\nadded b\nadded new\n")
    http.close("a")
    program.writes(existing := existing + b"removed a\n")
    http.make("a")
    program.writes(existing + b"added a\n")
    assert program.err == ""


def test_the_end_of_the_server_removes_its_channels_and_ends_it(
    programs: Programs,
) -> None:
    server, http = programs.serve("--channel", "a")
    program = programs.start("watch", "_changes", TRICKLE_SERVER=http.url)
    program.writes(b"added _changes\nadded a\n")
    server.interrupt()
    assert program.ends() == 0
    assert program.out.splitlines()[2:] == [b"removed a"]


def test_names_cannot_command_a_terminal(feed: tuple[Http, Program]) -> None:
    http, program = feed
    http.make("%E2%80%AE31m")  # which would write from right to left
    program.wait_until(lambda: program.out.count(b"\n") == 4)
    assert program.out.decode().splitlines()[3] == "added �31m"


def test_another_channel_is_a_line_for_each_of_its_segments(
    programs: Programs, common: Http, name: str
) -> None:
    common.make(name, b"not this", b"12345")
    program = programs.start("watch", f"{common.url}/{name}")
    program.wait_until(lambda: program.out.count(b"\n") == 1)
    common.add(name, 2, b"", b"x" * 300_000)
    program.wait_until(lambda: program.out.count(b"\n") == 3)
    common.close(name)
    assert program.ends() == 0
    times = r" \+\d+\.\d{3} s +\d+\.\d{3} s"
    pattern = rf" +(\d+) +(\d+) B {times}  (?:\d[\d.]* [kMGT]?bit/s|-)  \d+"
    lines = program.out.decode().splitlines()
    found = [re.fullmatch(pattern, line) for line in lines]
    assert [match and match.groups() for match in found] == [
        ("1", "5"),
        ("2", "0"),
        ("3", "300000"),
    ]


def test_a_segment_is_an_object_that_tells_how_it_came(
    programs: Programs, common: Http, name: str
) -> None:
    common.make(name, b"0", b"12345")
    program = programs.start("watch", f"{common.url}/{name}", "--json", "--count", "2")
    program.wait_until(lambda: program.out.count(b"\n") == 1)
    common.add(name, 2, b"678")
    assert program.ends() == 0
    first, second = map(json.loads, program.out.splitlines())
    assert list(first) == [
        *("channel", "seq", "size", "first_byte", "duration", "rate", "readers"),
        *("complete", "started", "ended"),
    ]
    told = ("channel", "seq", "size", "complete")
    assert [first[key] for key in told] == [name, 1, 5, True]
    assert [second[key] for key in told] == [name, 2, 3, True]
    assert first["readers"] in {0, 1}  # we may not count as one yet
    assert first["started"] <= first["ended"] <= second["started"] <= second["ended"]
    began = [datetime.fromisoformat(line["started"]) for line in (first, second)]
    assert second["first_byte"] <= (began[1] - began[0]).total_seconds() + 0.002


async def test_the_first_byte_is_waited_for_from_the_end_of_the_segment_before(
    programs: Programs,
) -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(b"0")
        watch = programs.start("watch", f"{server.url}cam", "--json")
        await trio.to_thread.run_sync(watch.wait_until, lambda: watch.out)
        asked = trio.current_time()
        await trio.sleep(0.2)
        segment = await publisher.next()
        await segment.write(b"1")
        await trio.sleep(0.3)
        await segment.close(b"2")
        waited = trio.current_time() - asked
        await publisher.close()
        assert await trio.to_thread.run_sync(watch.ends) == 0
    line = json.loads(watch.out.splitlines()[1])
    assert line["first_byte"] >= 0.19
    assert line["duration"] >= 0.29
    assert line["first_byte"] + line["duration"] <= waited + 0.1
    assert line["rate"] == pytest.approx(2 / line["duration"], abs=1)


async def test_where_the_server_does_not_tell_them_there_are_no_readers(
    programs: Programs,
) -> None:
    async def script(server: ScriptedServer) -> None:
        told, asking = False, False
        while not (told and asking):
            peer = await server.accept()
            asked = await peer.asked()
            if asked.line == "GET /cam":
                await peer.send(say.answer(405))
                told = True
            else:
                assert asked.line == "GET /cam/-2"
                asking = True
                reader = peer
        await reader.send(say.segment(7, b"data"))
        peer, _ = await server.asked("GET /cam/8")
        await peer.send(say.ENDED)

    async with scripted(script) as server:
        watch = programs.start("watch", f"{server.url}/cam")
        assert await trio.to_thread.run_sync(watch.ends) == 0
        assert watch.out.decode().endswith("  -\n")


def test_it_ends_when_its_time_is_over(
    programs: Programs, common: Http, name: str
) -> None:
    common.make(name, b"data")
    program = programs.start("watch", f"{common.url}/{name}", "--for", "200ms")
    assert (program.ends(), program.err) == (0, "")


def test_changes_are_objects_whose_names_cannot_command_a_terminal(
    programs: Programs,
) -> None:
    _, http = programs.serve("--channel", "a")
    program = programs.start("watch", "-s", http.url, "--json", "--count", "3")
    program.wait_until(lambda: program.out.count(b"\n") == 2)
    http.make("%E2%80%AE31m")
    assert program.ends() == 0
    assert program.out.isascii()
    assert program.out.replace(b"\n", b"").decode().isprintable()
    lines = list(map(json.loads, program.out.splitlines()))
    assert [(line["change"], line["channel"]) for line in lines] == [
        ("added", "_changes"),
        ("added", "a"),
        ("added", "\u202e31m"),
    ]
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)


def test_a_line_comes_when_the_segment_has_ended_and_its_numbers_agree(
    programs: Programs, common: Http, pub: tuple[str, ...], name: str
) -> None:
    common.make(name, b"first")
    watch = programs.start("watch", f"{common.url}/{name}")
    watch.wait_until(lambda: watch.out.count(b"\n") == 1)  # and has asked for 1
    publisher = programs.start(*pub, "--time", "1h", "--size", "8", name)
    publisher.feed(b"1234")
    with common.begin("GET", f"/{name}/1") as answer:
        assert answer.read(4) == b"1234"
        time.sleep(0.1)  # for a duration that can be read to a percent
        assert watch.out.count(b"\n") == 1
        publisher.feed(b"5678")
    watch.wait_until(lambda: watch.out.count(b"\n") == 2)
    line = watch.out.splitlines()[1].decode()
    match = re.fullmatch(r" +1 +8 B  \+\S+ s +(\S+) s  (\S+) (k?)bit/s  \d+", line)
    assert match is not None, line
    seconds, rate = float(match[1]), float(match[2]) * (1000 if match[3] else 1)
    assert seconds > 0
    assert 64 / rate == pytest.approx(seconds, rel=0.02, abs=0.001)


async def test_a_segment_that_breaks_off_is_marked(programs: Programs) -> None:
    def work(url: str) -> None:
        publisher = programs.start("pub", "-s", url, "cam")
        publisher.feed(b"1234")
        watch = programs.start("watch", "-s", url, "cam")
        reader = programs.start("sub", "-s", url, "cam")
        reader.writes(b"1234")
        publisher.process.kill()
        watch.wait_until(lambda: watch.out)
        assert re.fullmatch(rb" +0 +4 B .*  incomplete\n", watch.out)

    config = ServerConfig(autocreate=True, limits=Limits(resume=0.1))
    async with serving(config) as server:
        await trio.to_thread.run_sync(work, server.url)


def test_what_was_missed_is_said(programs: Programs, common: Http, name: str) -> None:
    common.make(name, b"0")
    program = programs.start("watch", f"{common.url}/{name}")
    program.wait_until(lambda: program.out)
    common.add(name, 3, b"3")
    assert program.says("lost segments 1-2")


def test_a_missing_channel_is_waited_for(
    programs: Programs, common: Http, name: str
) -> None:
    program = programs.start("watch", f"{common.url}/{name}")
    program.says(f"trickle watch: no channel '{name}' on {common.url} yet; waiting")
    common.make(name, b"data", b"more")
    program.wait_until(lambda: program.out.count(b"\n") == 2)
    common.close(name)
    assert program.ends() == 0


def test_a_server_without_a_feed_is_said_with_what_may_be_wrong(
    programs: Programs,
) -> None:
    _, without = programs.serve("--no-changefeed")
    _, below = programs.serve("--base-path", "/live")
    for url in (without.url, below.url.removesuffix("/live")):
        program = programs.run("watch", "-s", url)
        assert (program.ends(), program.out) == (3, b"")
        assert program.err == (
            f"trickle watch: no channel '_changes' on {url} — the server runs with"
            " --no-changefeed, or has another base path\n"
        )


def test_an_unreachable_server_is_said_with_what_to_do(
    programs: Programs, nowhere: str
) -> None:
    program = programs.run("watch", "-s", nowhere)
    assert program.ends() == 1
    assert program.err == (
        f"trickle watch: cannot reach {nowhere}: connection refused"
        " — is a server running there? (trickle serve)\n"
    )


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_it(feed: tuple[Http, Program], number: int, code: int) -> None:
    _, program = feed
    program.interrupt(number)
    assert (program.ends(), program.err) == (code, "")


def test_a_reader_that_has_enough_ends_it_quietly(
    programs: Programs, common: Http
) -> None:
    script = '"$@" | head -n 1; exit "${PIPESTATUS[0]}"'
    program = programs.start_other(
        "bash", "-c", script, "bash", *TRICKLE, "watch", "-s", common.url
    )
    assert (program.ends(), program.err) == (141, "")
    assert program.out == b"added _changes\n"
