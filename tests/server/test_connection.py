from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import suppress
from unittest.mock import Mock

import pytest
import trio
import trio.testing

from tests.server.conftest import Running
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.server import Server, ServerConfig
from trickle_cli.server.connection import (
    DISCARD_BYTES,
    MAX_PIPELINED,
    MAX_PIPELINED_BYTES,
    Connection,
)
from trickle_cli.server.delivery import Delivery
from trickle_cli.server.transport import RECEIVE_SIZE

GET = b"GET /cam/%d HTTP/1.1\r\nHost: test\r\n\r\n"


def post(seq: int, data: bytes) -> bytes:
    head = b"POST /cam/%d HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
    return head % (seq, len(data)) + data


# Pipelining.


async def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    peer = await running.connect()
    await peer.send(b"".join(post(seq, b"%d" % seq) for seq in range(100)))
    await peer.send(b"".join(GET % seq for seq in range(100)))
    for seq in range(100):
        assert (await peer.hear("POST"))["Lp-Trickle-Seq"] == str(seq)
    for seq in range(100):
        assert (await peer.hear()).body == b"%d" % seq


async def test_what_is_pipelined_behind_a_waiting_get_waits(running: Running) -> None:
    running.hub.create("cam")
    peer, publisher = await running.connect(), await running.connect()
    await peer.send(b"".join(GET % seq for seq in range(3)))
    channel = running.hub.find("cam")
    for seq in range(3):
        await until(lambda: channel.readers == 1)
        assert peer.has_heard_nothing()
        await publisher.send(post(seq, b"%d" % seq))
        assert (await peer.hear()).body == b"%d" % seq


async def test_too_much_behind_a_waiting_get_holds_the_peer_back(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    peer = await running.connect()
    await peer.send(GET % 0)
    await until(lambda: channel.readers == 1)
    many = 30_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            peer.send, (b"GET /cam/next HTTP/1.1\r\nHost: t\r\n\r\n") * many
        )
        (connection,) = running.server._connections
        await until(lambda: len(connection._events) > MAX_PIPELINED)
        held = len(connection._events)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(connection._events) == held < MAX_PIPELINED + RECEIVE_SIZE // 30
        publisher = await running.connect()
        await publisher.send(post(0, b"x"))
        await publisher.hear("POST")
        assert (await peer.hear()).body == b"x"
        for _ in range(many):
            assert (await peer.hear()).body == b"1"


