"""Requests that wait are renewed, and of broken segments the rest is asked for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client import scripted as say
from tests.client.ours import serving
from tests.client.scripted import Asked, Peer, ScriptedServer, scripted
from tests.waiting import until
from trickle_cli.client import Publisher, Subscriber, asking, sending
from trickle_cli.client.lane import Lane
from trickle_cli.errors import ChannelClosed, FirstByteTimeout
from trickle_cli.server import Patience, ServerConfig

NOT_IN_TIME = say.answer(408, "Lp-Trickle-Timeout: wait", body=b"ask again")
TOO_LATE = say.answer(
    408, "Lp-Trickle-Timeout: first-byte", "Connection: close", body=b"too late"
)


def wait_of(asked: Asked) -> int:
    name, _, seconds = asked.fields["prefer"].partition("=")
    assert name == "wait"
    return int(seconds)


async def test_a_request_says_how_long_it_waits() -> None:
    waits = []

    async def script(server: ScriptedServer) -> None:
        for seq in range(30):
            peer, asked = await server.asked(f"GET /cam/{seq}")
            waits.append(wait_of(asked))
            await peer.send(say.segment(seq, b"x", "Connection: close"))
            await peer.close()
        peer, asked = await server.asked("GET /cam/30")
        await peer.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscribing,
    ):
        assert len([await segment.read() async for segment in subscribing]) == 30
    assert set(waits) <= set(range(20, 26))
    assert len(set(waits)) > 1  # not all at once


async def test_what_has_not_begun_in_time_is_asked_for_again_at_once() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/3")
        for _ in range(3):
            await peer.send(NOT_IN_TIME)
            await peer.asked("GET /cam/3")
        await peer.send(say.segment(3, b"three"))
        other, _ = await server.asked("GET /cam/4")
        await other.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=3) as subscribing,
    ):
        with trio.fail_after(10):
            assert await (await subscribing.read()).read() == b"three"
        assert subscribing.statistics().reconnects == 0
        with pytest.raises(ChannelClosed):
            await subscribing.read()


async def test_a_server_that_does_not_wait_is_not_asked_without_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/3")
        for _ in range(10):
            await peer.send(NOT_IN_TIME)
            await peer.asked("GET /cam/3")
        await peer.send(say.ENDED)

    async def pause(_: Subscriber) -> None:
        pauses.append(trio.current_time())
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Subscriber, "_pause_ahead", pause)
    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=3) as subscribing,
    ):
        with pytest.raises(ChannelClosed):
            await subscribing.read()
    assert len(pauses) == 7


async def test_a_server_that_knows_no_renewal_is_asked_on_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_RENEWAL", (0, 0))
    monkeypatch.setattr(asking, "_RENEWAL_GRACE", 0.05)
    monkeypatch.setattr(asking, "_READ_GRACE", 0.05)

    async def script(server: ScriptedServer) -> None:
        for _ in range(3):
            peer, _ = await server.asked("GET /cam/3")
            await peer.gone()
        peer, _ = await server.asked("GET /cam/3")
        await peer.send(say.segment(3, b"three"))
        other, _ = await server.asked("GET /cam/4")
        await other.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=3) as subscribing,
    ):
        segments = [await segment.read() async for segment in subscribing]
        assert segments == [b"three"]


async def test_what_came_while_the_one_before_was_read_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_RENEWAL", (0, 0))
    monkeypatch.setattr(asking, "_RENEWAL_GRACE", 0)

    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/0")
        await one.send(say.segment_head(0) + say.chunk(b"slow"))
        two, _ = await server.asked("GET /cam/1")
        await two.send(say.segment(1, b"one"))
        await wait_all_tasks_blocked()  # for it does not wait
        await one.send(say.END)
        await one.asked("GET /cam/2")
        await one.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscribing,
    ):
        segments = [await segment.read() async for segment in subscribing]
        assert segments == [b"slow", b"one"]
        assert server.accepted == 2


async def test_our_server_and_client_renew_without_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "_RENEWAL", (0, 1))
    async with serving() as server, trio.open_nursery() as nursery:
        channel = server.hub.create("cam")
        async with Subscriber(server.endpoint(), start=0) as subscribing:

            async def publish() -> None:
                await until(lambda: server.answers(408) >= 2)
                assert server.connections == 1
                async with Publisher(server.endpoint()) as publisher:
                    await publisher.write(b"at last")
                    await publisher.flush()

            nursery.start_soon(publish)
            assert await (await subscribing.read()).read() == b"at last"
            assert subscribing.statistics().reconnects == 0
        assert channel.head == 1


# Going on within a segment.


async def begin(server: ScriptedServer, *fields: str) -> Peer:
    """A segment 4 of which "abcdef" has come, on a connection that breaks then."""
    one, _ = await server.asked("GET /cam/4")
    await one.send(say.segment_head(4, *fields) + say.chunk(b"abcdef"))
    two, _ = await server.asked("GET /cam/5")
    await one.reset()
    return two


async def rest_of(server: ScriptedServer, *answers: bytes) -> None:
    """Let the rest be asked for, and answer it."""
    three, asked = await server.asked("GET /cam/4")
    assert asked.fields["range"] == "bytes=6-"
    for answer in answers:
        await three.send(answer)


def part(*fields: str) -> bytes:
    return say.head(206, "Lp-Trickle-Seq: 4", "Transfer-Encoding: chunked", *fields)


LIVE = "Content-Range: bytes 6-9007199254740991/*"
RESTS = {
    "the rest": (part(LIVE), say.chunks(b"gh", b"i"), say.END),
    "more than the rest": (
        part("Content-Range: bytes 4-8/9"),
        say.chunks(b"efghi"),
        say.END,
    ),
    "all of it": (say.segment_head(4), say.chunks(b"abcdefghi"), say.END),
}


@pytest.mark.parametrize("name", RESTS)
async def test_the_rest_of_a_segment_is_asked_for(name: str) -> None:
    async def script(server: ScriptedServer) -> None:
        two = await begin(server)
        await rest_of(server, *RESTS[name])
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=4) as subscribing,
    ):
        segment = await subscribing.read()
        assert await segment.read() == b"abcdefghi"
        assert not segment.incomplete
        with pytest.raises(ChannelClosed):
            await subscribing.read()


async def test_nothing_left_is_the_end_of_the_segment() -> None:
    async def script(server: ScriptedServer) -> None:
        two = await begin(server)
        await rest_of(server, say.answer(416, "Content-Range: bytes */6"))
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=4) as subscribing,
    ):
        segment = await subscribing.read()
        assert await segment.read() == b"abcdef"
        assert not segment.incomplete
        with pytest.raises(ChannelClosed):
            await subscribing.read()


NOT_IT = {
    "a later part": part("Content-Range: bytes 7-8/9") + say.chunk(b"hi") + say.END,
    "a part of it does not say which": part() + say.chunk(b"hi") + say.END,
    "another segment": say.answer(206, "Lp-Trickle-Seq: 5", LIVE, body=b"ghi"),
    "another epoch": part(LIVE, "Lp-Trickle-Epoch: new") + say.chunk(b"x") + say.END,
    "less than there was": say.answer(416, "Content-Range: bytes */5"),
    "nothing of another epoch": say.answer(
        416, "Content-Range: bytes */6", "Lp-Trickle-Epoch: new"
    ),
    "no such segment": say.missing(9),
}


@pytest.mark.parametrize("name", NOT_IT)
async def test_what_does_not_go_on_is_not_joined(name: str) -> None:
    async def script(server: ScriptedServer) -> None:
        two = await begin(server, "Lp-Trickle-Epoch: old")
        await rest_of(server, NOT_IT[name])
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=4) as subscribing,
    ):
        segment = await subscribing.read()
        assert await segment.read() == b"abcdef"
        assert segment.incomplete
        with pytest.raises(ChannelClosed):
            await subscribing.read()


async def test_from_our_server_only_the_rest_comes() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        writer = await publisher.next()
        await writer.write(b"abc")
        async with Subscriber(server.endpoint(), start=0) as subscribing:
            segment = await subscribing.read()
            assert await anext(segment) == b"abc"
            await segment.connection.aclose()  # as if it had broken
            await writer.write(b"def")
            assert await anext(segment) == b"def"
            await writer.close(b"ghi")
            assert await segment.read() == b"ghi"
            assert segment.size == 9
            assert not segment.incomplete
            await publisher.close()


# Publishers that waited for too long.


async def test_a_publisher_that_waited_too_long_comes_again() -> None:
    config = ServerConfig(autocreate=True, patience=Patience(preconnect=0.1))
    async with (
        serving(config) as server,
        Publisher(server.endpoint()) as publisher,
    ):
        await publisher.write(b"one")
        writer = await publisher.next()
        await until(lambda: server.answers(408) >= 2)
        await writer.write(b"two")
        await writer.close()
        await publisher.flush()
        await publisher.close()
        channel = server.hub.find("cam")
        assert (channel.head, channel.total) == (2, 6)


async def test_a_request_that_has_waited_for_long_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "_RENEWAL", 0.05)
    monkeypatch.setattr(sending, "_RENEWAL_LOOK", 0.05)

    async def script(server: ScriptedServer) -> None:
        await say.admit(server)
        one, _ = await server.asked("POST /cam/0")
        await one.expect(say.chunk(b"one") + say.END)
        await one.send(say.answer())
        for _ in range(3):
            two, _ = await server.asked("POST /cam/1")
            await two.gone()
        two, _ = await server.asked("POST /cam/1")
        renewed.set()
        await two.expect(say.chunk(b"two") + say.END)
        await two.send(say.answer())

    renewed = trio.Event()
    async with scripted(script) as server, Publisher(server.endpoint()) as publishing:
        await publishing.write(b"one")
        await renewed.wait()
        monkeypatch.setattr(sending, "_RENEWAL", 60)
        await publishing.write(b"two")
        await publishing.flush()


async def test_a_segment_that_is_awaited_by_its_writer_may_be_renewed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "_RENEWAL", 0.01)
    monkeypatch.setattr(sending, "_RENEWAL_LOOK", 0.01)
    take_back, renewals = sending.Sender._take_back, 0

    async def renew(sender: sending.Sender, lane: Lane) -> None:
        nonlocal renewals
        renewals += 1
        await take_back(sender, lane)

    monkeypatch.setattr(sending.Sender, "_take_back", renew)
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        for number in range(20):
            writer = await publishing.next()
            before = renewals
            await until(lambda: renewals > before)  # noqa: B023
            await writer.write(b"%d," % number)
            await writer.write(b"x")
        await publishing.close()
        channel = server.hub.find("cam")
        held = [b"".join(channel.find(n).read(0, 0, 99)[0]) for n in range(20)]
        assert held == [b"%d,x" % number for number in range(20)]


async def test_bytes_that_cross_the_refusal_are_an_outcome_of_its_own() -> None:
    async def script(server: ScriptedServer) -> None:
        await say.admit(server)
        peer, _ = await server.asked("POST /cam/0")
        await peer.send(TOO_LATE)
        await peer.end()

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        with pytest.raises(FirstByteTimeout) as caught:
            writer = await publisher.next()
            while True:
                await writer.write(b"x" * 1000)
        assert caught.value.seq == 0
