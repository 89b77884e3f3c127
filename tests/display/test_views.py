"""The live views, as text of a given width."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO, TextIOWrapper

import pytest
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType

from tests.display.snapshots import channel, publisher, server, subscriber
from trickle_cli.display import views
from trickle_cli.display.transfer import TransferView
from trickle_cli.statistics import PublisherStatistics, SubscriberStatistics

WIDTHS = [20, 40, 59, 60, 80, 200]
HOSTILE = "a\x1b[2J\nb[bold]c"
LONG = "x" * 250
WIDE = "カメラ" * 40

every_width = pytest.mark.parametrize("width", WIDTHS)


def lines(view: RenderableType, width: int = 120) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(Group(view))  # a Text alone would be wrapped
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def transfer(
    name: str, statistics: PublisherStatistics | SubscriberStatistics
) -> RenderableType:
    """What is shown after 1000 bytes in the first 10 of 20 seconds, and the rest in the
    last 5."""
    sizes = iter([1000, 1000, statistics.size])
    times = iter([0.0, 10.0, 15.0, 20.0])
    view = TransferView(
        name, lambda: replace(statistics, size=next(sizes)), lambda: next(times)
    )
    view.line(), view.line()
    return view.render()


#: In each row of `table`.
NUMBERS = ["11", "4.0", "kbit/s", "5", "/", "2.0", "KiB", "3", "1"]


def table(*names: str, width: int = 120, rows: int = 10) -> list[str]:
    channels = [
        channel(
            name,
            head=12,
            segments=5,
            bytes=2048,
            rate=500.0,
            readers=3,
            publishers=1,
        )
        for name in names
    ]
    view = views.server(
        "http://127.0.0.1:2939",
        server(*channels, connections=4),
        columns=width,
        rows=rows,
    )
    return lines(view, width)


def test_a_publisher_shows_the_present_segment_the_speed_and_the_sum() -> None:
    statistics = publisher(
        seq=7,
        segment_size=1536,
        segment_age=1.5,
        last_size=3072,
        last_age=2.0,
        segments=8,
        size=3500,
    )
    assert lines(transfer("cam", statistics)) == [
        "cam  seq 7  [======      ] 1.5 KiB in 1.5 s",
        "  4.0 kbit/s  mean 1.4 kbit/s  ▂▂▂▂▂▂▁▁██",
        "  8 segments, 3.4 KiB; the last one 3.0 KiB in 2.0 s",
    ]


def test_a_subscriber_shows_how_far_behind_the_head_it_is() -> None:
    statistics = subscriber(seq=7, head=10, segment_size=10, segments=1, size=3500)
    assert lines(transfer("cam", statistics)) == [
        "cam  seq 7  10 B in 0 ms",
        "  4.0 kbit/s  mean 1.4 kbit/s  ▂▂▂▂▂▂▁▁██",
        "  1 segment, 3.4 KiB",
        "  2 segments behind",
    ]
    at_the_head = lines(transfer("cam", replace(statistics, head=8)))
    assert at_the_head[-1] == "  at the head"


def test_a_wide_terminal_shows_the_same_in_half_as_many_lines() -> None:
    statistics = subscriber(seq=7, head=8, segments=1, size=3500, reconnects=1)
    narrow = lines(transfer("cam", statistics), 80)
    wide = lines(transfer("cam", statistics), 200)
    assert wide == [
        f"{narrow[0]}   {narrow[1].strip()}",
        f"{narrow[2]}   {narrow[3].strip()}",
    ]


def test_without_unicode_there_is_ascii() -> None:
    console = Console(file=TextIOWrapper(BytesIO(), encoding="ascii"), width=80)
    console.print(transfer("cam", publisher(seq=7, segments=8, size=3500)))
    assert isinstance(console.file, TextIOWrapper)
    console.file.seek(0)
    assert "4.0 kbit/s  mean 1.4 kbit/s  ......__##" in console.file.read()


def test_before_the_first_segment_there_is_nothing_yet() -> None:
    assert lines(transfer("cam", publisher())) == ["cam  nothing yet"]
    assert lines(transfer("cam", subscriber())) == ["cam  nothing yet"]


def test_a_subscriber_shows_what_it_lost() -> None:
    *_, line = lines(transfer("cam", subscriber(seq=7, head=8, lost=3, incomplete=1)))
    assert line == "  at the head  lost 3  incomplete 1"
    *_, line = lines(transfer("cam", subscriber(seq=7, head=8)))
    assert line == "  at the head"


def test_a_subscriber_shows_what_holds_it_up() -> None:
    statistics = subscriber(waiting="no channel 'cam' yet")
    _, line = lines(transfer("cam", statistics))
    assert line == "  no channel 'cam' yet"


def test_a_server_shows_its_channels_and_what_goes_through_them() -> None:
    title, headings, _, *rows = table("cam", "log")
    assert title == "http://127.0.0.1:2939  2 channels, 4 connections"
    assert headings.split() == ["channel", "seq", "rate", "held", "subs", "pubs"]
    assert [row.split() for row in rows] == [["cam", *NUMBERS], ["log", *NUMBERS]]


def test_a_channel_without_a_segment_has_no_seq() -> None:
    statistics = server(channel("cam"))
    view = views.server("http://h", statistics, columns=120, rows=3)
    *_, row = lines(view)
    assert row.split() == ["cam", "-", "0", "bit/s", "0", "/", "0", "B", "0", "0"]


def test_a_server_does_not_show_closed_channels() -> None:
    statistics = server(channel("cam", closed=True), channel("log"))
    title, _, _, *rows = lines(
        views.server("http://h", statistics, columns=120, rows=3)
    )
    assert "1 channel," in title
    assert [row.split()[0] for row in rows] == ["log"]


def test_a_server_tells_how_many_channels_it_does_not_show() -> None:
    *rows, more = table("a", "b", "c", "d", rows=2)[3:]
    assert [row.split()[0] for row in rows] == ["a", "b"]
    assert more == "and 2 more"


@every_width
@pytest.mark.parametrize("name", ["cam", LONG, WIDE])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    numbers = {"segment_size": 10**9, "segments": 10**6, "size": 10**12}
    statistics = subscriber(seq=10**9, lost=99, waiting=f"no {name}", **numbers)
    shown = [
        *lines(transfer(name, publisher(seq=10**9, **numbers)), width),
        *lines(transfer(name, statistics), width),
        *table(name, "other", width=width, rows=1),
    ]
    assert max(map(cell_len, shown)) <= width


@every_width
def test_a_view_has_as_many_lines_as_it_has_to_show_however_narrow(width: int) -> None:
    shown = transfer(LONG, publisher(seq=1, size=3500))
    assert len(lines(shown, width)) == (2 if width == 200 else 3)
    assert len(table(LONG, WIDE, width=width)) == 5


@pytest.mark.parametrize("name", [LONG, WIDE])
@pytest.mark.parametrize("width", [80, 200])
def test_a_long_name_does_not_push_out_the_numbers(name: str, width: int) -> None:
    line, *_ = lines(transfer(name, publisher(seq=7, size=3500)), width)
    assert "seq 7" in line
    assert "4.0 kbit/s" in line or width == 80  # there, it is in the next
    assert table(name, width=width)[3].split()[-len(NUMBERS) :] == NUMBERS


def test_a_narrow_table_shows_the_name_the_seq_and_the_rate() -> None:
    _, headings, _, row = table("cam", width=40)
    assert headings.split() == ["channel", "seq", "rate"]
    assert row.split() == ["cam", "11", "4.0", "kbit/s"]


def test_a_name_commands_nothing() -> None:
    clean = "a\ufffd[2J\ufffdb[bold]c"
    waiting = subscriber(waiting=f"no channel {HOSTILE}")
    for shown in (
        lines(transfer(HOSTILE, publisher()))[0],
        lines(transfer(HOSTILE, waiting))[0],
        lines(transfer("cam", waiting))[1],
        table(HOSTILE)[3],
    ):
        assert clean in shown