async def test_bodies_behind_a_waiting_get_are_held_back_by_their_bytes(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    running.hub.create("dog")
    peer = await running.connect()
    await peer.send(GET % 0)
    await until(lambda: channel.readers == 1)
    (connection,) = running.server._connections
    many, body = 300, b"x" * 60_000
    posts = [post(seq, body).replace(b"/cam/", b"/dog/") for seq in range(many)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, b"".join(posts))
        await until(lambda: connection._queued > MAX_PIPELINED_BYTES)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert connection._queued <= MAX_PIPELINED_BYTES + RECEIVE_SIZE
        publisher = await running.connect()
        await publisher.send(post(0, b"x"))
        assert (await peer.hear()).body == b"x"
        for seq in range(many):
            assert (await peer.hear("POST"))["Lp-Trickle-Seq"] == str(seq)


async def test_who_asks_whether_to_go_on_is_told_so_each_time(
    running: Running,
) -> None:
    peer = await running.connect()
    fields = b"HTTP/1.1\r\nExpect: 100-continue\r\n"
    for seq in range(3):
        await peer.send(post(seq, b"x").replace(b"HTTP/1.1\r\n", fields))
        go_on = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
        heard = b""
        while not heard.endswith(b"Content-Length: 0\r\n\r\n"):
            heard += await peer.stream.receive_some()
        assert heard.startswith(go_on)


async def test_a_connection_of_many_requests_lets_others_in(running: Running) -> None:
    running.hub.create("cam")
    greedy, other = await running.connect(), await running.connect()
    await greedy.send(b"GET /cam/next HTTP/1.1\r\nHost: t\r\n\r\n" * 5000)
    await other.ask("GET", "/cam/next")
    assert (await other.hear()).body == b"0"
    for _ in range(5000):
        assert (await greedy.hear()).status == 200


async def test_a_request_after_connection_close_is_not_answered(
    running: Running,
) -> None:
    running.hub.create("cam")
    peer = await running.connect()
    await peer.send(b"GET /cam/next HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    await peer.send(b"GET /cam/next HTTP/1.1\r\nHost: t\r\n\r\n")
    heard = await peer.hear()
    assert heard["Connection"] == "close"
    assert await peer.is_hung_up()


@pytest.mark.parametrize("begun", [True, False])
async def test_a_get_that_asks_for_close_is_closed_after_its_segment(
    running: Running, *, begun: bool
) -> None:
    channel = running.hub.create("cam")
    publisher, peer = await running.connect(), await running.connect()
    if begun:
        await publisher.send(post(0, b"x"))
        await publisher.hear("POST")
    await peer.ask("GET", "/cam/0", "Connection: close")
    if not begun:
        await until(lambda: channel.readers == 1)
        await publisher.send(post(0, b"x"))
    heard = await peer.hear()
    assert (heard.body, heard["Connection"]) == (b"x", "close")
    assert await peer.is_hung_up()
    await until(lambda: running.server.statistics().connections == 1)


async def test_readers_that_close_leave_in_the_middle_of_a_fan_out(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    peers = [await running.connect() for _ in range(6)]
    for seq, peer in enumerate(peers):
        await peer.ask("GET", "/cam/0", *(["Connection: close"] * (seq % 2)))
    await until(lambda: channel.readers == len(peers))
    staying = peers[::2]
    channel.add_whole(0, [b"x"], 1, b"")
    assert running.server.statistics().connections == len(staying)  # at once
    for peer in peers:
        assert (await peer.hear()).body == b"x"
    for leaving in peers[1::2]:
        assert await leaving.is_hung_up()
    for peer in staying:
        await peer.ask("GET", "/cam/0")
        assert (await peer.hear()).body == b"x"


async def test_a_reader_that_closes_may_still_be_sending(running: Running) -> None:
    """A connection that is closed resets what comes, and the answer with it."""
    channel = running.hub.create("cam")
    peer = await running.connect()
    await peer.ask("GET", "/cam/0", "Connection: close", "Content-Length: 10")
    await until(lambda: channel.readers == 1)
    channel.add_whole(0, [b"x"], 1, b"")
    for byte in b"0123456789":
        await peer.send(bytes([byte]))
    assert (await peer.hear()).body == b"x"
    assert await peer.is_hung_up()


async def test_a_get_may_have_a_body_which_means_nothing(running: Running) -> None:
    channel = running.hub.create("cam")
    peer, publisher = await running.connect(), await running.connect()
    await peer.ask("GET", "/cam/0", body="hello")
    await until(lambda: channel.readers == 1)
    await publisher.send(post(0, b"x"))
    assert (await peer.hear()).body == b"x"
    assert (await peer.get("/cam/next")).body == b"1"


# Malformed input, and the connections beside it.

BAD = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    "no version": (b"GET /cam/0\r\n\r\n", 400),
    "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no host": (b"GET /cam/0 HTTP/1.1\r\n\r\n", 400),
    "bare lf": (b"GET /cam/0 HTTP/1.1\nHost: t\n\n", 400),
    "nul": (b"GET /cam/0 HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n", 400),
    "endless target": (b"GET /" + b"a" * 100_000, 414),
    "endless field": (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 300_000, 431),
    "many fields": (
        b"GET / HTTP/1.1\r\nHost: t\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        431,
    ),
    "two lengths": (
        b"POST /cam/9 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
        b"Content-Length: 2\r\n\r\nab",
        400,
    ),
    "length and chunks": (
        b"POST /cam/9 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "bad chunk": (
        b"POST /cam/9 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"zz\r\nab\r\n",
        400,
    ),
    "endless padding": (
        b"POST /cam/9 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1;" + b"a" * 600_000,
        400,
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_and_the_transfer_beside_it_goes_on(
    running: Running, name: str
) -> None:
    data, status = BAD[name]
    channel = running.hub.create("cam")
    publisher, subscriber = await running.connect(), await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"before")
    await subscriber.ask("GET", "/cam/0")
    await subscriber.head()
    assert await subscriber.exactly(6) == b"before"

    bad = await running.connect()
    with suppress(trio.BrokenResourceError):  # it is refused before it is all sent
        await bad.send(data)
    heard = await bad.hear()
    assert heard.status == status
    assert heard["Connection"] == "close"
    await bad.hang_up()

    await publisher.chunk(b" after")
    assert await subscriber.exactly(6) == b" after"
    await publisher.last_chunk()
    assert await subscriber.rest() == b""
    await until(lambda: running.server.statistics().connections == 2)
    assert channel.publishers == 0


async def test_a_bad_chunk_in_the_middle_leaves_what_came_before(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    publisher, again = await running.connect(), await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"good")
    await publisher.send(b"no chunk\r\n")
    assert (await publisher.hear("POST")).status == 400
    await again.publish("/cam/0")
    await again.chunk(b" again")
    await again.last_chunk()
    assert (await again.hear("POST")).status == 200
    assert channel.find(0).size == len("good again")


async def test_a_fault_of_ours_costs_one_connection_and_leaves_no_traceback(
    running: Running,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running.hub.create("cam")
    other = await running.connect()

    def fail(*_: object) -> None:
        raise ZeroDivisionError("made up")

    assert (await other.get("/cam/next")).status == 200
    monkeypatch.setattr(running.server._handlers, "begin", fail)
    broken = await running.connect()
    await broken.ask("GET", "/cam/next")
    assert await broken.is_hung_up()
    assert (await other.get("/cam/next")).status == 200
    (record,) = caplog.records
    assert record.getMessage() == "a connection failed: ZeroDivisionError: made up"
    assert record.exc_info is None


async def test_a_fault_at_the_end_of_a_connection_leaves_nothing_of_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = running.hub.create("cam")
    peer = await running.connect()
    await peer.ask("GET", "/cam/0")
    await until(lambda: channel.readers == 1)
    monkeypatch.setattr(Delivery, "hang_up", Mock(side_effect=ZeroDivisionError))
    await peer.hang_up()
    await until(lambda: running.server.statistics().connections == 0)


# Deadlines, on a clock that jumps.


Connect = Callable[[], trio.abc.Stream]


async def serve_in_memory(nursery: trio.Nursery) -> tuple[Server, Connect]:
    server = Server(ServerConfig(autocreate=True))
    await nursery.start(server.run)

    def connect() -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, theirs)
        return ours

    return server, connect


async def all_of(stream: trio.abc.ReceiveStream) -> bytes:
    data = b""
    while more := await stream.receive_some(10_000):
        data += more
    return data


async def test_half_a_head_is_given_ten_seconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        server, connect = await serve_in_memory(nursery)
        slow = connect()
        for byte in b"GET /cam":
            await slow.send_all(bytes([byte]))
            await trio.sleep(1)
        assert server.statistics().connections == 1
        start = trio.current_time()
        heard = await all_of(slow)
        assert heard.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in heard
        assert trio.current_time() - start < 10
        nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed_after_75_seconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        _, connect = await serve_in_memory(nursery)
        idle = connect()
        await idle.send_all(b"GET /cam/next HTTP/1.1\r\nHost: t\r\n\r\n")
        assert (await idle.receive_some(1000)).startswith(b"HTTP/1.1 404 ")
        start = trio.current_time()
        assert await idle.receive_some(1000) == b""
        assert 75 < trio.current_time() - start < 80
        nursery.cancel_scope.cancel()


async def test_a_subscriber_may_wait_for_an_hour(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        server, connect = await serve_in_memory(nursery)
        server.hub.create("cam", permanent=True)
        subscriber = connect()
        await subscriber.send_all(GET % 0)
        await trio.sleep(3600)
        publisher = connect()
        await publisher.send_all(post(0, b"at last"))
        assert (await subscriber.receive_some(1000)).endswith(b"\r\n\r\nat last")
        nursery.cancel_scope.cancel()


async def test_a_reader_that_takes_nothing_is_cut_after_30_seconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        server = Server(ServerConfig(autocreate=True))
        await nursery.start(server.run)
        stuck, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(server.serve_stream, theirs)
        channel = server.hub.create("cam")
        await stuck.send_all(GET % 0)
        await trio.testing.wait_all_tasks_blocked()
        assert channel.readers == 1
        ours, publisher_side = trio.testing.memory_stream_pair()
        nursery.start_soon(server.serve_stream, publisher_side)
        await ours.send_all(post(0, b"x" * 1000))
        start = trio.current_time()
        await until(lambda: not channel.readers)
        assert 29 < trio.current_time() - start < 35
        nursery.cancel_scope.cancel()


async def test_a_refused_body_is_awaited_for_two_seconds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        _, connect = await serve_in_memory(nursery)
        peer = connect()
        await peer.send_all(
            b"POST /_x/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 5000000\r\n\r\n"
        )
        start = trio.current_time()
        assert (await all_of(peer)).startswith(b"HTTP/1.1 403 ")
        assert 2 <= trio.current_time() - start < 5
        nursery.cancel_scope.cancel()


async def test_a_refused_body_is_discarded_up_to_a_mebibyte(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        server, connect = await serve_in_memory(nursery)
        peer = connect()
        await peer.send_all(
            b"POST /_x/0 HTTP/1.1\r\nHost: t\r\nContent-Length: 5000000\r\n\r\n"
        )
        await trio.testing.wait_all_tasks_blocked()
        await peer.send_all(b"x" * (DISCARD_BYTES - 1))
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().connections == 1
        await peer.send_all(b"xx")
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().connections == 0
        nursery.cancel_scope.cancel()


async def test_a_stream_that_cannot_be_pushed_to_pulls_all_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        server, connect = await serve_in_memory(nursery)
        channel = server.hub.create("cam")
        subscriber, publisher = connect(), connect()
        await subscriber.send_all(GET % 0)
        await publisher.send_all(
            b"POST /cam/0 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(5):
            await publisher.send_all(b"3\r\nabc\r\n")
            await trio.testing.wait_all_tasks_blocked()
        await publisher.send_all(b"0\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        heard = await subscriber.receive_some(10_000)
        head, _, body = bytes(heard).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert body == b"3\r\nabc\r\n" * 5 + b"0\r\n\r\n"
        assert channel.readers == 0
        nursery.cancel_scope.cancel()


async def test_a_late_reader_holds_nobody_back(running: Running) -> None:
    channel = running.hub.create("cam")
    slow, quick = await running.connect(), await running.connect()
    publisher = await running.connect()
    for peer in (slow, quick):
        await peer.ask("GET", "/cam/0")
    await until(lambda: channel.readers == 2)
    await publisher.publish("/cam/0")
    size = 20 * 1024 * 1024  # more than the kernel takes for a reader that sleeps

    async def send() -> None:
        for _ in range(size // 65536):
            await publisher.chunk(b"x" * 65536)
        await publisher.last_chunk()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await quick.head()
        assert len(await quick.rest()) == size
    assert (await publisher.hear("POST")).status == 200
    assert slow is not None
    await slow.head()
    assert len(await slow.rest()) == size
    assert channel.readers == 0


async def test_a_late_reader_goes_live_again(running: Running) -> None:
    channel = running.hub.create("cam")
    slow: Peer = await running.connect()
    publisher = await running.connect()
    await slow.ask("GET", "/cam/0")
    await until(lambda: channel.readers == 1)
    await publisher.publish("/cam/0")
    await publisher.chunk(b"first")
    await slow.head()
    await slow.exactly(5)
    segment = channel.find(0)
    sent = 0
    while not segment._late:
        await publisher.chunk(b"x" * 65536)
        sent += 65536
        await until(lambda: segment.size == 5 + sent)  # noqa: B023
    await slow.exactly(sent)
    await until(lambda: not segment._late)
    assert len(segment._live) == 1
    await publisher.chunk(b"live")
    assert await slow.exactly(4) == b"live"


async def test_a_connection_that_has_gone_is_no_work_for_the_cycle_collector(
    running: Running,
) -> None:
    """A server collects cycles seldom: what comes and goes must not wait for that."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            peer = await running.connect()
            assert (await peer.get("/_/health")).status == 200
            await trio.aclose_forcefully(peer.stream)
            await until(lambda: running.server.statistics().connections == 0)
        there = [each for each in gc.get_objects() if isinstance(each, Connection)]
        assert len(there) <= 1  # of the frames that have just returned
    finally:
        gc.enable()
