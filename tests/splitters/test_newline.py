"""Where a segment may end, if lines decide."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from trickle_cli.splitters import NEWLINE

TEXTS = st.text("a\n", max_size=12).map(str.encode)
PLACES = st.integers(0, 12)


def places(data: bytes) -> list[int]:
    return [place for place in range(1, len(data) + 1) if data[place - 1] == 0x0A]


@pytest.mark.parametrize(
    ("data", "start", "place"),
    [
        (b"", 0, -1),
        (b"a", 0, -1),
        (b"\n", 0, 1),
        (b"ab\ncd\n", 0, 3),
        (b"ab\ncd\n", 2, 3),
        (b"ab\ncd\n", 3, 6),
        (b"ab\ncd\n", 6, -1),
        (b"a\r\nb", 0, 3),
        (b"a\rb", 0, -1),
        (b"a\x0bb\x0cc\x85d", 0, -1),
    ],
)
def test_the_first_place_is_after_the_next_newline(
    data: bytes, start: int, place: int
) -> None:
    assert NEWLINE.first(data, start) == place


@pytest.mark.parametrize(
    ("data", "start", "end", "place"),
    [
        (b"", 0, 0, -1),
        (b"abc", 0, 3, -1),
        (b"a\nb\nc", 0, 5, 4),
        (b"a\nb\nc", 0, 4, 4),
        (b"a\nb\nc", 0, 3, 2),
        (b"a\nb\nc", 2, 3, -1),
        (b"a\n", 0, 100, 2),
    ],
)
def test_the_last_place_is_after_the_last_newline_before_the_end(
    data: bytes, start: int, end: int, place: int
) -> None:
    assert NEWLINE.last(data, start, end) == place


@settings(deadline=None)
@given(TEXTS, PLACES, PLACES)
def test_first_and_last_are_the_ends_of_the_places_between(
    data: bytes, start: int, end: int
) -> None:
    after = [place for place in places(data) if place > start]
    assert NEWLINE.first(data, start) == min(after, default=-1)
    between = [place for place in after if place <= end]
    assert NEWLINE.last(data, start, end) == max(between, default=-1)
