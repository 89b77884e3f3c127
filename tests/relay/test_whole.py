"""A segment that comes whole is as one that is opened, written and ended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.relay.fakes import Clock, TakingReader, attach, make_hub, publish, write
from trickle_cli.relay import Channel, Limits, Window
from trickle_cli.relay.segment import PUSH_BATCH


def told_of(channel: Channel) -> tuple[object, ...]:
    """All that others could see of it."""
    return (
        channel.head,
        channel.oldest,
        channel.size,
        channel.total,
        channel.memory,
        channel.owner,
        channel.written,
        channel.readers,
        channel.publishers,
        [channel.find(seq).owner for seq in range(channel.oldest, channel.head)],
    )


def make(clock: Clock) -> Channel:
    window = Window(segments=3, floor=1)
    return make_hub(clock, Limits(window=window)).create("cam")


def test_it_leaves_what_a_publication_leaves(clock: Clock) -> None:
    one, other = make(clock), make(clock)
    for seq in range(5):
        clock.advance(1)
        readers = [attach(channel, seq) for channel in (one, other) for _ in range(2)]
        owner = b"a" if seq < 3 else b"b"
        body = b"%d" % seq * (seq + 1)
        assert one.add_whole(seq, [body], len(body), owner) == ()
        writer = publish(other, seq, owner=owner)
        writer.write([body], end=True)
        assert told_of(one) == told_of(other)
        assert [(reader.got, reader.ended) for reader in readers] == [(body, True)] * 4
    assert one.oldest == 2  # and so it left the window, too


def test_who_waits_for_what_it_overtakes_is_served_as_ever(clock: Clock) -> None:
    channel = make(clock)
    waiting = attach(channel, 0)
    late = publish(channel, 1)
    assert channel.add_whole(0, [b"zero"], 4, b"") == ()
    assert channel.add_whole(1, [b"one"], 3, b"") is None  # somebody is there
    late.write([b"1"], end=True)
    assert waiting.got == b"zero"
    assert channel.head == 2


def close(channel: Channel) -> int:
    channel.close()
    return channel.head


def open_one(channel: Channel) -> int:
    publish(channel, channel.head)
    return channel.head


@pytest.mark.parametrize(
    "prepare",
    [
        lambda channel: channel.head - 1,  # it is there
        lambda channel: channel.head + 1,  # it is ahead
        close,
        open_one,
    ],
)
def test_what_is_out_of_the_ordinary_is_left_to_a_publication(
    clock: Clock, prepare: Callable[[Channel], int]
) -> None:
    channel = make(clock)
    write(channel, 0, b"zero")
    seq = prepare(channel)
    before = told_of(channel)
    assert channel.add_whole(seq, [b"x"], 1, b"") is None
    assert told_of(channel) == before


def test_of_a_lossless_channel_each_is_a_publication(clock: Clock) -> None:
    channel = make_hub(clock).create("cam", lossless=True)
    assert channel.add_whole(0, [b"x"], 1, b"") is None


@pytest.mark.parametrize(
    "limits", [{"segment_size": 3}, {"publications": 0}], ids=["size", "publications"]
)
def test_limits_are_for_a_publication_to_tell_of(
    clock: Clock, limits: dict[str, int]
) -> None:
    channel = make_hub(clock, Limits(**limits)).create("cam")  # type: ignore[arg-type]
    assert channel.add_whole(0, [b"four"], 4, b"") is None
    assert channel.head == 0


def test_more_readers_than_are_served_at_once_are_returned(clock: Clock) -> None:
    channel = make(clock)
    readers: list[TakingReader] = [attach(channel, 0) for _ in range(PUSH_BATCH + 9)]
    rest = channel.add_whole(0, [b"x"], 1, b"")
    assert rest is not None
    assert len(rest) == 9
    assert sum(reader.ended for reader in readers) == PUSH_BATCH
