"""A publisher that comes again goes on where it was, and repeats nothing."""

from __future__ import annotations

import pytest

from tests.relay.fakes import Clock, attach, make_hub, publish, write
from trickle_cli.errors import SegmentConflict
from trickle_cli.relay import Channel, Limits, Verdict, Window

OURS = b"ours"
OTHERS = b"others"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(clock: Clock) -> Channel:
    limits = Limits(window=Window(segments=5, floor=1), resume=5)
    return make_hub(clock, limits).create("cam")


def content(channel: Channel, seq: int) -> bytes:
    segment = channel.find(seq)
    return b"".join(segment.read(0, 0, segment.size)[0])


@pytest.mark.parametrize("offset", [0, 1, 3])
@pytest.mark.parametrize("step", [1, 2, 100])
def test_what_is_there_already_is_passed_over(
    channel: Channel, offset: int, step: int
) -> None:
    first = publish(channel, 0, owner=OURS)
    first.write([b"abc"])
    first.abandon()
    reader = attach(channel, 0)
    again = publish(channel, 0, owner=OURS, offset=offset)
    rest = b"abcdef"[offset:]
    for start in range(0, len(rest), step):
        again.write([rest[start : start + step]])
    again.write([], end=True)
    assert content(channel, 0) == reader.got == b"abcdef"
    assert reader.ended
    assert channel.total == 6


def test_it_takes_the_segment_over_from_its_older_connection(channel: Channel) -> None:
    first = publish(channel, 0, owner=OURS)
    first.write([b"abc"])
    again = publish(channel, 0, owner=OURS, offset=3)
    assert first.verdict is Verdict.SUPERSEDED
    first.write([b"lost on the way"])
    again.write([b"def"], end=True)
    assert content(channel, 0) == b"abcdef"


def test_a_request_that_waits_is_taken_over_too(channel: Channel) -> None:
    first = publish(channel, 0, owner=OURS)
    again = publish(channel, 0, owner=OURS)
    assert first.verdict is Verdict.SUPERSEDED
    assert again.verdict is None
    assert channel.publishers == 1


@pytest.mark.parametrize("seq", [0, 2, 7], ids=["evicted", "evicted too", "complete"])
def test_what_is_repeated_changes_nothing(channel: Channel, seq: int) -> None:
    for number in range(8):
        publish(channel, number, owner=OURS).write([b"%d" % number], end=True)
    epoch, total = channel.epoch, channel.total
    again = publish(channel, seq, owner=OURS)
    again.write([b"%d" % seq])
    again.write([b"and more"], end=True)
    assert (channel.epoch, channel.total, channel.head) == (epoch, total, 8)
    assert channel.publishers == 0
    assert content(channel, 7) == b"7"


def test_who_took_over_from_another_repeats_nothing_of_theirs_either(
    channel: Channel,
) -> None:
    publish(channel, 0, owner=OTHERS).write([b"theirs"], end=True)
    publish(channel, 1, owner=OURS).write([b"ours"], end=True)
    epoch = channel.epoch
    publish(channel, 0, owner=OURS).write([b"late"], end=True)
    assert channel.epoch == epoch
    assert content(channel, 0) == b"theirs"


@pytest.mark.parametrize("owner", [b"", OTHERS])
def test_another_publisher_than_the_present_one_starts_anew(
    channel: Channel, owner: bytes
) -> None:
    publish(channel, 0, owner=OURS).write([b"old"], end=True)
    epoch = channel.epoch
    publish(channel, 0, owner=owner).write([b"new"], end=True)
    assert channel.epoch != epoch
    assert content(channel, 0) == b"new"


def test_bytes_that_are_missing_before_it_are_a_conflict(channel: Channel) -> None:
    publish(channel, 0, owner=OURS).write([b"abc"])
    with pytest.raises(SegmentConflict) as caught:
        publish(channel, 0, owner=OURS, offset=4)
    assert (caught.value.seq, caught.value.size) == (0, 3)
    with pytest.raises(SegmentConflict) as caught:
        publish(channel, 1, owner=OURS, offset=1)
    assert (caught.value.seq, caught.value.size) == (1, 0)
    assert channel.publishers == 1


@pytest.mark.parametrize("owner", [b"", OTHERS])
@pytest.mark.parametrize("opens", ["before", "after"])
def test_nobody_else_continues_what_a_known_publisher_began(
    channel: Channel, owner: bytes, opens: str
) -> None:
    if opens == "before":
        other = publish(channel, 0, owner=owner)
    publish(channel, 0, owner=OURS).write([b"abc"])
    with pytest.raises(SegmentConflict) as caught:
        if opens == "before":
            other.write([b"x"])
        else:
            publish(channel, 0, owner=owner)
    assert (caught.value.latest, caught.value.size) == (1, 3)
    assert content(channel, 0) == b"abc"


def test_what_a_known_publisher_left_for_too_long_is_over(
    channel: Channel, clock: Clock
) -> None:
    first = publish(channel, 0, owner=OURS)
    first.write([b"abc"])
    first.abandon()
    clock.advance(5)
    channel.tick(clock.now)
    assert channel.find(0).incomplete
    with pytest.raises(SegmentConflict, match="incomplete") as caught:
        publish(channel, 0, owner=OURS, offset=3)
    assert caught.value.size == 3


def test_an_end_alone_can_be_what_was_missing(channel: Channel) -> None:
    first = publish(channel, 0, owner=OURS)
    first.write([b"abc"])
    first.abandon()
    publish(channel, 0, owner=OURS, offset=3).write([], end=True)
    assert channel.find(0).ended
    assert not channel.find(0).incomplete


def test_a_publisher_without_a_name_is_continued_by_anybody(channel: Channel) -> None:
    publish(channel, 0).write([b"abc"])
    publish(channel, 0, owner=OURS).write([b"def"], end=True)
    assert content(channel, 0) == b"abcdef"


def test_an_empty_end_by_another_changes_nothing(channel: Channel) -> None:
    write(channel, 0, b"abc")
    epoch = channel.epoch
    publish(channel, 0, owner=OTHERS).write([], end=True)
    assert (channel.epoch, content(channel, 0)) == (epoch, b"abc")
