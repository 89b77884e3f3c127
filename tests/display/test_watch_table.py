"""What `watch` shows on a real terminal."""

from __future__ import annotations

import re
import signal

import pytest

from tests.client.ours import serving
from tests.display.terminal import Terminal, open_terminal, running
from trickle_cli.client import Publisher
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig

every_size = pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50)])
RATE = r"(?:[\d.]+ [kMG]?bit/s|-)"
LONG = "a-channel-of-a-very-long-name-indeed-" * 5


def server_with_feed() -> ServerConfig:
    return ServerConfig(autocreate=True, changefeed=True, limits=Limits(resume=0.1))


async def publish(publisher: Publisher, *segments: bytes) -> None:
    for data in segments:
        await publisher.write(data)


def is_steady(terminal: Terminal) -> bool:
    """No picture ever begins with an empty screen."""
    return b"\x1b[2J" not in terminal.raw and b"\x1b[J" not in terminal.raw


@every_size
async def test_segments_are_rows_and_the_open_one_grows_at_the_bottom(
    columns: int, lines: int
) -> None:
    async with (
        serving(server_with_feed()) as server,
        open_terminal(columns, lines) as terminal,
        Publisher(server.endpoint()) as publisher,
        running(
            *(terminal, "watch", "-s", server.url, "cam"), shares_stdout=True
        ) as program,
    ):
        await terminal.find("no channel|^cam  nothing yet$")
        await publish(publisher, b"first")
        await terminal.find(rf" 0 +5 B +{RATE} +\d+ m?s +\d+ ms +1\b")
        segment = await publisher.next()
        await segment.write(b"x" * 2048)
        await terminal.find(rf" 1 +2.0 KiB +{RATE} +")
        await segment.write(b"x" * 2048)
        await terminal.find(rf" 1 +4.0 KiB +{RATE} +")
        await segment.close()
        heading = "seq +size +rate +first byte +duration +readers$"
        await terminal.find(heading)
        await terminal.find(rf"^cam  {RATE}  1 reader  \(2 segments, 4.0 KiB, mean ")
        assert max(map(len, terminal.view)) <= columns
        await publisher.close()
        assert await program.end() == 0
        assert terminal.shows_cursor
        assert [line for line in terminal.screen if re.search(heading, line)]
        assert is_steady(terminal)


async def test_no_more_segments_are_shown_than_there_is_room_for() -> None:
    async with (
        serving() as server,
        open_terminal(80, 10) as terminal,
        Publisher(server.endpoint()) as publisher,
        running(
            *(terminal, "watch", "-s", server.url, "cam"), shares_stdout=True
        ) as program,
    ):
        await publish(publisher, b"first")
        await terminal.find(r" 0 +5 B ")
        await publish(publisher, *[b"%d" % seq for seq in range(1, 30)])
        await terminal.find(r" 29 +2 B ")
        assert terminal.screen[0].startswith("cam  ")
        program.interrupt()
        assert await program.end() == 130
        assert len(terminal.screen) <= 10


@every_size
async def test_channels_are_rows_and_what_changes_is_told(
    columns: int, lines: int
) -> None:
    async with (
        serving(server_with_feed()) as server,
        open_terminal(columns, lines) as terminal,
        running(terminal, "watch", "-s", server.url, shares_stdout=True) as program,
        Publisher(server.endpoint()) as publisher,
        Publisher(server.endpoint(LONG)) as another,
    ):
        await publish(publisher, b"first", b"second")
        await publish(another, b"\x00" * 3000)
        await terminal.find(rf"^{server.url[:-1]}  3 channels, {RATE}, \d readers?$")
        await terminal.find("^channel +rate +readers +publishers +seq +held$")
        await terminal.find(rf"^cam +{RATE} +0 +\d +1 +11 B$")
        await terminal.find(rf"^a-chan.*… +{RATE} +0 +\d +0 +2.9 KiB$")
        await publisher.close()
        await terminal.find(r"^\d\d:\d\d:\d\d removed cam$")
        await terminal.find(rf"^{server.url[:-1]}  2 channels")
        assert max(map(len, terminal.view)) <= columns
        program.interrupt()
        assert await program.end() == 130
        assert is_steady(terminal)


async def test_where_nothing_but_ascii_can_be_shown_there_is_nothing_else() -> None:
    plain = {"LANG": "C", "NO_COLOR": "1"}
    async with (
        serving(server_with_feed()) as server,
        Publisher(server.endpoint("café-" * 20)) as publisher,
    ):
        await publish(publisher, b"x" * 3000)
        channels: list[list[str]] = [[], ["café-" * 20]]
        for arguments in channels:
            async with (
                open_terminal() as terminal,
                running(
                    terminal,
                    *("watch", "-s", server.url, *arguments),
                    shares_stdout=True,
                    environment=plain,
                ) as program,
            ):
                await terminal.find(r"2.9 KiB")
                program.interrupt()
                assert await program.end() == 130
                assert terminal.raw.isascii()
                assert not terminal.has_colours


@pytest.mark.parametrize(
    ("more", "environment"),
    [
        (["--lines"], {}),
        (["--progress", "none"], {}),
        ([], {"TERM": "dumb"}),
    ],
)
async def test_a_terminal_gets_lines_where_those_are_wanted(
    more: list[str], environment: dict[str, str]
) -> None:
    async with (
        serving(server_with_feed()) as server,
        open_terminal() as terminal,
        running(
            terminal,
            *("watch", "-s", server.url, *more),
            shares_stdout=True,
            environment=environment,
        ) as program,
    ):
        await terminal.find("^added _changes$")
        program.interrupt(signal.SIGTERM)
        assert await program.end() == 143
        assert terminal.raw == b"added _changes\r\n"
