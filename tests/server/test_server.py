from __future__ import annotations

import gc
import os
import socket
from unittest.mock import Mock

import pytest
import trio
import trio.testing

from tests.server.conftest import Running, Start
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.errors import BadAddress, TrickleError
from trickle_cli.relay.segment import PUSH_BATCH
from trickle_cli.server import Server, ServerConfig, listen
from trickle_cli.server.poller import Poller


def open_descriptors() -> int:
    gc.collect()  # whatever an earlier test has left behind
    return len(os.listdir("/proc/self/fd"))


async def test_stopping_closes_channels_and_lets_readers_finish(start: Start) -> None:
    running = await start(ServerConfig(autocreate=True, changefeed=True))
    hub = running.hub
    publisher, waiting = await running.connect(), await running.connect()
    feed, idle = await running.connect(), await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"half")
    await until(lambda: "cam" in {channel.name for channel in hub})
    await waiting.ask("GET", "/cam/1")
    await feed.ask("GET", "/_changes/2")
    await until(lambda: hub.find("cam").readers and hub.find("_changes").readers)
    await running.server.stop()
    heard = await waiting.hear()
    assert (heard.status, heard["Lp-Trickle-Closed"]) == (200, "terminated")
    assert (await feed.hear()).body == b'{"removed":["cam"]}'
    heard = await publisher.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Closed"]) == (200, "terminated")
    assert await idle.is_hung_up()
    with pytest.raises(OSError, match="failed"):
        await running.connect()


async def test_stopping_waits_for_slow_readers_but_not_for_ever(start: Start) -> None:
    running = await start(ServerConfig(autocreate=True, drain=0.2))
    publisher, stuck = await running.connect(), await running.connect()
    for seq in range(2):
        heard = await publisher.request("POST", f"/cam/{seq}", body="x" * 10_000_000)
        assert heard.status == 200
        await stuck.ask("GET", f"/cam/{seq}")
    await until(lambda: running.hub.find("cam").readers == 1)
    await running.server.stop()
    assert running.server.statistics().connections == 0


async def test_cancelling_ends_it_at_once_and_leaves_nothing_open() -> None:
    server = Server(ServerConfig(autocreate=True))
    (listener,) = await listen("127.0.0.1", 0)
    address = listener.getsockname()
    before = open_descriptors() - 1
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, [listener])
        peers = [Peer(await trio.open_tcp_stream(*address)) for _ in range(10)]
        server.hub.create("cam")
        for peer in peers[:5]:
            await peer.ask("GET", "/cam/0")
        for peer in peers[5:]:
            await peer.publish("/cam/0")
        await until(lambda: server.hub.find("cam").publishers == 5)
        nursery.cancel_scope.cancel()
    assert server.statistics().connections == 0
    for peer in peers:
        await peer.hang_up()
    assert open_descriptors() == before


