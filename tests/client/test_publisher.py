"""What a publisher sends and when, and what it does between segments."""

from __future__ import annotations

import math
from typing import Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client import scripted as say
from tests.client.ours import serving
from tests.client.scripted import Peer, ScriptedServer, admit, let_close, scripted
from tests.waiting import until
from trickle_cli.client import ClientConfig, Endpoint, Publisher, sending, traffic
from trickle_cli.client.connection import Connection, connect
from trickle_cli.errors import ConnectionFailed
from trickle_cli.server import ServerConfig

LARGE: Final = bytes(64 * 1024)


async def _begun(server: ScriptedServer, seq: int, data: bytes = b"x") -> Peer:
    """The connection on which a segment has begun with `data`."""
    peer, _ = await server.asked(f"POST /cam/{seq}")
    await peer.expect(say.chunk(data))
    return peer


#: What a server says that knows its publishers again.
EPOCH = "Lp-Trickle-Epoch: e"


# Where it starts.


async def test_it_makes_the_channel_and_starts_where_that_stands() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, asked = await server.asked("POST /cam")
        assert asked.fields["expect-content"] == "text/plain"
        await peer.send(say.answer())
        await peer.asked("GET /cam/next")
        await peer.send(say.answer(200, body=b"7"))
        peer, asked = await server.asked("POST /cam/7")
        assert asked.fields == {
            "host": server.url.removeprefix("http://"),
            "content-type": "text/plain",
            "lp-trickle-reset": "1",
            "transfer-encoding": "chunked",
        }
        await peer.expect(say.chunk(b"one") + say.END)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint(), type_="text/plain") as publishing,
    ):
        assert await publishing.write(b"one") == 7


@pytest.mark.parametrize("create", [True, False])
async def test_where_there_is_no_channel_the_first_segment_may_make_it(
    create: bool,
) -> None:
    async def script(server: ScriptedServer) -> None:
        peer = await server.accept()
        if create:
            await peer.asked("POST /cam")
            await peer.send(say.NOT_FOUND)
        await peer.asked("GET /cam/next")
        await peer.send(say.NOT_FOUND)
        peer, asked = await server.asked("POST /cam/0")
        assert "lp-trickle-reset" in asked.fields
        await peer.expect(say.chunk(b"one") + say.END)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint(), create=create) as publishing,
    ):
        assert await publishing.write(b"one") == 0


async def test_a_publisher_goes_on_where_another_stopped_and_ends_what_that_left() -> (
    None
):
    async with serving() as server:
        async with Publisher(server.endpoint()) as first:
            await first.write(b"0")
            await (await first.next()).write(b"half")
        channel = server.hub.find("cam")
        assert not channel.find(1).ended
        async with Publisher(server.endpoint()) as second:
            assert await second.write(b"2") == 2
            await second.flush()
        assert channel.find(1).ended
        assert channel.find(1).incomplete
        assert channel.head == 3


# Ahead of time.


async def test_the_next_request_is_opened_while_a_segment_is_being_sent() -> None:
    is_waiting = trio.Event()
    has_seen_all = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server, 7, EPOCH)
        sending = await _begun(server, 7)
        waiting, asked = await server.asked("POST /cam/8")
        assert "lp-trickle-reset" not in asked.fields
        assert waiting.unread == b""
        is_waiting.set()
        await sending.expect(say.chunk(b"y") + say.END)
        await waiting.expect(say.chunk(b"z") + say.END)
        await sending.send(say.answer(200, EPOCH))
        await sending.asked("POST /cam/9")
        assert server.accepted == 3  # the first was for what the admission takes
        has_seen_all.set()

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        segment = await publishing.next()
        await segment.write(b"x")
        await is_waiting.wait()
        await segment.close(b"y")
        assert await publishing.write(b"z") == 8
        await has_seen_all.wait()


async def test_a_server_of_another_make_is_not_sent_one_segment_before_the_other() -> (
    None
):
    """It may take the later one for the newest, and then the earlier."""
    has_begun = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending = await _begun(server, 0)
        waiting, _ = await server.asked("POST /cam/1")
        has_begun.set()
        await sending.expect(say.END)
        await wait_all_tasks_blocked(0.05)
        with trio.move_on_after(0.1) as looking:
            await waiting.take(1)
        assert looking.cancelled_caught
        await sending.send(say.answer())
        await waiting.expect(say.chunk(b"y") + say.END)
        await waiting.send(say.answer())

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        segment = await publishing.next()
        await segment.write(b"x")
        await has_begun.wait()
        await segment.close()
        await publishing.write(b"y")
        await publishing.flush()


