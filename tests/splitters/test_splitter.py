"""What comes out of a splitter: every byte at once, and the cuts where they are due."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from tests.splitters.rules import Output, feed, run, segments
from trickle_cli.splitters import CUT, NEWLINE, Delimiter, Splitter

FEEDS = st.lists(st.text("ab\n", min_size=1, max_size=20).map(str.encode), max_size=8)
SIZES = st.integers(1, 12)


# Nothing, or a size.


def test_without_parameters_there_is_one_segment() -> None:
    assert feed(Splitter(), b"ab\n", b"c") == [b"ab\n", b"c"]


@settings(deadline=None)
@given(SIZES, FEEDS)
def test_with_a_size_all_segments_but_the_last_have_it(
    size: int, feeds: list[bytes]
) -> None:
    *whole, rest = segments(feed(Splitter(size=size), *feeds))
    assert {len(segment) for segment in whole} <= {size}
    assert len(rest) < size


def test_the_cut_is_made_when_the_size_is_reached_not_with_the_next_byte() -> None:
    assert feed(Splitter(size=3), b"ab", b"c") == [b"ab", b"c", CUT]


def test_one_feed_may_be_many_segments() -> None:
    expected = [b"abc", CUT, b"def", CUT, b"g"]
    assert feed(Splitter(size=3), b"abcdefg") == expected


# Lines.


@settings(deadline=None)
@given(FEEDS)
def test_with_newline_the_segments_are_the_lines(feeds: list[bytes]) -> None:
    output = feed(Splitter(boundary=NEWLINE), *feeds)
    lines = b"".join(feeds).split(b"\n")
    assert segments(output) == [*(line + b"\n" for line in lines[:-1]), lines[-1]]


def test_a_last_line_without_a_newline_comes_out_too() -> None:
    splitter = Splitter(boundary=NEWLINE)
    assert feed(splitter, b"one\ntwo") == [b"one\n", CUT, b"two"]


def test_an_empty_line_is_a_segment() -> None:
    splitter = Splitter(boundary=NEWLINE)
    assert feed(splitter, b"\n\n") == [b"\n", CUT, b"\n", CUT]


def test_a_line_goes_out_in_the_parts_that_it_comes_in() -> None:
    splitter = Splitter(boundary=NEWLINE)
    assert feed(splitter, b"on", b"e", b"\n") == [b"on", b"e", b"\n", CUT]


# Lines of a size.


@pytest.mark.parametrize(
    ("feeds", "expected"),
    [
        pytest.param([b"a\nb\nc\n"], [b"a\nb\nc\n"], id="not reached"),
        pytest.param([b"a\nbcdef\n"], [b"a\nbcdef\n", CUT], id="reached by a line"),
        pytest.param(
            [b"a\nb\ncdefg\n"], [b"a\nb\n", CUT, b"cdefg\n"], id="the last one below"
        ),
        pytest.param(
            [b"abcdefghij\nk\n"], [b"abcdefghij\n", CUT, b"k\n"], id="else the next one"
        ),
        pytest.param(
            [b"abcdefgh", b"ij", b"k\nl"],
            [b"abcdefgh", b"ij", b"k\n", CUT, b"l"],
            id="the next one is not at hand",
        ),
        pytest.param(
            [b"abc\n", b"defgh\n"],
            [b"abc\n", CUT, b"defgh\n"],
            id="the last one below is where the last feed ended",
        ),
        pytest.param(
            [b"abcdef\n", b"\nk"],
            [b"abcdef\n", b"\n", CUT, b"k"],
            id="the one that fits exactly",
        ),
        pytest.param(
            [b"abc\nd", b"efghi\nj"],
            [b"abc\nd", b"efghi\n", CUT, b"j"],
            id="the last one below is gone",
        ),
        pytest.param(
            [b"abc\nd", b"e\nfg\nhi"],
            [b"abc\nd", b"e\n", CUT, b"fg\nhi"],
            id="of two at hand the one below",
        ),
        pytest.param(
            [b"abcdefg\nabcdefg\nabcdefg\n"],
            [b"abcdefg\n", CUT, b"abcdefg\n", CUT, b"abcdefg\n", CUT],
            id="many in one feed",
        ),
    ],
)
def test_a_size_with_newline_cuts_at_the_last_line_that_fits(
    feeds: list[bytes], expected: Output
) -> None:
    assert feed(Splitter(boundary=NEWLINE, size=8), *feeds) == expected


@settings(deadline=None)
@given(SIZES, FEEDS)
def test_lines_that_are_all_at_hand_are_packed_as_full_as_they_go(
    size: int, feeds: list[bytes]
) -> None:
    data = b"".join(feeds)
    *whole, rest = segments(feed(Splitter(boundary=NEWLINE, size=size), data))
    for segment in whole:
        assert len(segment) <= size or segment.count(b"\n") == 1
    for segment, following in pairwise([*whole, rest]):
        line, newline, _ = following.partition(b"\n")
        assert len(segment + line + newline) > size or not newline
    assert len(rest) < size or b"\n" not in rest


# Time.


def test_a_segment_ends_when_its_time_is_up() -> None:
    splitter = Splitter(seconds=2)
    assert list(splitter.feed(b"a", 10)) == [b"a"]
    assert splitter.due == 12
    assert not splitter.tick(11.9)
    assert splitter.tick(12)


def test_bytes_that_come_when_the_time_is_up_begin_the_next_segment() -> None:
    splitter = Splitter(seconds=2)
    steps = [(10.0, b"a"), (11.9, b"b"), (12.0, b"c"), (13.9, b"d"), (14.0, b"e")]
    assert run(splitter, steps) == [b"a", b"b", CUT, b"c", b"d", CUT, b"e"]


def test_the_time_runs_from_the_first_byte_not_from_the_cut() -> None:
    splitter = Splitter(seconds=2)
    assert run(splitter, [(10, b"a"), (12, b""), (50, b"b")]) == [b"a", CUT, b"b"]
    assert splitter.due == 52


def test_time_alone_never_makes_an_empty_segment() -> None:
    splitter = Splitter(seconds=2)
    assert splitter.due is None
    assert not splitter.tick(100)
    assert run(splitter, [(100, b"a"), (102, b"")]) == [b"a", CUT]
    assert splitter.due is None
    assert not splitter.tick(1000)


def test_a_cut_by_size_starts_the_clock_anew() -> None:
    splitter = Splitter(size=3, seconds=2)
    assert run(splitter, [(10, b"a"), (11, b"bcd")]) == [b"a", b"bc", CUT, b"d"]
    assert splitter.due == 13
    assert run(splitter, [(11.5, b"ef")]) == [b"ef", CUT]
    assert splitter.due is None


def test_lines_are_gathered_until_the_time_is_up() -> None:
    splitter = Splitter(boundary=NEWLINE, seconds=2)
    steps = [(10.0, b"a\nb\n"), (11.0, b"c\n"), (12.0, b"d\n")]
    assert run(splitter, steps) == [b"a\nb\n", b"c\n", CUT, b"d\n"]


def test_a_line_is_finished_when_the_time_is_up_in_its_middle() -> None:
    splitter = Splitter(boundary=NEWLINE, seconds=2)
    steps = [(10.0, b"a\nb"), (12.0, b""), (13.0, b"c"), (14.0, b"d\ne\nf")]
    assert run(splitter, steps) == [b"a\nb", b"c", b"d\n", CUT, b"e\nf"]
    assert splitter.due == 16


def test_the_line_that_is_overdue_is_cut_even_if_it_comes_before_the_tick() -> None:
    splitter = Splitter(boundary=NEWLINE, seconds=2)
    assert run(splitter, [(10, b"a"), (20, b"b\nc\n")]) == [b"a", b"b\n", CUT, b"c\n"]


def test_nothing_is_due_while_a_boundary_is_awaited() -> None:
    splitter = Splitter(boundary=NEWLINE, seconds=2)
    assert run(splitter, [(10, b"a"), (12, b"")]) == [b"a"]
    assert splitter.due is None
    assert not splitter.tick(100)


def test_an_overdue_line_is_cut_though_the_size_would_allow_more() -> None:
    splitter = Splitter(boundary=NEWLINE, size=100, seconds=2)
    steps = [(10.0, b"a"), (12.0, b""), (13.0, b"b\nc\n")]
    assert run(splitter, steps) == [b"a", b"b\n", CUT, b"c\n"]


# So many lines.


def test_so_many_lines_are_a_segment() -> None:
    output = feed(Splitter(boundary=NEWLINE, every=2), b"a\nb\nc", b"\nd\ne\nf")
    assert output == [b"a\nb\n", CUT, b"c", b"\nd\n", CUT, b"e\nf"]


def test_lines_size_and_time_each_end_a_segment_after_a_line() -> None:
    splitter = Splitter(boundary=NEWLINE, every=3, size=10, seconds=2)
    steps = [(0.0, b"a\nb\nc\nd\n"), (2.0, b"eeeeee\nffffff\n"), (5.0, b"g")]
    assert segments(run(splitter, steps)) == [
        b"a\nb\nc\n",
        b"d\n",
        b"eeeeee\n",
        b"ffffff\n",
        b"g",
    ]


# Delimiters of several bytes.


def test_a_delimiter_is_found_across_feeds() -> None:
    splitter = Splitter(boundary=Delimiter(b"--x"))
    output = feed(splitter, b"one-", b"-", b"xtwo--", b"-xthree--x")
    assert output == [b"one-", b"-", b"x", CUT, b"two--", b"-x", CUT, b"three--x", CUT]


def test_what_has_ended_a_segment_does_not_end_the_next_one() -> None:
    splitter = Splitter(boundary=Delimiter(b"\n\n"))
    assert feed(splitter, b"a\n\n", b"\nb", b"\n", b"\n") == [
        *(b"a\n\n", CUT, b"\nb"),
        *(b"\n", b"\n", CUT),
    ]


def test_what_has_ended_a_segment_in_time_does_not_end_the_next_one() -> None:
    splitter = Splitter(boundary=Delimiter(b"--"), seconds=1)
    steps = [(0.0, b"a--"), (1.0, b""), (2.0, b"-"), (3.0, b"b--")]
    assert run(splitter, steps) == [b"a--", CUT, b"-", b"b--", CUT]


@settings(deadline=None)
@given(
    st.binary(min_size=1, max_size=3).map(lambda data: bytes(b % 2 for b in data)),
    st.lists(st.binary(max_size=6).map(lambda data: bytes(b % 2 for b in data))),
)
def test_any_delimiter_splits_as_python_does(
    delimiter: bytes, feeds: list[bytes]
) -> None:
    found = segments(feed(Splitter(boundary=Delimiter(delimiter)), *feeds))
    *ended, rest = b"".join(feeds).split(delimiter)
    assert found == [*(part + delimiter for part in ended), rest]
