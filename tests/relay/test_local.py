from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest
import trio
import trio.testing

from tests.relay.fakes import write
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    SegmentNotFound,
    SegmentTooLarge,
)
from trickle_cli.relay import (
    Hub,
    Limits,
    LocalPublisher,
    LocalSegment,
    LocalSubscriber,
    Window,
)


@pytest.fixture
async def hub() -> Hub:
    return Hub(autocreate=True)


async def all_of(subscriber: LocalSubscriber) -> list[tuple[int, bytes]]:
    return [(segment.seq, await segment.read()) async for segment in subscriber]


async def test_without_autocreate_writing_makes_no_channel() -> None:
    hub = Hub()
    publisher = LocalPublisher(hub, "cam")
    with pytest.raises(ChannelNotFound):
        await publisher.write(b"a")
    assert hub.all() == []
    publisher.create_channel()
    assert await publisher.write(b"a") == 0
    publisher.close()
    with pytest.raises(ChannelNotFound):
        await publisher.write(b"b")


async def test_what_is_written_is_read(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam", "text/plain")
    publisher.create_channel()
    got: list[tuple[int, bytes]] = []

    async def subscribe() -> None:
        got.extend(await all_of(LocalSubscriber(hub, "cam")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscribe)
        await trio.testing.wait_all_tasks_blocked()
        assert [await publisher.write(data) for data in (b"a", b"", b"c")] == [0, 1, 2]
        publisher.close()
    assert got == [(0, b"a"), (1, b""), (2, b"c")]
    assert hub.find("cam").readers == 0


async def test_bytes_are_read_before_the_segment_ends(hub: Hub) -> None:
    chunks_in, chunks_out = trio.open_memory_channel[bytes](0)
    publisher = LocalPublisher(hub, "cam")
    publisher.create_channel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.write, chunks_out)
        await chunks_in.send(b"one")
        segment = await LocalSubscriber(hub, "cam", -2).read()
        assert await segment.__anext__() == b"one"
        await chunks_in.send(b"two")
        assert await segment.__anext__() == b"two"
        await chunks_in.aclose()
        assert await segment.read() == b""


async def test_a_segment_tells_its_number_the_head_and_the_type(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam", "text/plain")
    for data in (b"a", b"b", b"c"):
        await publisher.write(data)
    segment = await LocalSubscriber(hub, "cam", 1).read()
    assert (segment.seq, segment.latest, segment.type) == (1, 3, "text/plain")
    assert not segment.incomplete


async def test_the_first_write_makes_the_channel(hub: Hub) -> None:
    await LocalPublisher(hub, "cam").write(b"a")
    assert hub.find("cam").head == 1


async def test_subscribing_to_nothing_is_an_error(hub: Hub) -> None:
    with pytest.raises(ChannelNotFound):
        await LocalSubscriber(hub, "cam").read()


async def test_too_far_ahead_is_an_error_that_tells_the_head(hub: Hub) -> None:
    await LocalPublisher(hub, "cam").write(b"a")
    with pytest.raises(SegmentNotFound) as caught:
        await LocalSubscriber(hub, "cam", 7).read()
    assert (caught.value.seq, caught.value.latest) == (7, 1)


async def test_the_end_is_an_error_of_its_own(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam")
    await publisher.write(b"a")
    publisher.close()
    subscriber = LocalSubscriber(hub, "cam", 0)
    assert await (await subscriber.read()).read() == b"a"
    with pytest.raises(ChannelClosed):
        await subscriber.read()


async def test_who_waits_when_the_channel_closes_learns_it(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam")
    publisher.create_channel()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ChannelClosed):
                await LocalSubscriber(hub, "cam").read()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        publisher.close()


async def test_a_skipped_segment_is_replaced_by_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = Hub()
    got: list[int] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        channel = LocalPublisher(hub, "cam").create_channel()

        async def wait() -> None:
            async with await LocalSubscriber(hub, "cam", 0).read() as segment:
                got.append(segment.seq)
            nursery.cancel_scope.cancel()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        write(channel, 2, b"two")
    assert got == [2]


async def test_setting_the_seq_moves_the_subscriber(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam")
    for number in range(4):
        await publisher.write(b"%d" % number)
    subscriber = LocalSubscriber(hub, "cam", 0)
    for seq in (0, 3, 1):
        subscriber.set_seq(seq)
        assert await (await subscriber.read()).read() == b"%d" % seq
    assert await (await subscriber.read()).read() == b"2"


async def test_iterating_goes_on_with_the_oldest_where_it_fell_behind() -> None:
    hub = Hub(autocreate=True, limits=Limits(window=Window(segments=3, floor=1)))
    publisher = LocalPublisher(hub, "cam")
    for number in range(10):
        await publisher.write(b"%d" % number)
    publisher.close()
    got = await all_of(LocalSubscriber(hub, "cam", 0))
    assert got == [(7, b"7"), (8, b"8"), (9, b"9")]


async def test_cancelling_a_read_leaves_no_reader(hub: Hub) -> None:
    channel = LocalPublisher(hub, "cam").create_channel()
    with trio.move_on_after(0) as scope:
        await LocalSubscriber(hub, "cam").read()
    assert scope.cancelled_caught
    assert channel.readers == 0


async def test_cancelling_in_the_middle_of_a_segment_leaves_no_reader(hub: Hub) -> None:
    chunks_in, chunks_out = trio.open_memory_channel[bytes](1)
    publisher = LocalPublisher(hub, "cam")
    publisher.create_channel()
    segments: list[LocalSegment] = []

    async def subscribe(scope: trio.CancelScope) -> None:
        with scope:
            async with await LocalSubscriber(hub, "cam").read() as segment:
                segments.append(segment)
                await segment.read()

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(publisher.write, chunks_out)
        nursery.start_soon(subscribe, scope)
        await chunks_in.send(b"one")
        await trio.testing.wait_all_tasks_blocked()
        assert hub.find("cam").readers == 1
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert hub.find("cam").readers == 0
        await chunks_in.aclose()


async def test_a_writer_whose_channel_is_closed_learns_it(hub: Hub) -> None:
    publisher = LocalPublisher(hub, "cam")

    async def endless() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x"
            publisher.close()

    async with aclosing(endless()) as data:
        with pytest.raises(ChannelClosed):
            await publisher.write(data)


async def test_a_segment_that_is_too_large_is_refused() -> None:
    hub = Hub(autocreate=True, limits=Limits(segment_size=10))
    with pytest.raises(SegmentTooLarge):
        await LocalPublisher(hub, "cam").write(b"x" * 11)
    segment = await LocalSubscriber(hub, "cam", -2).read()
    assert await segment.read() == b"x" * 10
    assert segment.incomplete


async def test_a_writer_that_fails_leaves_its_segment_to_be_continued(hub: Hub) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError

    publisher = LocalPublisher(hub, "cam")
    with pytest.raises(RuntimeError):
        await publisher.write(failing())
    channel = hub.find("cam")
    assert channel.publishers == 0
    assert not channel.find(0).ended


async def test_a_lossless_channel_waits_for_its_local_readers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = Limits(window=Window(segments=5, floor=1))
    hub = Hub(limits=limits)
    hub.create("cam", lossless=True)
    publisher = LocalPublisher(hub, "cam")
    got: list[bytes] = []

    async def publish() -> None:
        for number in range(100):
            await publisher.write(b"%d" % number)
        publisher.close()

    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        subscriber = LocalSubscriber(hub, "cam", 0)
        nursery.start_soon(publish)
        async for segment in subscriber:
            await trio.sleep(0.3)  # much slower than its publisher
            got.append(await segment.read())
            assert len(hub.find("cam")) <= 7
        nursery.cancel_scope.cancel()
    assert got == [b"%d" % number for number in range(100)]


async def test_a_local_reader_that_closes_holds_nobody_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = Hub(limits=Limits(window=Window(segments=5, floor=1), lease=10))
    channel = hub.create("cam", lossless=True)
    publisher = LocalPublisher(hub, "cam")
    async with trio.open_nursery() as nursery:
        await nursery.start(hub.run)
        await publisher.write(b"first")
        subscriber = LocalSubscriber(hub, "cam", 0)
        await (await subscriber.read()).read()
        subscriber.close()
        with trio.fail_after(5):
            for _ in range(20):
                await publisher.write(b"more")
        nursery.cancel_scope.cancel()
    assert channel.oldest > 0
