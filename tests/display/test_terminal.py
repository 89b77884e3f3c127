"""The live views of real programs on a real terminal."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest

from tests.client.ours import OurServer, serving
from tests.display.terminal import Terminal, open_terminal, running
from trickle_cli.client import Endpoint, Publisher
from trickle_cli.server import ServerConfig

every_size = pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
RATE = r"[\d.]+ k?bit/s"
LONG = "a-channel-of-a-very-long-name-indeed-" * 5


@pytest.fixture
async def server() -> AsyncIterator[OurServer]:
    async with serving(ServerConfig(autocreate=True, changefeed=True)) as server:
        yield server


@pytest.fixture
async def terminal() -> AsyncIterator[Terminal]:
    async with open_terminal() as terminal:
        yield terminal


async def publish(publisher: Publisher, *segments: bytes) -> None:
    for data in segments:
        segment = await publisher.next()
        await segment.close(data)


@every_size
async def test_pub_shows_the_segment_that_goes_out(
    server: OurServer, columns: int, lines: int
) -> None:
    async with (
        open_terminal(columns, lines) as terminal,
        running(terminal, "pub", "--newline", "-s", server.url, "cam") as program,
    ):
        await terminal.find("^cam  nothing yet$")
        await program.send(b"first\nsecond\nopen")
        await terminal.find(r"^cam  seq 2  \[.*\] 4 B in \d")
        assert max(map(len, terminal.view)) <= columns
        await program.end_input()
        assert await program.end() == 0
        assert terminal.screen == [
            f"trickle pub: publishing to {server.url}cam",
            terminal.screen[1],
        ]
        assert terminal.screen[1].startswith("trickle pub: sent 3 segments, 17 B in ")


@every_size
async def test_sub_shows_the_segment_that_comes_in(
    server: OurServer, columns: int, lines: int
) -> None:
    async with (
        open_terminal(columns, lines) as terminal,
        Publisher(server.endpoint()) as publisher,
        running(terminal, "sub", "-s", server.url, "--from", "0", "cam") as program,
    ):
        await publish(publisher, b"first", b"second")
        await terminal.find(r"^cam  seq 1  \[.*\] 6 B in \d")
        assert max(map(len, terminal.view)) <= columns
        await publisher.close()
        assert await program.receive() == b"firstsecond"
        assert await program.end() == 0
        assert terminal.view == []


@every_size
async def test_serve_shows_its_channels(columns: int, lines: int) -> None:
    async with (
        open_terminal(columns, lines) as terminal,
        running(terminal, "serve", "--port", "0", "--autocreate") as program,
    ):
        url = (await terminal.find(r"listening on (http://\S+)"))[1]
        async with (
            Publisher(Endpoint.parse("cam", url)) as publisher,
            Publisher(Endpoint.parse(LONG, url)) as another,
        ):
            await publish(publisher, b"first", b"second")
            await publish(another, b"first")
            await terminal.find(rf"^{url}  3 channels, \d connections?$")
            await terminal.find(r"^ channel +seq +rate +held +subs +pubs$")
            await terminal.find(rf"^ cam +1 +{RATE} +2 / 11 B +0 +1$")
            await terminal.find(rf"^ a-chan.*… +0 +{RATE} +1 / 5 B +0 +1$")
            assert max(map(len, terminal.view)) <= columns
            await publisher.close()
            await terminal.find(f"^{url}  2 channels")
        program.interrupt()
        assert await program.end() == 130
        assert await program.receive() == b""
        assert not [line for line in terminal.view if "bit/s" in line or "─" in line]


async def test_watch_says_all_on_standard_output(
    server: OurServer, terminal: Terminal
) -> None:
    async with running(terminal, "watch", "-s", server.url) as program:
        assert await program.receive(15) == b"added _changes\n"
        async with Publisher(server.endpoint()) as publisher:
            await publish(publisher, b"first")
            assert await program.receive(10) == b"added cam\n"
        program.interrupt()
        assert await program.end() == 130
        assert terminal.screen == []


@pytest.mark.parametrize("columns", [1, 20])
async def test_a_narrow_terminal_is_no_reason_to_fail(columns: int) -> None:
    async with (
        open_terminal(columns) as terminal,
        serving() as server,
        running(terminal, "serve", "--port", "0") as a_server,
        running(terminal, "pub", "-s", server.url, LONG) as a_publisher,
        running(terminal, "sub", "-s", server.url, LONG) as a_subscriber,
    ):
        await a_publisher.send(b"first")
        assert await a_subscriber.receive(5) == b"first"
        await terminal.until(lambda: terminal.raw.count(b"\x1b[2K") >= 20)
        await a_publisher.end_input()
        a_server.interrupt()
        assert [await p.end() for p in (a_server, a_publisher, a_subscriber)] == [
            130,
            0,
            0,
        ]
        assert b"Traceback" not in terminal.raw


async def test_without_colours_there_is_a_view_still(server: OurServer) -> None:
    async with open_terminal() as terminal, Publisher(server.endpoint()) as publisher:
        for environment, has_colours in [({}, True), ({"NO_COLOR": "1"}, False)]:
            terminal.raw = b""
            async with running(
                terminal, "sub", "-s", server.url, "cam", environment=environment
            ) as program:
                await publish(publisher, b"data")
                await terminal.find("^cam  seq ")
                program.interrupt()
                assert await program.end() == 130
            assert terminal.has_colours == has_colours


@pytest.mark.parametrize("term", ["dumb", "", None])
async def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    server: OurServer, terminal: Terminal, term: str | None
) -> None:
    async with running(
        terminal, "pub", "-s", server.url, "cam", environment={"TERM": term}
    ) as program:
        await program.send(b"data")
        await program.end_input()
        assert await program.end() == 0
    assert not terminal.has_commands
    assert terminal.screen[0] == f"trickle pub: publishing to {server.url}cam"
    assert terminal.screen[1].startswith("trickle pub: sent 1 segment, 4 B in ")


async def test_what_is_typed_is_alone_there(
    server: OurServer, terminal: Terminal
) -> None:
    typing = ("pub", "-s", server.url, "cam")
    async with running(terminal, *typing, shares_stdin=True) as program:
        await terminal.find("publishing to")
        await terminal.type_in(b"typed\n\x04")
        assert await program.end() == 0
    assert terminal.screen[-2] == "typed"
    assert terminal.screen[-1].startswith("trickle pub: sent 1 segment, 6 B in ")
    assert not terminal.has_commands


async def test_data_on_the_terminal_is_alone_there(
    server: OurServer, terminal: Terminal
) -> None:
    async with (
        Publisher(server.endpoint()) as publisher,
        running(
            *(terminal, "sub", "-s", server.url, "--from", "0", "cam"),
            shares_stdout=True,
        ) as program,
    ):
        await publish(publisher, b"first\n", b"second\n")
        await publisher.close()
        assert await program.end() == 0
    data, summary = terminal.raw.split(b"trickle sub: ")
    assert data == b"first\r\nsecond\r\n"
    assert summary.startswith(b"received 2 segments, 13 B in ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_cursor_comes_back(
    server: OurServer, terminal: Terminal, number: signal.Signals
) -> None:
    async with running(terminal, "pub", "-s", server.url, "cam") as program:
        await terminal.find("^cam  nothing yet$")
        assert not terminal.shows_cursor
        program.interrupt(number)
        await program.end()
        assert terminal.shows_cursor
