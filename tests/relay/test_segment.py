from __future__ import annotations

import sys

import pytest

from tests.relay.fakes import TakingReader
from trickle_cli.relay.segment import (
    PUSH_BATCH,
    SMALL_CHUNK,
    Reader,
    Segment,
    Stage,
    Tally,
    push_on,
    wake_all,
)


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def segment(tally: Tally) -> Segment:
    return Segment(0, tally)


def attached(segment: Segment, appetite: int | None = None) -> TakingReader:
    reader = TakingReader(appetite)
    segment.attach(reader)
    return reader


def append(segment: Segment, data: bytes, *, end: bool = False) -> None:
    wake_all(segment.append([data] if data else [], len(data), end=end))


def content(segment: Segment) -> bytes:
    views, _ = segment.read(0, 0, sys.maxsize)
    return b"".join(views)


def test_a_live_reader_is_handed_each_piece_by_the_append(segment: Segment) -> None:
    reader = attached(segment)
    append(segment, b"one")
    append(segment, b"two")
    assert reader.got == b"onetwo"
    assert reader.wakes == 0


def test_the_end_comes_with_the_last_piece(segment: Segment) -> None:
    reader = attached(segment)
    append(segment, b"all", end=True)
    assert (reader.got, reader.ended) == (b"all", True)


def test_a_reader_that_takes_less_is_late_and_woken_once(segment: Segment) -> None:
    reader = attached(segment, appetite=4)
    append(segment, b"abc")
    append(segment, b"def")
    append(segment, b"ghi")
    assert reader.got == b"abcd"
    assert reader.late
    assert reader.wakes == 1


def test_a_late_reader_catches_up_and_goes_live_again(segment: Segment) -> None:
    reader = attached(segment, appetite=1)
    append(segment, b"abc")
    append(segment, b"def")
    reader.catch_up()
    assert not reader.late
    append(segment, b"ghi", end=True)
    assert reader.got == b"abcdefghi"
    assert reader.ended


def test_a_late_reader_does_not_hold_the_others_back(segment: Segment) -> None:
    slow, quick = attached(segment, appetite=0), attached(segment)
    append(segment, b"abc")
    assert slow.got == b""
    assert quick.got == b"abc"


def test_a_reader_of_an_open_segment_starts_at_its_first_byte(
    segment: Segment,
) -> None:
    append(segment, b"before")
    reader = attached(segment)
    assert reader.late
    reader.catch_up()
    append(segment, b" after")
    assert reader.got == b"before after"


def test_a_cursor_at_the_end_stays_right_when_the_last_chunk_grows(
    segment: Segment,
) -> None:
    append(segment, b"a")
    reader = attached(segment)
    reader.catch_up()
    reader.appetite = 0
    append(segment, b"b")  # grows the chunk that the reader has behind it
    reader.catch_up()
    assert reader.got == b"ab"


def test_small_appends_take_little_more_than_their_bytes(segment: Segment) -> None:
    for _ in range(20_000):
        append(segment, b"x")
    overhead = sum(map(sys.getsizeof, segment._chunks)) + sys.getsizeof(segment._chunks)
    assert content(segment) == b"x" * 20_000
    assert overhead < 2 * 20_000


@pytest.mark.parametrize(
    "size", [1, 100, SMALL_CHUNK - 1, SMALL_CHUNK, SMALL_CHUNK + 1]
)
def test_what_is_read_is_what_was_appended(segment: Segment, size: int) -> None:
    sent = [bytes([i % 251]) * size for i in range(20)]
    for data in sent:
        append(segment, data)
    assert content(segment) == b"".join(sent)
    assert segment.size == 20 * size


def test_reading_stops_at_the_limit_and_goes_on_from_there(segment: Segment) -> None:
    data = bytes(range(256)) * 100
    for start in range(0, len(data), 5000):
        append(segment, data[start : start + 5000])
    index = offset = 0
    got = b""
    while True:
        views, count = segment.read(index, offset, 777)
        if not count:
            break
        assert count == sum(map(len, views)) <= 777
        got += b"".join(views)
        index, offset = segment.step(index, offset, count)
    assert got == data


