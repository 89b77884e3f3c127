"""What channels hold together is counted, and bounded whatever their windows say."""

from __future__ import annotations

import pytest

from tests.relay.fakes import Clock, TakingReader, make_hub, publish, write
from trickle_cli.errors import ChannelClosed, SegmentNotFound
from trickle_cli.relay import Channel, Hub, Limits, Verdict, Window
from trickle_cli.relay.memory import SEGMENT_COST

LIMIT = 20 * (SEGMENT_COST + 100)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> Hub:
    """Holds about twenty segments of a hundred bytes."""
    return make_hub(clock, Limits(memory=LIMIT))


def fill(channel: Channel, count: int) -> None:
    for _ in range(count):
        write(channel, channel.head, b"x" * 100)


def test_what_is_held_is_counted_with_what_it_takes(hub: Hub) -> None:
    channel = hub.create("cam")
    fill(channel, 3)
    assert channel.memory == 3 * (100 + SEGMENT_COST)
    assert hub.memory.used == channel.memory
    hub.create("mic")
    fill(hub.find("mic"), 2)
    assert hub.memory.used == 5 * (100 + SEGMENT_COST)


def test_what_is_dropped_is_counted_no_more(hub: Hub, clock: Clock) -> None:
    channel = hub.create("cam")
    fill(channel, 8)
    clock.advance(1000)
    channel.expire(clock.now)
    assert len(channel) == 5
    assert hub.memory.used == 5 * (100 + SEGMENT_COST)
    hub.close("cam")
    clock.advance(1000)
    hub.tick()
    assert hub.memory.used == 0


def test_the_channel_that_holds_most_loses_its_oldest(hub: Hub) -> None:
    small, large = hub.create("small"), hub.create("large")
    fill(small, 4)
    fill(large, 40)
    assert len(small) == 4
    assert hub.memory.used <= LIMIT
    assert 14 <= len(large) <= 16
    with pytest.raises(SegmentNotFound):
        large.find(0)
    assert large.find(39).size == 100


def test_not_even_the_newest_are_sacred(clock: Clock) -> None:
    limits = Limits(memory=3 * (SEGMENT_COST + 100), window=Window(floor=5))
    hub = make_hub(clock, limits)
    channel = hub.create("cam")
    fill(channel, 10)
    assert hub.memory.used <= hub.memory.limit
    assert 1 <= len(channel) <= 3


def test_a_segment_that_is_open_gives_way_too(clock: Clock) -> None:
    hub = make_hub(clock, Limits(memory=2000))
    writer = publish(hub.create("one"), 0)
    writer.write([b"x" * 1000])
    other = publish(hub.create("two"), 0)
    other.write([b"x" * 1000])
    assert hub.memory.used <= 2000
    assert Verdict.EVICTED in {writer.verdict, other.verdict}


def test_those_who_read_what_had_left_are_cut_off_first(hub: Hub) -> None:
    channel = hub.create("cam")
    fill(channel, 1)
    reader = TakingReader(10)
    reader.channel = channel
    channel.attach(reader, channel.find(0))
    segment = reader.segment
    assert segment is not None
    fill(channel, 60)
    assert segment.cut
    assert hub.memory.used <= LIMIT
    channel.detach(reader)
    assert hub.memory.used == channel.memory


def test_the_rate_is_that_of_the_last_seconds(hub: Hub, clock: Clock) -> None:
    channel = hub.create("cam")
    assert channel.rate(clock.now) == 0
    for _ in range(20):
        clock.advance(1)
        fill(channel, 1)
        hub.tick()
    assert channel.rate(clock.now) == pytest.approx(100, rel=0.25)
    clock.advance(3)
    hub.tick()
    assert 20 < channel.rate(clock.now) < 80
    clock.advance(3)
    hub.tick()
    assert channel.rate(clock.now) == 0


def test_a_young_channel_has_a_rate(hub: Hub, clock: Clock) -> None:
    channel = hub.create("cam")
    fill(channel, 5)
    clock.advance(0.1)
    assert channel.rate(clock.now) == 500
    clock.advance(1.9)
    assert channel.rate(clock.now) == 250


def test_a_look_leaves_nothing_behind(hub: Hub) -> None:
    channel = hub.create("cam")
    fill(channel, 2)
    assert channel.look(-2).seq == channel.look(1).seq == 1
    for seq in (2, 3, -1):
        with pytest.raises(SegmentNotFound):
            channel.look(seq)
    assert channel._awaited == {}
    channel.close()
    assert channel.look(0).size == 100
    with pytest.raises(ChannelClosed):
        channel.look(2)