async def test_a_quick_segment_leaves_in_one_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[bytes] = []
    send = Connection.send

    async def recording(self: Connection, data: bytes) -> None:
        sent.append(data)
        await send(self, data)

    monkeypatch.setattr(Connection, "send", recording)
    monkeypatch.setattr(sending, "_PRECONNECT_DELAY", 1000)
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        for index in range(6):
            assert await publishing.write(b"line %d" % index) == index
        await publishing.flush()
    assert len(sent) == 6
    for index, data in enumerate(sent):
        assert data.startswith(b"POST /cam/%d HTTP/1.1\r\n" % index)
        assert data.endswith(b"\r\n\r\n" + say.chunk(b"line %d" % index) + say.END)


async def test_two_connections_carry_everything() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        for index in range(100):
            assert await publishing.write(b"%d" % index) == index
            assert server.connections <= 3  # the request for the head may linger
        await publishing.flush()
        channel = server.hub.find("cam")
        assert channel.head == 100
        assert [
            bytes(channel.find(seq).as_piece().chunks[0]) for seq in range(100)
        ] == [b"%d" % index for index in range(100)]


async def test_a_request_that_waited_too_long_or_broke_is_opened_again() -> None:
    is_waiting = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        sending = await _begun(server, 0)
        waiting, _ = await server.asked("POST /cam/1")
        await waiting.send(say.answer(408, "Connection: close"))
        await waiting.gone()
        waiting, _ = await server.asked("POST /cam/1")
        await waiting.reset()
        waiting, _ = await server.asked("POST /cam/1")
        await waiting.close()
        waiting, _ = await server.asked("POST /cam/1")
        is_waiting.set()
        await sending.expect(say.END)
        await waiting.expect(say.chunk(b"z") + say.END)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        await (await publishing.next()).write(b"x")
        await is_waiting.wait()
        assert await publishing.write(b"z") == 1


async def test_a_request_that_is_opened_by_two_goes_out_once() -> None:
    """The next segment's, ahead of its time and, after an attempt that failed, when
    that has come."""

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(b"x") + say.END)
        await peer.send(say.answer())

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        assert publishing._sender is not None
        lane = publishing._traffic.lanes[0]
        await publishing._sender.open(lane, 0, send=True)
        await publishing._sender.open(lane, 0)
        await publishing.write(b"x")
        await publishing.flush()


async def test_a_segment_that_somebody_ended_before_it_began_is_passed_over() -> None:
    is_over = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending = await _begun(server, 0)
        waiting, _ = await server.asked("POST /cam/1")
        await waiting.send(say.answer(200, "Lp-Trickle-Seq: 1", "Connection: close"))
        await waiting.gone()
        is_over.set()
        await sending.expect(say.END)
        await sending.send(say.answer())
        after, _ = await server.asked("POST /cam/2")
        await after.expect(say.chunk(b"z") + say.END)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        await (await publishing.next()).write(b"x")
        await is_over.wait()
        assert await publishing.write(b"z") == 2


async def test_while_no_connection_can_be_had_ahead_of_time_the_segment_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = 0
    is_waiting = trio.Event()

    async def failing(endpoint: Endpoint, config: ClientConfig) -> Connection:
        nonlocal attempts
        attempts += 1
        if attempts in {2, 3}:
            raise ConnectionFailed("not now")
        return await connect(endpoint, config)

    monkeypatch.setattr(sending, "connect", failing)
    monkeypatch.setattr(sending, "_PRECONNECT_RETRY", 0.001)

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending = await _begun(server, 0)
        await server.asked("POST /cam/1")
        is_waiting.set()
        await sending.expect(say.chunk(b"y") + say.END)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        segment = await publishing.next()
        await segment.write(b"x")
        await is_waiting.wait()
        await segment.close(b"y")
    assert attempts == 4


# Segments.


async def test_a_segment_ends_when_the_next_begins_and_may_be_empty() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        first = await publishing.next()
        await first.write(b"a")
        await first.write(b"")
        await first.write(b"b")
        second = await publishing.next()
        assert (first.seq, second.seq) == (0, 1)
        assert not first.is_open
        await second.close()
        await second.close()
        await second.close(b"too late: it has ended")
        assert await publishing.write(b"") == 2
        await publishing.flush()
        channel = server.hub.find("cam")
        assert [channel.find(seq).size for seq in range(3)] == [2, 0, 0]
        assert all(channel.find(seq).ended for seq in range(3))


async def test_statistics_tell_what_was_sent() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        told = publishing.statistics()
        assert (told.seq, told.segment_size, told.segments, told.size) == (
            None,
            0,
            0,
            0,
        )
        await publishing.write(b"four")
        segment = await publishing.next()
        await segment.write(b"two")
        told = publishing.statistics()
        assert (told.seq, told.segment_size, told.segments, told.size) == (1, 3, 2, 7)


# Back-pressure.


