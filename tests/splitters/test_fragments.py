"""Fragmented MP4: where it is cut, and what is put in front."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from tests.splitters.streams import PLACES, box, chunks, cut
from trickle_cli.errors import BadContent
from trickle_cli.splitters import CUT, FormatSplitter, Fragments, Splitter
from trickle_cli.splitters.fragments import MAX_INIT
from trickle_cli.splitters.moving import make_movable

INIT = box(b"ftyp", b"isom....") + box(b"free") + box(b"moov", b"m" * 90)
FIRST = box(b"moof", b"1" * 50) + box(b"mdat", b"first")
SECOND = box(b"moof", b"2" * 50) + box(b"mdat", b"second" * 99, long=True)
LEADING = box(b"styp", b"msdh") + box(b"sidx", b"." * 20) + box(b"prft")


def fragments(*data: bytes) -> list[bytes]:
    return cut(FormatSplitter(Fragments()), data)


def repeating(*data: bytes) -> list[bytes]:
    return cut(FormatSplitter(Fragments(repeat_init=True)), data)


def test_the_init_is_the_first_segment_and_each_fragment_one_more() -> None:
    assert fragments(INIT + FIRST + SECOND) == [INIT, FIRST, SECOND]


def test_or_the_init_is_in_front_of_each() -> None:
    assert repeating(INIT + FIRST + SECOND) == [INIT + FIRST, INIT + SECOND]


def test_what_stands_before_a_fragment_belongs_to_it() -> None:
    data = [INIT, LEADING + FIRST, LEADING + SECOND, box(b"free") + FIRST]
    assert fragments(b"".join(data)) == data


def test_what_stands_at_the_end_belongs_to_the_last_one() -> None:
    for end in (box(b"mfra", b"." * 30), box(b"free"), LEADING, b"\0\0\1"):
        assert fragments(INIT + FIRST + SECOND + end) == [INIT, FIRST, SECOND + end]


def test_a_box_may_reach_to_the_end() -> None:
    data = b"\0\0\0\0mdat" + FIRST
    assert fragments(INIT + FIRST + data) == [INIT, FIRST + data]


def test_an_init_in_the_middle_begins_anew() -> None:
    other = box(b"ftyp", b"mp42") + box(b"moov", b"n" * 9)
    data = INIT + FIRST + other + SECOND + FIRST
    assert fragments(data) == [INIT, FIRST, other, SECOND, FIRST]
    expected = [INIT + FIRST, other + SECOND, other + FIRST]
    assert repeating(data) == expected


def test_fragments_without_an_init_are_cut_all_the_same() -> None:
    data = [LEADING + FIRST, SECOND, LEADING + FIRST]
    assert fragments(b"".join(data)) == data


def test_the_next_fragment_after_the_time_is_cut() -> None:
    cutter = FormatSplitter(Fragments(), seconds=2)
    steps = [(0.0, INIT + FIRST), (1.0, SECOND), (2.5, FIRST)]
    found = [piece for now, data in steps for piece in cutter.feed(data, now)]
    assert found == [INIT, CUT, FIRST, SECOND, CUT, FIRST]


NOT_FRAGMENTED = [
    INIT + box(b"mdat", b"video"),
    box(b"ftyp", b"isom") + box(b"free") + box(b"mdat", b"video") + box(b"moov"),
]


@pytest.mark.parametrize("data", NOT_FRAGMENTED)
def test_what_is_not_fragmented_is_refused_with_what_to_do(data: bytes) -> None:
    with pytest.raises(BadContent, match=r"-movflags \+frag_keyframe\+empty_moov"):
        fragments(data)


@pytest.mark.parametrize("data", NOT_FRAGMENTED)
def test_or_something_else_goes_on(data: bytes) -> None:
    cutter = FormatSplitter(Fragments(), otherwise=Splitter(size=10))
    found = cut(cutter, [data, b"x" * 95])
    assert b"".join(found) == data + b"x" * 95
    assert len(found) > 9


@pytest.mark.parametrize(
    "data",
    [
        b"some text that is long enough",
        b"\0\0\0",
        INIT + FIRST + b"\0\0\0\7free....",
        INIT + FIRST + b"\0\0\0\1mdat" + (15).to_bytes(8),
    ],
)
def test_what_is_no_mp4_is_refused(data: bytes) -> None:
    with pytest.raises(BadContent, match="no MP4"):
        fragments(data)


def test_an_init_that_is_to_be_kept_is_bounded() -> None:
    init = box(b"ftyp") + box(b"moov", bytes(MAX_INIT))
    assert fragments(init + FIRST) == [init, FIRST]
    with pytest.raises(BadContent, match="--repeat-init"):
        repeating(init + FIRST)


def test_media_is_passed_on_as_it_comes() -> None:
    cutter = FormatSplitter(Fragments())
    assert list(cutter.feed(INIT, 0)) == [INIT]
    assert list(cutter.feed(SECOND[:100], 0)) == [CUT, SECOND[:100]]
    assert list(cutter.feed(SECOND[100:300], 0)) == [SECOND[100:300]]


def test_a_large_box_before_a_fragment_is_not_held_back() -> None:
    cutter = FormatSplitter(Fragments())
    list(cutter.feed(INIT + FIRST, 0))
    large = box(b"emsg", bytes(100_000))
    assert list(cutter.feed(large, 0)) == [large]


def moof(place: int | None, flags: int = 0x20) -> bytes:
    """One that tells its place in the file."""
    head = (flags | (place is not None)).to_bytes(4) + b"\0\0\0\1"
    where = b"" if place is None else place.to_bytes(8)
    tfhd = box(b"tfhd", head + where + b"more")
    traf = box(b"traf", tfhd + box(b"trun", b"." * 20))
    return box(b"moof", box(b"mfhd", b"." * 8) + traf + traf)


def test_a_fragment_that_tells_its_place_is_made_independent_of_it() -> None:
    made = make_movable(moof(1234), 1234)
    assert len(made) == len(moof(1234))
    assert (1234).to_bytes(8) not in made
    other = moof(None, flags=0x020020)[-8:]
    assert made.endswith(other)
    assert made.count(box(b"free")) == 2
    for untouched in (moof(99), moof(None)):
        assert make_movable(untouched, 1234) == untouched


def test_where_the_init_is_repeated_no_fragment_depends_on_its_place() -> None:
    first = moof(len(INIT)) + box(b"mdat", b"1")
    place = len(INIT + first) + len(LEADING)
    second = LEADING + moof(place) + box(b"mdat", b"2")
    found = repeating(INIT + first + second)
    assert found[0] == INIT + make_movable(first, len(INIT))
    moved = make_movable(moof(place), place) + box(b"mdat", b"2")
    assert found[1] == INIT + LEADING + moved
    assert fragments(INIT + first + second) == [INIT, first, second]


PARTS = st.lists(
    st.sampled_from(
        [
            *(INIT, FIRST, SECOND, LEADING, moof(len(INIT))),
            *(box(b"free"), box(b"uuid", b"?" * 40), box(b"mfra"), box(b"emsg")),
        ]
    ),
    max_size=12,
)


def test_nothing_is_lost_of_an_init_that_is_too_large_to_be_repeated() -> None:
    data = box(b"ftyp", b"isom") + box(b"moov", b"m" * MAX_INIT) + FIRST
    splitter = FormatSplitter(
        Fragments(repeat_init=True), otherwise=Splitter(seconds=1)
    )
    pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    assert b"".join(cut(splitter, pieces)) == data


@settings(deadline=None)
@given(PARTS, PLACES, st.booleans())
def test_however_it_comes_in_the_segments_are_the_same(
    parts: list[bytes], places: list[int], repeat_init: bool
) -> None:
    data = INIT + moof(len(INIT)) + b"".join(parts)
    take = repeating if repeat_init else fragments
    found = take(*chunks(data, places))
    assert found == take(data)
    if not repeat_init:
        assert b"".join(found) == data


@settings(deadline=None)
@given(st.binary(max_size=300), PLACES)
def test_any_bytes_are_passed_on_or_refused(data: bytes, places: list[int]) -> None:
    cutter = FormatSplitter(Fragments(), otherwise=Splitter())
    assert b"".join(cut(cutter, chunks(INIT + data, places))) == INIT + data
