"""Sending over TLS without waiting: what the kernel does not take is not lost, nor sent
twice, and costs no more than a slice."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator

import pytest
import trio
import trustme

from tests.waiting import linger, until
from trickle_cli.server import Patience, Server, ServerConfig, listen
from trickle_cli.server.poller import Poller
from trickle_cli.server.secure import SLICE, SecureTransport
from trickle_cli.server.transport import Disconnected


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of a client that trusts it."""
    authority = trustme.CA()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    return ours, theirs


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


class Listening:
    """Whom a transport hands its input to."""

    def __init__(self) -> None:
        self.got = b""
        self.has_hung_up = False

    def received(self, data: bytes | bytearray | memoryview) -> None:
        self.got += bytes(data)

    def hung_up(self) -> None:
        self.has_hung_up = True


async def connected(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller
) -> tuple[SecureTransport, trio.SSLStream[trio.SocketStream]]:
    """A transport, with small buffers, and a peer that has shaken its hands."""
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    left.setblocking(False)
    transport = SecureTransport(left, poller, contexts[0])
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(right))
    peer = trio.SSLStream(stream, contexts[1], server_hostname="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.shake_hands)
        await peer.do_handshake()
    return transport, peer


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_the_kernel_takes_all_bytes_arrive_once(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller, seed: int
) -> None:
    """Sent in all ways by turns, as a reader does that falls behind and catches up."""
    chance = random.Random(seed)
    data = chance.randbytes(3_000_000)
    transport, peer = await connected(contexts, poller)
    got = bytearray()

    async def take() -> None:
        while len(got) < len(data):
            if chance.random() < 0.3:
                await linger(chance)
            got.extend(await peer.receive_some(chance.randrange(1, 200_000)))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await send_all_ways(transport, data, chance)
    assert bytes(got) == data
    transport.close()
    assert await peer.receive_some() == b""
    await trio.aclose_forcefully(peer)


async def send_all_ways(
    transport: SecureTransport, data: bytes, chance: random.Random
) -> None:
    sent = 0
    while sent < len(data):
        rest = data[sent : sent + chance.choice([1, 100, 20_000, 3 * SLICE])]
        cut = chance.randrange(len(rest) + 1)
        ways = (transport.send_nowait, transport.sendv_nowait, transport.sendv)
        way = chance.choice(ways)
        if way == transport.send_nowait:
            sent += transport.send_nowait(rest)
        elif way == transport.sendv_nowait:
            sent += transport.sendv_nowait([rest[:cut], rest[cut:]])
        else:
            taken = await transport.sendv([rest[:cut], rest[cut:]])
            assert taken > 0
            sent += taken


async def test_a_peer_that_takes_nothing_costs_one_slice(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller
) -> None:
    transport, peer = await connected(contexts, poller)
    taken = transport.send_nowait(b"x" * 10_000_000)
    assert taken < 1_000_000
    for _ in range(10):
        assert transport.send_nowait(b"x" * 10_000_000) == 0
    assert len(transport._unsent) < SLICE + 1000
    assert transport.unacknowledged() >= len(transport._unsent)
    transport.close(fail=True)
    await trio.aclose_forcefully(peer)


async def test_sending_to_a_peer_that_has_gone_says_so(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller
) -> None:
    transport, peer = await connected(contexts, poller)
    await trio.aclose_forcefully(peer)
    assert transport.send_nowait(b"x" * 1000) == 0
    with pytest.raises(Disconnected):
        await transport.sendv([b"x" * 1000])
    transport.close()


async def test_what_comes_with_the_end_of_the_handshake_is_not_left_lying(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller
) -> None:
    transport, peer = await connected(contexts, poller)
    await peer.send_all(b"a" * 100_000)
    listening = Listening()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        transport.open(listening)
        await until(lambda: len(listening.got) == 100_000)
        transport.pause()
        await peer.send_all(b"b" * 10)
        await trio.testing.wait_all_tasks_blocked()
        assert len(listening.got) == 100_000
        transport.resume()
        await until(lambda: listening.got.endswith(b"b" * 10))
        transport.pause()
        await trio.aclose_forcefully(peer)
        await until(lambda: listening.has_hung_up)
        nursery.cancel_scope.cancel()
    transport.close()


async def test_an_end_that_comes_with_bytes_waits_until_they_are_served(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], poller: Poller
) -> None:
    transport, peer = await connected(contexts, poller)
    listening = Pausing(transport)
    await peer.send_all(b"data")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.unwrap)  # it says goodbye, and waits for ours
        await trio.testing.wait_all_tasks_blocked()
        transport.open(listening)
        nursery.start_soon(poller.run)
        await until(lambda: listening.got == b"data")
        assert not listening.has_hung_up
        transport.resume()
        assert not listening.has_hung_up  # what has come is looked at first
        await until(lambda: listening.has_hung_up)
        nursery.cancel_scope.cancel()
    transport.close()
    await trio.aclose_forcefully(peer)