async def test_a_server_that_takes_nothing_holds_the_caller_back() -> None:
    reads_on = trio.Event()
    pieces = 400
    sent = 0

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        peer, _ = await server.asked("POST /cam/0")
        await server.asked("POST /cam/1")
        await reads_on.wait()
        for _ in range(pieces):
            await peer.expect(say.chunk(LARGE))
        await peer.expect(say.END)
        await peer.send(say.answer())
        await let_close(server)

    async with scripted(script) as server:

        async def publish() -> None:
            nonlocal sent
            async with Publisher(server.endpoint()) as publishing:
                segment = await publishing.next()
                for _ in range(pieces):
                    await segment.write(LARGE)
                    sent += 1
                await publishing.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            held_at = -1
            while held_at != sent or not sent:
                held_at = sent
                await wait_all_tasks_blocked(0.05)
            assert sent < pieces  # what the kernel holds, and no more
            reads_on.set()
        assert sent == pieces


# Its end.


async def test_flush_waits_until_the_server_has_taken_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "FIRST_DEPTH", 1)
    answers = trio.Event()
    answered = False

    async def script(server: ScriptedServer) -> None:
        nonlocal answered
        await admit(server, 0, EPOCH)
        first, _ = await server.asked("POST /cam/0")
        await first.expect(say.chunk(b"x") + say.END)
        second, _ = await server.asked("POST /cam/1")
        await second.expect(say.chunk(b"y") + say.END)
        await second.send(say.answer(200, EPOCH))
        await answers.wait()
        await wait_all_tasks_blocked(0.01)
        answered = True
        await first.send(say.answer(200, EPOCH))

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        await publishing.write(b"x")
        await (await publishing.next()).write(b"y")
        answers.set()
        await publishing.flush()
        assert answered
        await publishing.flush()  # nothing is left: it returns


@pytest.mark.parametrize("status", [200, 400, 404])
async def test_close_sends_everything_and_then_ends_the_channel(status: int) -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(b"x") + say.END)
        await peer.send(say.answer())
        peer, asked = await server.asked()
        if asked.line == "POST /cam/1":  # if the moment was long enough for it
            peer, asked = await server.asked()
        assert asked.line == "DELETE /cam"
        await peer.send(say.answer(status))  # 400, 404: somebody was quicker

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        await (await publishing.next()).write(b"x")
        await publishing.close()


async def test_leaving_without_close_ends_neither_the_segment_nor_the_channel() -> None:
    async with serving(ServerConfig(allow_create=True)) as server:
        async with Publisher(server.endpoint()) as publishing:
            await (await publishing.next()).write(b"x")
            channel = server.hub.find("cam")
            await until(lambda: channel.total)
        await until(lambda: not server.connections)
        assert not channel.closed
        assert not channel.find(0).ended


async def test_what_is_sent_again_is_kept_whatever_is_said_of_it_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two questions are under way when the connection breaks: one of them is for room,
    the other one to know where to go on."""
    monkeypatch.setattr(sending, "BUFFER", 12)
    monkeypatch.setattr(sending, "_PRECONNECT_DELAY", math.inf)

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        sending = await _begun(server, 0, b"abcdef")
        await sending.expect(say.chunk(b"gh"))
        room, _ = await server.asked("HEAD /cam/0")
        await sending.reset()
        mending, _ = await server.asked("GET /cam/next")
        await mending.send(say.answer(200, EPOCH, body=b"1"))
        await mending.asked("HEAD /cam/0")
        await room.send(say.answer(200, EPOCH, "Lp-Trickle-Size: 8"))
        await wait_all_tasks_blocked()
        await mending.send(say.answer(200, EPOCH, "Lp-Trickle-Size: 3"))
        again, asked = await server.asked("POST /cam/0")
        assert asked.fields["lp-trickle-offset"] == "3"
        await again.expect(say.chunk(b"defgh") + say.END)
        await again.send(say.answer(200, EPOCH))

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        writer = await publishing.next()
        await writer.write(b"abcdef")
        await writer.write(b"gh")
        await writer.close()
        await publishing.flush()
        assert publishing.lost == []


async def test_while_it_waits_for_the_next_segment_the_last_one_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traffic, "FIRST_DEPTH", 1)
    is_seen = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        first, _ = await server.asked("POST /cam/0")
        await first.expect(say.chunk(b"one") + say.END)
        second, _ = await server.asked("POST /cam/1")
        await second.expect(say.chunk(b"two!") + say.END)
        await is_seen.wait()
        await first.send(say.answer(200, EPOCH))
        await first.asked("POST /cam/2")

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
        trio.open_nursery() as nursery,
    ):
        assert publishing.statistics().seq is None
        await publishing.write(b"one")
        await publishing.write(b"two!")
        nursery.start_soon(publishing.write, b"three")
        await wait_all_tasks_blocked(0.01)
        statistics = publishing.statistics()
        assert (statistics.seq, statistics.segment_size, statistics.size) == (1, 4, 7)
        is_seen.set()