def test_a_detached_reader_gets_nothing_more(segment: Segment, tally: Tally) -> None:
    reader = attached(segment)
    append(segment, b"a")
    segment.detach(reader)
    segment.detach(reader)
    append(segment, b"b", end=True)
    assert reader.got == b"a"
    assert tally.readers == 0


def test_readers_are_counted_until_they_are_done(
    segment: Segment, tally: Tally
) -> None:
    quick, slow = attached(segment), attached(segment, appetite=0)
    assert (segment.readers, tally.readers) == (2, 2)
    append(segment, b"a", end=True)
    assert (segment.readers, tally.readers) == (1, 1)
    slow.catch_up()
    assert (segment.readers, tally.readers) == (0, 0)
    assert quick.ended
    assert slow.ended


async def test_thousands_are_served_in_batches(segment: Segment) -> None:
    readers = [attached(segment) for _ in range(3 * PUSH_BATCH + 1)]
    rest = segment.append([b"all"], 3, end=True)
    served = [reader for reader in readers if reader.got]
    assert len(served) == PUSH_BATCH
    assert len(rest) == len(readers) - PUSH_BATCH
    await push_on(rest)
    assert all(reader.got == b"all" and reader.ended for reader in readers)
    assert segment.readers == 0


async def test_a_piece_that_comes_between_two_batches_is_not_lost(
    segment: Segment,
) -> None:
    readers = [attached(segment) for _ in range(2 * PUSH_BATCH)]
    rest = segment.append([b"one"], 3)
    rest_of_next = segment.append([b"two"], 3)
    await push_on(rest)
    await push_on(rest_of_next)
    append(segment, b"three", end=True)
    for reader in readers:
        if reader.segment is not None:
            reader.catch_up()
    assert {reader.got for reader in readers} == {b"onetwothree"}


async def test_a_reader_that_leaves_between_two_batches_is_passed_over(
    segment: Segment,
) -> None:
    readers = [attached(segment) for _ in range(PUSH_BATCH + 5)]
    rest = segment.append([b"a"], 1)
    for reader in rest:
        segment.detach(reader)
    await push_on(rest)
    assert sum(reader.got == b"a" for reader in readers) == PUSH_BATCH


def test_broken_off_cleanly_it_ends_as_if_whole_but_is_marked(segment: Segment) -> None:
    reader = attached(segment)
    append(segment, b"half")
    segment.break_off(cut=False)
    assert reader.ended
    assert segment.incomplete
    assert segment.stage is Stage.ENDED


def test_cut_off_its_readers_are_woken_to_see_it(segment: Segment) -> None:
    live, late = attached(segment), attached(segment, appetite=0)
    append(segment, b"half")
    wakes = late.wakes
    segment.break_off(cut=True)
    assert (live.late, live.wakes) == (True, 1)
    assert late.wakes == wakes + 1
    live.catch_up()
    late.catch_up()
    assert (live.got, live.ended) == (b"half", False)
    assert (late.got, late.ended) == (b"half", False)


def test_forgotten_it_has_nothing_left(segment: Segment) -> None:
    reader = attached(segment, appetite=0)
    append(segment, b"data", end=True)
    segment.forget()
    assert reader.wakes == 2
    assert reader.available(10) == ([], 0)
    assert segment.cut


def test_those_who_wait_are_released_and_detached(
    segment: Segment, tally: Tally
) -> None:
    reader = attached(segment)
    other = Segment(5, tally)
    segment.release_all(other)
    assert reader.released == [other]
    assert reader.segment is None
    assert tally.readers == 0


def test_whole_at_tells_the_end_only_of_what_has_ended(segment: Segment) -> None:
    append(segment, b"abc")
    assert not segment.is_whole_at(0, 0, 3)
    append(segment, b"", end=True)
    assert segment.is_whole_at(0, 0, 3)
    assert segment.is_whole_at(0, 1, 2)
    assert not segment.is_whole_at(0, 0, 2)


def test_an_empty_segment_is_whole_at_once(segment: Segment) -> None:
    append(segment, b"", end=True)
    assert segment.is_whole_at(0, 0, 0)


def test_a_reader_must_say_what_it_does() -> None:
    with pytest.raises(
        TypeError, match="abstract methods advance, push, release, wake"
    ):
        Reader()  # type: ignore[abstract] # that is the point
