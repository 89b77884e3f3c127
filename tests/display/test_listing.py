from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trickle_cli.display.listing import details, table
from trickle_cli.statistics import ChannelStatistics

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
CHANNEL = ChannelStatistics(
    name="cam",
    type="video/mp2t",
    epoch="0123",
    head=12,
    oldest=3,
    segments=9,
    bytes=9 * 1024,
    total_bytes=12 * 1024 * 1024,
    readers=2,
    publishers=1,
    rate=250_000,
    created="2026-01-02T11:55:00Z",
    written=None,
    closed=False,
    lossless=False,
)


def test_columns_stand_below_each_other() -> None:
    others = [replace(CHANNEL, name="a-longer-name", head=123456, lossless=True)]
    lines = list(table([CHANNEL, *others], NOW))
    assert lines == [
        "NAME           TYPE          NEXT  SEGMENTS     HELD        RATE  SUBS  PUBS"
        "  AGE",
        "cam            video/mp2t      12         9  9.0 KiB  2.0 Mbit/s     2     1"
        "   5m",
        "a-longer-name  video/mp2t  123456         9  9.0 KiB  2.0 Mbit/s     2     1"
        "   5m  lossless",
    ]


def test_wide_characters_take_two_columns() -> None:
    wide = replace(CHANNEL, name="カメラ")
    combined = replace(CHANNEL, name="e\N{COMBINING ACUTE ACCENT}")
    _, first, second = table([wide, combined], NOW)
    assert first.startswith("カメラ  video")
    assert second.startswith("e\N{COMBINING ACUTE ACCENT}       video")


@pytest.mark.parametrize("columns", [80, 90, 200])
def test_on_a_terminal_types_and_names_give_way(columns: int) -> None:
    long = replace(CHANNEL, name="n" * 40, type="application/" + "x" * 40)
    lines = list(table([long, CHANNEL], NOW, columns=columns))
    assert max(map(len, lines)) <= columns
    assert ("…" in lines[1]) is (columns < 150)
    assert lines[2].startswith("cam ")


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_no_line_is_longer_than_the_terminal_whatever_there_is_to_say(
    columns: int,
) -> None:
    marked = replace(CHANNEL, name="n" * 40, lossless=True, closed=True, head=10**6)
    lines = list(table([marked, CHANNEL], NOW, columns=columns))
    assert max(map(len, lines)) <= columns
    assert lines[1].endswith("closed, lossless")
    assert "NEXT" in lines[0]


def test_names_from_elsewhere_cannot_command_a_terminal() -> None:
    evil = replace(CHANNEL, name="\033[31m\n", type="\u202e")
    text = "".join(table([evil], NOW)) + "".join(details(evil, "http://x", NOW))
    assert not {"\033", "\n", "\u202e"} & set(text)


@pytest.mark.parametrize(
    ("age", "shown"), [(0, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (9e5, "10d")]
)
def test_an_age_is_in_one_unit(age: float, shown: str) -> None:
    created = (NOW - timedelta(seconds=age)).isoformat()
    _, row = table([replace(CHANNEL, created=created)], NOW)
    assert row.split()[-1] == shown


def test_an_age_is_never_a_reason_to_fail() -> None:
    ahead = (NOW + timedelta(seconds=9)).isoformat()
    for created, shown in ((ahead, "0s"), ("yesterday", "?"), ("2026-01-01", "?")):
        _, row = table([replace(CHANNEL, created=created)], NOW)
        assert row.split()[-1] == shown


def test_details_have_exact_numbers_beside_those_for_people() -> None:
    lines = list(details(CHANNEL, "http://x/cam", NOW))
    assert "segments held: 9, 9.0 KiB (9216 bytes), from 3 on" in lines
    assert "bytes ever:    12.0 MiB (12582912 bytes)" in lines
    assert "written:       never" in lines
    assert not any("let go" in line for line in lines)
    lines = list(details(replace(CHANNEL, let_go=2), "http://x/cam", NOW))
    assert "readers let go: 2" in lines
