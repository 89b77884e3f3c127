"""What `serve` says when channels come and go, and its table of them."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from rich.console import Console

from tests.display.snapshots import channel, server
from trickle_cli.display.channels import ChannelWatch
from trickle_cli.statistics import ChannelStatistics


class Watched:
    """A server that is looked at now and then."""

    def __init__(self) -> None:
        self.watch = ChannelWatch("http://host:1")

    def look(self, *channels: ChannelStatistics) -> list[str]:
        return list(self.watch.look(server(*channels)))

    def table(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self.watch.render())
        return capture.get()


CAM = channel("cam", type="video/mp2t")
LOG = channel("log", type="text/plain")
CAM_THERE = "channel cam is there, video/mp2t"
CAM_CLOSED = "channel cam is closed, 3 segments, 2.0 KiB"
CLOSED = channel("cam", type="video/mp2t", head=3, total_bytes=2048, closed=True)
ANOTHER = channel("cam", type="video/mp2t", epoch="another")


@pytest.mark.parametrize(
    ("looks", "lines"),
    [
        pytest.param([[]], [], id="nothing there"),
        pytest.param([[CAM]], [CAM_THERE], id="one comes"),
        pytest.param([[CAM], [CAM], [CAM]], [CAM_THERE], id="and stays"),
        pytest.param(
            [[CAM], [CAM, LOG]],
            [CAM_THERE, "channel log is there, text/plain"],
            id="a second comes",
        ),
        pytest.param(
            [[CAM], [CLOSED], [CLOSED], []], [CAM_THERE, CAM_CLOSED], id="it is closed"
        ),
        pytest.param([[CLOSED]], [CAM_THERE, CAM_CLOSED], id="closed at once"),
        pytest.param(
            [[CAM], [CLOSED], [ANOTHER]],
            [CAM_THERE, CAM_CLOSED, CAM_THERE],
            id="it is replaced",
        ),
        pytest.param([[CAM], [ANOTHER]], [CAM_THERE, CAM_THERE], id="it begins anew"),
        pytest.param([[CAM], [], [CAM]], [CAM_THERE, CAM_THERE], id="it comes back"),
    ],
)
def test_each_change_is_said_once(
    looks: Iterable[Iterable[ChannelStatistics]], lines: list[str]
) -> None:
    watched = Watched()
    assert [line for look in looks for line in watched.look(*look)] == lines


def test_the_rate_in_the_table_is_the_servers() -> None:
    watched = Watched()
    watched.look(channel("cam", rate=1000.0))
    assert "8.0 kbit/s" in watched.table()


def test_before_the_first_look_the_table_is_empty() -> None:
    assert "0 channels, 0 connections" in Watched().table()


@pytest.mark.parametrize(
    ("lines", "shown"), [(24, 17), (10, 3), (4, 3), (0, 17), (50, 20)]
)
def test_the_table_fits_the_terminal_on_standard_error(
    lines: int, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_terminal_size(descriptor: int) -> os.terminal_size:
        if descriptor != 2:
            raise OSError
        return os.terminal_size((100, lines))

    monkeypatch.setattr(os, "get_terminal_size", get_terminal_size)
    watched = Watched()
    watched.look(*(channel(f"cam{number}") for number in range(20)))
    assert watched.table().count("cam") == shown
    assert (f"and {20 - shown} more" in watched.table()) == (shown < 20)