async def test_subscribers_that_come_wait_and_go_leave_nothing(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    descriptors = open_descriptors()
    tasks = len(running.server._nursery.child_tasks)  # type: ignore[union-attr]

    async def come_and_go() -> None:
        for _ in range(100):
            stream = await trio.open_tcp_stream("127.0.0.1", running.port)
            async with stream:
                await stream.send_all(b"GET /cam/0 HTTP/1.1\r\nHost: t\r\n\r\n")
                await until(lambda: channel.readers)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(come_and_go)
    await until(lambda: running.server.statistics().connections == 0)
    assert channel.readers == 0
    assert channel._awaited == {}
    assert open_descriptors() == descriptors
    assert len(running.server._nursery.child_tasks) == tasks  # type: ignore[union-attr]


async def test_more_subscribers_than_one_batch_all_get_everything(
    running: Running,
) -> None:
    channel = running.hub.create("cam")
    count = PUSH_BATCH + 50
    peers = [await running.connect() for _ in range(count)]
    for peer in peers:
        await peer.ask("GET", "/cam/0")
    await until(lambda: channel.readers == count)
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    for _ in range(3):
        await publisher.chunk(b"x" * 5000)
    await publisher.last_chunk()
    assert (await publisher.hear("POST")).status == 200
    for peer in peers:
        assert (await peer.hear()).body == b"x" * 15_000


async def test_statistics_show_what_is_there(running: Running) -> None:
    peer, waiting = await running.connect(), await running.connect()
    await peer.request("POST", "/cam/0", "Content-Type: text/plain", body="hello")
    await waiting.ask("GET", "/cam/1")
    await until(lambda: running.hub.find("cam").readers == 1)
    statistics = running.server.statistics()
    assert statistics.connections == 2
    (channel,) = statistics.channels
    assert (channel.name, channel.type, channel.head) == ("cam", "text/plain", 1)
    assert (channel.segments, channel.bytes, channel.total_bytes) == (1, 5, 5)
    assert (channel.readers, channel.publishers, channel.closed) == (1, 0, False)


async def test_a_base_path_must_be_one() -> None:
    with pytest.raises(BadAddress):
        ServerConfig(base_path="live")


async def test_when_it_fails_that_is_all_that_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is accepted from is put away before that which it is put away from."""
    (listener,) = await listen("127.0.0.1", 0)
    address = listener.getsockname()
    failure = OSError("broken")
    server = Server(ServerConfig())

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            server.accept([listener])
            await trio.testing.wait_all_tasks_blocked()
            monkeypatch.setattr(Poller, "_turn", Mock(side_effect=failure))
            async with await trio.open_tcp_stream(*address):
                await trio.sleep_forever()

    only = pytest.RaisesExc(OSError, check=lambda error: error is failure)
    with pytest.RaisesGroup(only, flatten_subgroups=True):
        await play()
    assert listener.fileno() == -1


async def test_without_epoll_sockets_are_served_as_streams(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trickle_cli.server.server.AVAILABLE", False)
    running = await start(ServerConfig(autocreate=True))
    publisher, subscriber = await running.connect(), await running.connect()
    running.hub.create("cam")
    await subscriber.ask("GET", "/cam/0")
    await publisher.publish("/cam/0")
    await publisher.chunk(b"one")
    assert (await subscriber.head()).status == 200
    assert await subscriber.exactly(3) == b"one"
    await publisher.last_chunk()
    assert await subscriber.rest() == b""
    assert (await publisher.hear("POST")).status == 200


# Listening.


async def test_a_port_in_use_is_said_with_what_to_do() -> None:
    (listener,) = await listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with listener, pytest.raises(TrickleError) as caught:
        await listen("127.0.0.1", port)
    assert str(caught.value).startswith(f"cannot listen on 127.0.0.1:{port}: Address")
    assert "choose another --port" in str(caught.value)


async def test_an_address_that_is_not_ours_is_said(tmp_path: object) -> None:
    with pytest.raises(TrickleError, match="this machine does not have that address"):
        await listen("192.0.2.1", 0)


async def test_a_host_that_does_not_exist_is_said() -> None:
    with pytest.raises(TrickleError, match="cannot listen on 'no such host'"):
        await listen("no such host", 0)


async def test_addresses_that_this_machine_does_not_have_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
        names = ["192.0.2.1", "127.0.0.1"]  # the first is nobody's
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (n, 0)) for n in names]

    monkeypatch.setattr(trio.socket, "getaddrinfo", found)
    (listener,) = await listen("a-name-with-both", 0)
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


async def test_localhost_is_listened_on_at_all_its_addresses_with_one_port() -> None:
    listeners = await listen("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in listeners}) == 1
    finally:
        for sock in listeners:
            sock.close()


# Readiness.


async def test_a_poller_reports_until_it_is_read_and_not_while_paused() -> None:
    poller = Poller()
    ours, theirs = socket.socketpair()
    ready: list[bytes] = []
    with ours, theirs:
        ours.setblocking(False)
        poller.add(ours, lambda: ready.append(ours.recv(1)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            theirs.send(b"ab")
            await until(lambda: ready == [b"a", b"b"])
            poller.pause(ours)
            theirs.send(b"c")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert ready == [b"a", b"b"]
            poller.resume(ours)
            await until(lambda: ready == [b"a", b"b", b"c"])
            poller.remove(ours)
            theirs.send(b"d")
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(ready) == 3
            nursery.cancel_scope.cancel()
        poller.close()


async def test_a_poller_gives_way_to_other_tasks() -> None:
    poller = Poller()
    pairs = [socket.socketpair() for _ in range(300)]
    turns = 0
    async with trio.open_nursery() as nursery:
        for ours, theirs in pairs:
            poller.add(ours, lambda: None)  # never read: ready for ever
            theirs.send(b"x")
        nursery.start_soon(poller.run)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            turns += 1
        nursery.cancel_scope.cancel()
    assert turns == 20
    for ours, theirs in pairs:
        poller.remove(ours)
        ours.close()
        theirs.close()
    poller.close()