class Pausing(Listening):
    """One that has to do with what has come for a while."""

    def __init__(self, transport: SecureTransport) -> None:
        super().__init__()
        self._transport = transport

    def received(self, data: bytes | bytearray | memoryview) -> None:
        super().received(data)
        self._transport.pause()


async def serving(
    nursery: trio.Nursery, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> tuple[Server, int]:
    config = ServerConfig(autocreate=True, patience=Patience(head=0.5))
    server = Server(config, tls=contexts[0])
    (listener,) = await listen("127.0.0.1", 0)
    await nursery.start(server.run, [listener])
    return server, listener.getsockname()[1]


@pytest.mark.parametrize("after", [False, True])
async def test_what_is_not_tls_ends_that_connection_and_no_other(
    nursery: trio.Nursery,
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
    after: bool,
) -> None:
    """Instead of a handshake, and after one."""
    server, port = await serving(nursery, contexts)
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    if after:
        peer = trio.SSLStream(stream, contexts[1], server_hostname="127.0.0.1")
        await peer.do_handshake()
        await until(lambda: server.statistics().connections == 1)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    with trio.fail_after(30):
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
    await stream.aclose()
    await until(lambda: server.statistics().connections == 0)
    other = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", port, ssl_context=contexts[1]
    )
    await other.send_all(b"GET /_/health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await other.receive_some()).startswith(b"HTTP/1.1 200")
    await trio.aclose_forcefully(other)
    nursery.cancel_scope.cancel()


async def test_an_answer_before_the_end_of_a_body_is_seen(
    nursery: trio.Nursery, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """And the end of the connection, as such."""
    _, port = await serving(nursery, contexts)
    peer = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", port, ssl_context=contexts[1], https_compatible=False
    )
    head = b"POST /cam/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    await peer.send_all(head + b"186a0\r\n" + b"x" * 100_000 + b"\r\n")
    answer = b""
    with trio.fail_after(30):
        while data := await peer.receive_some():  # an end that is not one would raise
            answer += data
    assert answer.startswith(b"HTTP/1.1 400")
    await trio.aclose_forcefully(peer)
    nursery.cancel_scope.cancel()


async def test_who_breaks_off_a_handshake_ends_nobody_else(
    nursery: trio.Nursery, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """With a reset, so that not even what is wrong can be said."""
    server, port = await serving(nursery, contexts)
    hello = ssl.MemoryBIO()
    greeting = contexts[1].wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        greeting.do_handshake()
    for data in (b"\x16\x03\x01" + b"x" * 600, hello.read()):
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            stream.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4)
            )
            await stream.send_all(data)
            await trio.aclose_forcefully(stream)
    other = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", port, ssl_context=contexts[1]
    )
    await other.send_all(b"GET /_/health HTTP/1.1\r\nHost: a\r\n\r\n")
    with trio.fail_after(30):
        assert (await other.receive_some()).startswith(b"HTTP/1.1 200")
    await trio.aclose_forcefully(other)
    await until(lambda: server.statistics().connections == 0)
    nursery.cancel_scope.cancel()
