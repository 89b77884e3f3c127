"""What a subscriber asks for, and what it makes of the answers."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
import trio

from tests.client import scripted as say
from tests.client.ours import OurServer, serving
from tests.client.scripted import PATIENCE, Peer, ScriptedServer, scripted
from tests.waiting import until
from trickle_cli.client import Publisher, Subscriber
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ChannelVanished,
    ConnectionFailed,
    NotAllowed,
    ProtocolViolation,
    UnexpectedStatus,
)
from trickle_cli.protocol.sequence import CURRENT, NEXT, OLDEST
from trickle_cli.relay import Limits, Window
from trickle_cli.server import ServerConfig

EPOCH: Final = "Lp-Trickle-Epoch: one"
OTHER: Final = "Lp-Trickle-Epoch: two"


async def _all(subscriber: Subscriber) -> list[tuple[int, bytes]]:
    return [(segment.seq, await segment.read()) async for segment in subscriber]


async def _one(subscriber: Subscriber) -> tuple[int, bytes]:
    segment = await subscriber.read()
    return segment.seq, await segment.read()


async def _end_at(waiting: Peer, seq: int) -> None:
    """Take a request that has been sent ahead, and say that all is over."""
    await waiting.asked(f"GET /cam/{seq}")
    await waiting.send(say.ENDED)


# The requests.


async def test_the_next_segment_is_asked_for_as_soon_as_one_has_begun() -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/-2")
        await one.send(say.segment_head(7))
        two, _ = await server.asked("GET /cam/8")  # 7 has no byte yet
        await one.send(say.chunks(b"se", b"ven") + say.END)
        await two.send(say.segment_head(8) + say.chunk(b"ei"))
        await one.asked("GET /cam/9")  # a connection is used again
        await two.send(say.chunk(b"ght") + say.END)
        await one.send(say.ENDED)

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        assert await _all(subscriber) == [(7, b"seven"), (8, b"eight")]


@pytest.mark.parametrize(
    ("start", "path"),
    [(CURRENT, "-2"), (NEXT, "-1"), (-5, "-5"), (0, "0"), (12, "12")],
)
async def test_it_starts_where_it_is_told_to(start: int, path: str) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked(f"GET /cam/{path}")
        await peer.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=start) as subscriber,
    ):
        with pytest.raises(ChannelClosed):
            await subscriber.read()


async def test_bytes_are_given_out_as_they_come() -> None:
    async with (
        serving() as server,
        Publisher(server.endpoint()) as publisher,
        Subscriber(server.endpoint()) as subscriber,
    ):
        writer = await publisher.next()
        await writer.write(b"first")
        segment = await subscriber.read()
        assert await anext(segment) == b"first"
        await writer.write(b"second")
        assert await anext(segment) == b"second"
        await writer.close()
        assert [data async for data in segment] == []


# Answers that are not the segment.


async def test_who_is_ahead_asks_for_the_same_again() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/5")
        for latest in (3, 4, 5, 5):
            await peer.send(say.missing(latest))
            await peer.asked("GET /cam/5")
        await peer.send(say.segment(5, b"five"))
        await _end_at(await server.accept(), 6)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=5) as subscriber,
    ):
        assert await _all(subscriber) == [(5, b"five")]


@pytest.mark.parametrize(
    ("fields", "then"), [([EPOCH], f"GET /cam/{OLDEST}"), ([], "GET /cam/9")]
)
async def test_who_fell_behind_goes_on_and_says_what_is_lost(
    fields: list[str], then: str
) -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/0")
        await one.send(say.segment(0, b"zero", *fields))
        two, _ = await server.asked("GET /cam/1")
        await two.send(say.missing(9, *fields))
        await two.asked(then)
        await two.send(say.segment(9, b"nine", *fields))
        await _end_at(one, 10)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await _one(subscriber) == (0, b"zero")
        segment = await subscriber.read()
        assert (segment.seq, segment.lost) == (9, range(1, 9))
        assert not segment.restarted
        assert subscriber.statistics().lost == 8
        assert await segment.read() == b"nine"
        with pytest.raises(ChannelClosed):
            await subscriber.read()


async def test_a_server_that_serves_a_later_one_instead_says_so_by_its_seq() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/3")
        await peer.send(say.segment(5, b"five"))
        await _end_at(await server.accept(), 6)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=3) as subscriber,
    ):
        segment = await subscriber.read()
        assert (segment.seq, segment.lost) == (5, range(3, 5))
        with pytest.raises(ChannelClosed):
            await subscriber.read()


async def test_an_older_server_that_cannot_count_back_is_asked_for_the_newest() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-7")
        await peer.send(say.answer(400))
        await peer.asked("GET /cam/-2")
        await peer.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=-7) as subscriber,
    ):
        assert await _all(subscriber) == []


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-2")
        for _ in range(2):
            await peer.send(say.answer(status, body=b"busy"))
            await peer.asked("GET /cam/-2")
        await peer.send(say.ENDED)

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        assert await _all(subscriber) == []
        assert subscriber.statistics().reconnects == 2


ENDS: Final[dict[bytes, type[Exception]]] = {
    say.answer(401): NotAllowed,
    say.answer(403): NotAllowed,
    say.answer(418): UnexpectedStatus,
    say.answer(302, "Location: http://elsewhere/cam/0"): UnexpectedStatus,
    say.NOT_FOUND: ChannelNotFound,
    say.answer(200, body=b"a segment without a number"): ProtocolViolation,
    b"HTTP/1.1 200 OK\nnot quite\n\n": ProtocolViolation,
    b"": ConnectionFailed,
}


@pytest.mark.parametrize("text", ENDS)
async def test_what_cannot_be_mended_ends_it(text: bytes) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-2")
        await peer.send(text)
        await peer.shut_down()

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        with pytest.raises(ENDS[text]):
            await subscriber.read()


# Channels that come and go.


async def test_a_channel_that_is_not_there_is_waited_for_and_read_from_its_start() -> (
    None
):
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-2")
        await peer.send(say.NOT_FOUND)
        await peer.asked("GET /cam/0")
        assert "no channel 'cam'" in subscriber.statistics().waiting
        await peer.send(say.NOT_FOUND)
        await peer.asked("GET /cam/0")
        await peer.send(say.segment(0, b"zero"))
        await _end_at(await server.accept(), 1)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), wait=True) as subscriber,
    ):
        assert await _all(subscriber) == [(0, b"zero")]
        assert subscriber.statistics().waiting == ""


async def test_not_found_after_an_epoch_is_a_channel_that_vanished() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-2")
        await peer.send(say.segment(0, b"zero", EPOCH))
        peer, _ = await server.asked("GET /cam/1")
        await peer.send(say.NOT_FOUND)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), retry_for=0) as subscriber,
    ):
        assert await _one(subscriber) == (0, b"zero")
        with pytest.raises(ChannelVanished, match="is lost"):
            await subscriber.read()


async def test_not_found_after_a_success_is_the_end() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/-2")
        await peer.send(say.segment(0, b"zero"))
        peer, _ = await server.asked("GET /cam/1")
        await peer.send(say.NOT_FOUND)

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        assert await _all(subscriber) == [(0, b"zero")]


@pytest.mark.parametrize(
    ("seq", "field"), [(2, OTHER), (1, OTHER), (0, OTHER), (0, EPOCH)]
)
async def test_a_channel_that_begins_anew_loses_nothing(seq: int, field: str) -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/1")
        await one.send(say.segment(1, b"old", EPOCH))
        two, _ = await server.asked("GET /cam/2")
        await two.send(say.segment(seq, b"new", field))
        await _end_at(one, seq + 1)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=1) as subscriber,
    ):
        assert await _one(subscriber) == (1, b"old")
        segment = await subscriber.read()
        assert (segment.seq, segment.restarted, segment.lost) == (seq, True, range(0))
        with pytest.raises(ChannelClosed):
            await subscriber.read()


async def test_seqs_that_began_anew_far_below_are_read_from_the_oldest() -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/7")
        await one.send(say.segment(7, b"old", EPOCH))
        two, _ = await server.asked("GET /cam/8")
        await two.send(say.missing(1, OTHER))
        await two.asked(f"GET /cam/{OLDEST}")
        await two.send(say.segment(0, b"new", OTHER))
        await _end_at(one, 1)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=7) as subscriber,
    ):
        assert await _all(subscriber) == [(7, b"old"), (0, b"new")]


# Connections that break.


async def test_what_was_asked_for_is_asked_for_again_when_the_connection_breaks() -> (
    None
):
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/-2")
        await one.send(say.segment(4, b"four"))
        two, _ = await server.asked("GET /cam/5")
        await two.reset()
        await one.gone()  # that goes to the same server
        three, _ = await server.asked("GET /cam/5")
        await three.reset()
        four, _ = await server.asked("GET /cam/5")
        await four.send(say.segment(5, b"five"))
        await _end_at(await server.accept(), 6)

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        assert await _all(subscriber) == [(4, b"four"), (5, b"five")]


async def test_a_segment_that_breaks_off_is_gone_on_with_where_it_was() -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/4")
        await one.send(say.segment_head(4) + say.chunks(b"abc", b"def"))
        two, _ = await server.asked("GET /cam/5")
        await read.wait()
        await one.reset()
        three, _ = await server.asked("GET /cam/4")
        await three.send(say.segment_head(4) + say.chunks(b"abcde", b"fgh"))
        await three.send(say.chunk(b"i") + say.END)
        await two.send(say.ENDED)

    read = trio.Event()
    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=4) as subscriber,
    ):
        segment = await subscriber.read()
        data = b""
        while data != b"abcdef":
            data += await anext(segment)
        read.set()
        assert data + await segment.read() == b"abcdefghi"
        assert not segment.incomplete
        with pytest.raises(ChannelClosed):
            await subscriber.read()


GONE: Final = {
    "it is another segment now": say.segment(5, b"other"),
    "its seqs began anew": say.segment(4, b"abcdef", OTHER),
    "it is shorter than it was": say.segment(4, b"ab", EPOCH),
    "it left the window": say.missing(9),
    "the channel has ended": say.ENDED,
    "there is no channel": say.NOT_FOUND,
}


@pytest.mark.parametrize("instead", GONE.values(), ids=GONE)
async def test_what_cannot_be_gone_on_with_is_incomplete(instead: bytes) -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/4")
        await one.send(say.segment_head(4, EPOCH) + say.chunk(b"abc"))
        two, _ = await server.asked("GET /cam/5")
        await read.wait()
        await one.reset()
        three, _ = await server.asked("GET /cam/4")
        await three.send(instead)
        await two.send(say.ENDED)

    read = trio.Event()
    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=4) as subscriber,
    ):
        segment = await subscriber.read()
        assert await anext(segment) == b"abc"
        read.set()
        assert await segment.read() == b""
        assert segment.incomplete
        assert subscriber.statistics().incomplete == 1
        with pytest.raises(ChannelClosed):
            await subscriber.read()
        assert subscriber.statistics().incomplete == 1


async def test_a_server_that_cannot_be_reached_at_first_is_a_failure() -> None:
    async def script(server: ScriptedServer) -> None:
        await server.refuse()
        refused.set()

    refused = trio.Event()
    async with scripted(script) as server:
        endpoint = server.endpoint()
        await refused.wait()
        async with Subscriber(endpoint, wait=True) as subscriber:
            with pytest.raises(ConnectionFailed, match="connection refused"):
                await subscriber.read()


async def test_a_server_that_goes_while_we_wait_for_the_first_segment_may_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trickle_cli.client.subscriber._HELD", 0)

    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/-2")
        await one.reset()
        two, _ = await server.asked("GET /cam/-2")
        await two.send(say.segment(0, b"zero"))
        await _end_at(await server.accept(), 1)

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        assert await _all(subscriber) == [(0, b"zero")]


async def test_a_server_that_hangs_up_on_the_first_request_is_a_failure() -> None:
    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/-2")
        await one.close()

    async with scripted(script) as server, Subscriber(server.endpoint()) as subscriber:
        with pytest.raises(ConnectionFailed):
            await subscriber.read()


# With a server of ours.


async def test_behind_a_small_window_every_seq_is_read_or_told_as_lost() -> None:
    limits = Limits(window=Window(segments=5))
    config = ServerConfig(autocreate=True, limits=limits)
    async with serving(config) as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(b"0")
        await publisher.flush()
        async with Subscriber(server.endpoint(), start=0) as subscriber:
            first = await subscriber.read()
            for number in range(1, 100):
                await publisher.write(b"%d" % number)
            await publisher.close()
            seen = [first.seq]
            async for segment in subscriber:
                seen += [*segment.lost, segment.seq]
                assert await segment.read() == b"%d" % segment.seq
            assert seen == list(range(100))
            assert subscriber.statistics().lost > 80


async def _assert_nothing_is_left(server: OurServer) -> None:
    with trio.fail_after(PATIENCE):
        await until(lambda: not server.connections)


@pytest.mark.parametrize("cancels", range(0, 200, 7))
async def test_cancelled_anywhere_nothing_is_left_open_and_no_segment_is_skipped(
    cancels: int,
) -> None:
    async with serving() as server:
        async with Publisher(server.endpoint()) as publisher:
            for number in range(20):
                await publisher.write(b"%d" % number)
            await publisher.close()
        async with Subscriber(server.endpoint(), start=0) as subscriber:
            seen = []
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel() -> None:
                        for _ in range(cancels):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(cancel)
                    with suppress(ChannelClosed):
                        while True:
                            seen.append((await subscriber.read()).seq)
            # What a cancelled call had not returned is returned by the next.
            seen += [segment.seq async for segment in subscriber]
            assert seen == list(range(20))
        await _assert_nothing_is_left(server)
