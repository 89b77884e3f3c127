"""Several requests under way at once: their order, their bounds, and what breaks."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from tests.client import scripted as say
from tests.client.breaking import breaking
from tests.client.ours import serving
from tests.client.scripted import Peer, Script, ScriptedServer, admit, scripted
from tests.client.test_publisher_seqs import held
from tests.client.toy import Manners, toying
from tests.waiting import linger
from trickle_cli.client import Publisher, depth, sending, traffic
from trickle_cli.client.connection import Connection
from trickle_cli.errors import ChannelClosed, ConnectionFailed, SegmentTooLarge
from trickle_cli.protocol.sequence import OLDEST
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig

EPOCH = "Lp-Trickle-Epoch: e"


def line(seq: int) -> bytes:
    return b"segment %d" % seq


async def take(peer: Peer, seqs: range) -> None:
    """The next that come on a connection are these, whole."""
    for seq in seqs:
        await peer.asked(f"POST /cam/{seq}")
        await peer.expect(say.chunk(line(seq)) + say.END)


async def publish_to(script: Script) -> None:
    """Five segments, the first by itself; none of them is lost."""
    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(line(0))
        await publisher.flush()
        await trio.testing.wait_all_tasks_blocked()  # that connection is free again
        for seq in range(1, 5):
            await publisher.write(line(seq))
        await publisher.flush()
        assert publisher.lost == []


# What goes out.


async def test_segments_go_out_before_those_before_them_are_answered() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(line(0)) + say.END)
        for seq in range(1, 10):
            await peer.asked(f"POST /cam/{seq}")
            await peer.expect(say.chunk(line(seq)) + say.END)
        for _ in range(10):
            await peer.send(say.answer(200, EPOCH))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        for seq in range(10):
            assert await publisher.write(line(seq)) == seq
        await publisher.flush()
        assert server.accepted == 2


async def test_a_live_segment_flows_while_those_before_it_are_not_answered() -> None:
    flowed = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(line(0)) + say.END)
        await peer.asked("POST /cam/1")
        for data in b"a", b"b", b"c":
            await peer.expect(say.chunk(data))
        flowed.set()
        await peer.send(say.answer(200, EPOCH))
        await peer.expect(say.END)
        await peer.send(say.answer(200, EPOCH))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(line(0))
        segment = await publisher.next()
        for data in b"a", b"b", b"c":
            await segment.write(data)
        await flowed.wait()
        await publisher.flush()


@pytest.mark.parametrize("size", [0, 10])
async def test_a_server_that_never_answers_holds_the_caller_back(size: int) -> None:
    sent = 0

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        await server.asked("POST /cam/0")

    async with scripted(script) as server:

        async def publish() -> None:
            nonlocal sent
            async with Publisher(server.endpoint()) as publisher:
                while True:
                    await publisher.write(bytes(size))
                    sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            before = -1
            while before != sent or not sent:
                before = sent
                await wait_all_tasks_blocked(0.05)
            assert 1 < sent <= depth.MOST
            nursery.cancel_scope.cancel()


async def test_the_bytes_that_are_not_answered_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "BUFFER", 10_000)
    sent = 0

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        await server.asked("POST /cam/0")

    async with scripted(script) as server, trio.open_nursery() as nursery:

        async def publish() -> None:
            nonlocal sent
            async with Publisher(server.endpoint()) as publisher:
                while True:
                    await publisher.write(bytes(1000))
                    sent += 1

        nursery.start_soon(publish)
        await wait_all_tasks_blocked(0.05)
        assert sent == 10
        nursery.cancel_scope.cancel()


async def test_large_segments_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "AHEAD", 10_000)
    seen = []

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer = await server.accept()
        for seq in range(3):
            await peer.asked(f"POST /cam/{2 * seq}")
            await peer.expect(say.chunk(bytes(8000)) + say.END)
            await peer.asked(f"POST /cam/{2 * seq + 1}")
            await peer.expect(say.chunk(bytes(8000)) + say.END)
            await wait_all_tasks_blocked(0.01)
            seen.append(peer.unread)
            await peer.send(2 * say.answer(200, EPOCH))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        for _ in range(6):
            await publisher.write(bytes(8000))
        await publisher.flush()
    assert seen == [b"", b"", b""]


async def test_no_more_are_under_way_than_the_server_has_answered_for() -> None:
    """It doubles in each round."""
    seen = []

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer = await server.accept()
        seq = 0
        while seq < 16 + 32 + 64:
            begun = seq
            with trio.move_on_after(1):
                while True:
                    await peer.asked(f"POST /cam/{seq}")
                    await peer.expect(say.chunk(line(seq)) + say.END)
                    seq += 1
                    if seq == 16 + 32 + 64:
                        break
            seen.append(seq - begun)
            for _ in range(begun, seq):
                await peer.send(say.answer(200, EPOCH))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        for seq in range(16 + 32 + 64):
            await publisher.write(line(seq))
        await publisher.flush()
    assert seen[0] == 16
    assert 30 <= seen[1] <= 32


# Answers that are none.


@pytest.mark.parametrize("lines", [1, 5])
async def test_a_channel_that_is_closed_in_the_middle_ends_it(lines: int) -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        for seq in range(lines):
            await publisher.write(line(seq))
        await publisher.flush()
        server.hub.close("cam")
        with pytest.raises(ChannelClosed):
            while True:
                await publisher.write(b"more")
        await publisher.close()  # somebody has done it: fine


async def test_one_that_is_too_large_ends_it_and_what_came_before_is_there() -> None:
    config = ServerConfig(autocreate=True, limits=Limits(segment_size=100))
    async with serving(config) as server, Publisher(server.endpoint()) as publisher:
        for seq in range(5):
            await publisher.write(line(seq))
        await publisher.write(bytes(101))
        with pytest.raises(SegmentTooLarge) as caught:
            await publisher.write(line(6))
            await publisher.flush()
        assert caught.value.seq == 5
        assert held(server) == {**{s: line(s) for s in range(5)}, 5: bytes(100)}


@pytest.mark.parametrize("status", [429, 503, 404, 409])
async def test_what_is_refused_for_now_is_sent_again_with_all_behind_it(
    status: int,
) -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(line(0)) + say.END)
        await peer.send(say.answer(200, EPOCH))
        await take(peer, range(1, 5))
        await peer.send(say.answer(200, EPOCH) + say.answer(status))
        asking, _ = await server.asked("GET /cam/next")
        await asking.send(say.answer(200, EPOCH, body=b"2"))
        peer, _ = await server.asked("POST /cam/2")
        await peer.expect(say.chunk(line(2)) + say.END)
        await take(peer, range(3, 5))
        await peer.send(3 * say.answer(200, EPOCH))

    await publish_to(script)


async def test_what_is_refused_is_sent_again_though_what_came_behind_it_was_taken() -> (
    None
):
    """As by a proxy that lets only so many through, and keeps the connection."""

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(line(0)) + say.END)
        await peer.send(say.answer(200, EPOCH))
        await take(peer, range(1, 5))
        taken = say.answer(200, EPOCH)
        await peer.send(taken + say.answer(503) + taken + taken)
        asking, _ = await server.asked("GET /cam/next")
        await asking.send(say.answer(200, EPOCH, body=b"5"))
        await asking.asked("HEAD /cam/2")
        await asking.send(say.head(470, EPOCH, "Lp-Trickle-Latest: 5"))
        await asking.asked(f"HEAD /cam/{OLDEST}")
        await asking.send(say.head(200, EPOCH, "Lp-Trickle-Seq: 0"))
        for seq in range(3, 5):
            await asking.asked(f"HEAD /cam/{seq}")
            size = f"Lp-Trickle-Size: {len(line(seq))}"
            whole = "Lp-Trickle-Complete: true"
            await asking.send(say.head(200, EPOCH, size, whole))
        peer, _ = await server.asked("POST /cam/2")
        await peer.expect(say.chunk(line(2)) + say.END)
        for seq in range(3, 5):
            asked = await peer.asked(f"POST /cam/{seq}")
            assert asked.fields["lp-trickle-offset"] == str(len(line(seq)))
            await peer.expect(say.END)
        await peer.send(3 * say.answer(200, EPOCH))

    await publish_to(script)


# Servers that do not cope.

MANNERS = {
    "closes after each": Manners(closes_after=1),
    "closes after each, silently": Manners(closes_after=1, says=False),
    "closes now and then": Manners(closes_after=7),
    "closes now and then, silently": Manners(closes_after=7, says=False),
    "HTTP/1.0": Manners(speaks="1.0", closes_after=1, says=False),
    "answers out of turn": Manners(swaps=True),
    "copes": Manners(),
}


@pytest.mark.parametrize("epoch", ["", "e"])
@pytest.mark.parametrize("name", MANNERS)
async def test_what_a_server_gets_is_what_was_written_or_told_as_lost(
    name: str, epoch: str
) -> None:
    manners = Manners(**{**vars(MANNERS[name]), "epoch": epoch})
    async with toying(manners) as toy, Publisher(toy.endpoint()) as publisher:
        for seq in range(60):
            await publisher.write(line(seq))
        await publisher.close()
        lost = set(publisher.lost)
        assert {s: d for s, d in toy.segments.items() if s not in lost} == {
            seq: line(seq) for seq in range(60) if seq not in lost
        }
        assert all(toy.segments.get(seq) in {None, line(seq)} for seq in lost)
        if epoch or name not in {
            "closes now and then, silently",
            "answers out of turn",
        }:
            assert not lost
        assert len(lost) < 30
        if name == "copes":
            assert toy.posts == list(range(60))
            assert toy.most > 1


# Paths that break.


@pytest.mark.parametrize("seed", range(16))
async def test_wherever_it_breaks_the_channel_gets_what_was_written(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice([50, 500, 5_000, 50_000])
    count = chance.choice([30, 150])
    breaks = chance.choice([3, 10, 30])
    written: dict[int, bytes] = {}

    def limit() -> int | None:
        nonlocal breaks
        breaks -= 1
        return chance.randrange(count * size // 5 + 1000) if breaks >= 0 else None

    async with serving() as server:
        port = urlsplit(server.url).port
        assert port is not None
        async with breaking(port, limit) as path, AsyncExitStack() as stack:
            entering = Publisher(path.endpoint())
            publisher: Publisher | None = None
            while publisher is None:
                with suppress(ConnectionFailed):
                    publisher = await stack.enter_async_context(entering)
            for _ in range(count):
                data = chance.randbytes(chance.randrange(2 * size))
                if chance.random() < 0.3:
                    segment = await publisher.next()
                    half = chance.randrange(len(data) + 1)
                    await segment.write(data[:half])
                    if chance.random() < 0.3:
                        await linger(chance)
                    await segment.close(data[half:])
                    written[segment.seq] = data
                else:
                    written[await publisher.write(data)] = data
            await publisher.flush()
            assert publisher.lost == []
            assert publisher.restarts == 0
        assert held(server) == written


@pytest.mark.parametrize("ends", [False, True])
async def test_what_is_written_while_a_segment_is_opened_again_goes_out_too(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has all of it so far, so there is a head to send, and no body yet."""
    sending_again, has_written = trio.Event(), trio.Event()
    send = Connection.send

    async def slowly(connection: Connection, data: bytes) -> None:
        await send(connection, data)
        if b"Lp-Trickle-Offset: 1" in data:
            sending_again.set()
            await has_written.wait()

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(b"a"))
        await server.asked("POST /cam/1")  # ahead of its time
        await peer.reset()
        asking, _ = await server.asked("GET /cam/next")
        await asking.send(say.answer(200, EPOCH, body=b"1"))
        await asking.asked("HEAD /cam/0")
        await asking.send(say.head(200, EPOCH, "Lp-Trickle-Size: 1"))
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(b"b"))
        await peer.expect(say.END)
        await peer.send(say.answer(200, EPOCH))

    monkeypatch.setattr(Connection, "send", slowly)
    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        segment = await publisher.next()
        await segment.write(b"a")
        await sending_again.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(segment.close if ends else segment.write, b"b")
            await wait_all_tasks_blocked()
            has_written.set()
        await publisher.flush()
