from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from tests.relay.fakes import Clock, TakingReader, attach, make_hub, publish, write
from trickle_cli.errors import BadAddress, ChannelClosed, ChannelNotFound, LimitReached
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.relay import Hub, Limits


def changes(hub: Hub) -> list[dict[str, list[str]]]:
    """What the changefeed has said so far."""
    feed = hub.find(CHANGEFEED)
    return [json.loads(attach(feed, seq).got) for seq in range(feed.head)]


def test_a_channel_is_made_once(clock: Clock) -> None:
    hub = make_hub(clock)
    channel = hub.create("cam", "video/mp2t")
    assert hub.create("cam", "text/plain") is channel
    assert channel.type == "video/mp2t"
    assert hub.find("cam") is channel


def test_a_name_must_be_one(clock: Clock) -> None:
    with pytest.raises(BadAddress):
        make_hub(clock).create("a/b")


def test_what_is_not_there_is_not_found(clock: Clock) -> None:
    with pytest.raises(ChannelNotFound):
        make_hub(clock).find("cam")


def test_a_closed_channel_stays_until_the_linger_time_is_over(clock: Clock) -> None:
    hub = make_hub(clock, Limits(linger=60))
    write(hub.create("cam"), 0, b"data")
    hub.close("cam")
    clock.advance(59)
    hub.tick()
    hub.find("cam")
    clock.advance(1)
    hub.tick()
    with pytest.raises(ChannelNotFound):
        hub.find("cam")


def test_a_closed_channel_stays_as_long_as_somebody_reads_it(clock: Clock) -> None:
    hub = make_hub(clock, Limits(linger=60))
    channel = hub.create("cam")
    write(channel, 0, b"data")
    hub.close("cam")
    reader = TakingReader(1)
    channel.attach(reader, channel.find(0))
    clock.advance(60)
    hub.tick()
    clock.advance(59)
    hub.tick()
    assert hub.find("cam") is channel
    channel.detach(reader)
    clock.advance(1)
    hub.tick()
    with pytest.raises(ChannelNotFound):
        hub.find("cam")


def test_a_closed_channel_stays_between_the_visits_of_a_slow_reader(
    clock: Clock,
) -> None:
    hub = make_hub(clock, Limits(linger=60), sweep_interval=10)
    channel = hub.create("cam")
    for seq in range(10):
        write(channel, seq, b"data")
    hub.close("cam")
    for seq in range(10):  # it takes what it wants at once, and comes again later
        clock.advance(59)
        hub.tick()
        assert attach(hub.find("cam"), seq).got == b"data"
    clock.advance(60)
    hub.tick()
    with pytest.raises(ChannelNotFound):
        hub.find("cam")


def test_closing_twice_is_an_error(clock: Clock) -> None:
    hub = make_hub(clock)
    hub.create("cam")
    hub.close("cam")
    with pytest.raises(ChannelNotFound):
        hub.close("cam")


def test_a_closed_channel_is_replaced_by_a_new_one(clock: Clock) -> None:
    hub = make_hub(clock)
    old = hub.create("cam")
    write(old, 0, b"old")
    hub.close("cam")
    new = hub.create("cam")
    assert new is not old
    assert (new.head, new.closed, new.epoch != old.epoch) == (0, False, True)
    clock.advance(1000)
    hub.tick()
    assert hub.find("cam") is new


def test_there_is_a_limit_to_channels_and_those_that_drain_make_room(
    clock: Clock,
) -> None:
    hub = make_hub(clock, Limits(channels=3))
    for name in "abc":
        hub.create(name)
    with pytest.raises(LimitReached) as caught:
        hub.create("d")
    assert caught.value.retryable
    hub.close("b")
    hub.create("d")
    with pytest.raises(ChannelNotFound):
        hub.find("b")
    assert {channel.name for channel in hub} == {"a", "c", "d"}


def test_the_changefeed_tells_what_comes_and_goes(clock: Clock) -> None:
    hub = make_hub(clock, changefeed=True)
    hub.create("cam")
    hub.create("mic")
    hub.close("cam")
    hub.create("cam")
    assert changes(hub) == [
        {"added": ["_changes"]},
        {"added": ["cam"]},
        {"added": ["mic"]},
        {"removed": ["cam"]},
        {"added": ["cam"]},
    ]


def test_a_change_is_compact_json_in_one_segment(clock: Clock) -> None:
    hub = make_hub(clock, changefeed=True)
    hub.create('a "b" é')
    feed = hub.find(CHANGEFEED)
    assert feed.type == "application/json"
    assert attach(feed, 1).got.decode() == '{"added":["a \\"b\\" é"]}'


def test_the_changefeed_keeps_a_thousand_changes_however_old(clock: Clock) -> None:
    hub = make_hub(clock, changefeed=True)
    for number in range(1200):
        hub.create(f"c{number}")
    clock.advance(10_000_000)
    hub.sweep()
    assert len(hub.find(CHANGEFEED)) >= 1000


def test_without_a_changefeed_there_is_none(clock: Clock) -> None:
    with pytest.raises(ChannelNotFound):
        make_hub(clock).find(CHANGEFEED)


def test_idle_channels_are_closed_by_the_sweep(clock: Clock) -> None:
    hub = make_hub(clock, idle_timeout=300, changefeed=True)
    hub.create("idle")
    hub.create("stay", permanent=True)
    busy = hub.create("busy")
    clock.advance(299)
    writer = publish(busy, 0)
    writer.write([b"x"])
    clock.advance(2)
    hub.sweep()
    assert {channel.name for channel in hub} == {"busy", "stay", "_changes"}
    assert changes(hub)[-1] == {"removed": ["idle"]}


def test_every_byte_counts_against_being_idle(clock: Clock) -> None:
    hub = make_hub(clock, idle_timeout=300)
    writer = publish(hub.create("long"), 0)
    for _ in range(5):
        writer.write([b"x"])
        clock.advance(200)
        hub.sweep()
    assert not hub.find("long").closed


def test_the_sweep_comes_at_its_interval(clock: Clock) -> None:
    hub = make_hub(clock, idle_timeout=10, sweep_interval=60)
    hub.tick()
    hub.create("idle")
    clock.advance(59)
    hub.tick()
    assert not hub.find("idle").closed
    clock.advance(1)
    hub.tick()
    assert hub.find("idle").closed


def test_shutting_down_closes_all_and_tells_it(clock: Clock) -> None:
    hub = make_hub(clock, changefeed=True)
    hub.create("a")
    hub.create("b")
    hub.create("gone")
    hub.close("gone")
    hub.shut_down()
    assert changes(hub)[-1] == {"removed": ["a", "b"]}
    assert list(hub) == []
    with pytest.raises(ChannelClosed):
        hub.find("a").find(0)


def test_a_permanent_channel_may_be_closed_and_made_again(clock: Clock) -> None:
    hub = make_hub(clock)
    hub.create("cam", permanent=True)
    assert hub.is_permanent("cam")
    hub.close("cam")
    assert hub.is_permanent("cam")
    assert not hub.create("cam").closed


async def test_running_it_makes_time_pass(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = Hub(idle_timeout=5, sweep_interval=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        channel = hub.create("cam")
        waiting = attach(channel, 0)
        write(channel, 1, b"one")
        await trio.sleep(1.5)
        assert [s.seq for s in waiting.released if s is not None] == [1]
        await trio.sleep(6)
        assert channel.closed
        await trio.sleep(60)
        with pytest.raises(ChannelNotFound):
            hub.find("cam")
        nursery.cancel_scope.cancel()
