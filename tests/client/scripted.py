"""A server that does what a test tells it to, byte by byte.

`scripted(script)` listens on a port of its own and runs `script`, which accepts the
client's connections one by one and says on each what is to be read from it and what
is sent. No codec of ours is involved: what clients send is compared as bytes. When
the block is left, the script must have come to its end, and the client must have
closed all that it had opened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import trio

from trickle_cli.client import Endpoint

#: Seconds after which a test that hangs is given up. Nothing takes so long.
PATIENCE: Final = 30


@dataclass
class Asked:
    """The head of a request: its first line without the version, and its fields,
    names in lower case."""

    line: str
    fields: dict[str, str] = field(default_factory=dict)


class Peer:
    """One connection of the client's, seen from the server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._is_closed = False

    async def _more(self) -> bool:
        data = await self._stream.receive_some(64 * 1024)
        self._buffer += data
        return bool(data)

    async def asked(self, line: str = "") -> Asked:
        """The next request's head. If a `line` is given, it must be that one."""
        while b"\r\n\r\n" not in self._buffer:
            assert await self._more(), f"closed after {self._buffer!r}"
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        request, _, version = first.rpartition(" ")
        assert version == "HTTP/1.1"
        pairs = [part.split(": ", 1) for part in rest]
        asked = Asked(request, {name.lower(): value for name, value in pairs})
        assert len(asked.fields) == len(pairs), f"a field came twice: {rest}"
        assert line in {"", request}, f"{request!r} came, not {line!r}"
        return asked

    async def expect(self, data: bytes) -> None:
        """The next bytes must be `data`."""
        while len(self._buffer) < len(data) and data.startswith(self._buffer):
            assert await self._more(), f"closed after {self._buffer!r}, not {data!r}"
        got, self._buffer = self._buffer[: len(data)], self._buffer[len(data) :]
        assert got == data

    async def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._buffer) < count:
            assert await self._more()
        got, self._buffer = self._buffer[:count], self._buffer[count:]
        return got

    @property
    def unread(self) -> bytes:
        """What has come and was not asked for."""
        return self._buffer

    async def rest(self) -> bytes:
        """All that comes until the client closes the connection."""
        try:
            while await self._more():
                pass
        except trio.BrokenResourceError:
            pass  # it did not want what we had sent
        got, self._buffer = self._buffer, b""
        return got

    async def gone(self) -> None:
        """Wait for the client to close; nothing may come before that."""
        assert await self.rest() == b""

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def drip(self, data: bytes) -> None:
        """Send `data` so that it arrives in many pieces."""
        self._stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            await self._stream.send_all(data[index : index + 1])
            await trio.lowlevel.checkpoint()

    async def shut_down(self) -> None:
        """Send no more, and see that the client goes."""
        await self._stream.send_eof()
        await self.rest()
        await self.close()

    async def close(self) -> None:
        """Close it in order: what was sent arrives."""
        self._is_closed = True
        await self._stream.aclose()

    async def reset(self) -> None:
        """Break it off with a reset."""
        linger = (1).to_bytes(4, "little") + bytes(4)
        self._stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
        await self.close()

    async def end(self) -> None:
        if not self._is_closed:
            await self.rest()
            await self.close()

    def drop(self) -> None:
        self._stream.socket.close()


class ScriptedServer:
    """From `scripted`. `accepted` counts the connections so far."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._arrived_in, self._arrived = trio.open_memory_channel[Peer](100)
        self._peers: list[Peer] = []
        self.accepted = 0

    @property
    def url(self) -> str:
        host, port = self._listener.socket.getsockname()
        return f"http://{host}:{port}"

    def endpoint(self, channel: str = "cam") -> Endpoint:
        return Endpoint.parse(channel, self.url)

    async def accept(self) -> Peer:
        """The next connection."""
        return await self._arrived.receive()

    async def asked(self, line: str = "") -> tuple[Peer, Asked]:
        """The next connection, and the head of the request that comes on it."""
        peer = await self.accept()
        return peer, await peer.asked(line)

    async def refuse(self) -> None:
        """From now on nobody listens here."""
        await self._listener.aclose()

    async def accept_all(self) -> None:
        try:
            while True:
                peer = Peer(await self._listener.accept())
                self.accepted += 1
                self._peers.append(peer)
                self._arrived_in.send_nowait(peer)
        except trio.ClosedResourceError:
            pass

    async def end(self) -> None:
        """Wait for the client to have closed what it opened, in any order."""
        for peer in self._peers:
            await peer.end()

    def drop(self) -> None:
        for peer in self._peers:
            peer.drop()


Script = Callable[[ScriptedServer], Awaitable[None]]


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[ScriptedServer]:
    """Run `script` while the block plays the client."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = ScriptedServer(listener)
    done = trio.Event()

    async def play() -> None:
        await script(server)
        done.set()

    try:
        with trio.fail_after(PATIENCE):
            async with listener, trio.open_nursery() as nursery:
                nursery.start_soon(server.accept_all)
                nursery.start_soon(play)
                yield server
                await done.wait()
                await server.end()
                nursery.cancel_scope.cancel()
    finally:
        server.drop()


# What servers say.


def head(status: int, *fields: str) -> bytes:
    """The head of an answer with these fields."""
    lines = [f"HTTP/1.1 {status} Whatever", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def answer(status: int = 200, *fields: str, body: bytes = b"") -> bytes:
    """A whole answer that tells its length."""
    return head(status, *fields, f"Content-Length: {len(body)}") + body


def segment(seq: int, body: bytes, *fields: str) -> bytes:
    """A whole segment."""
    return answer(200, f"Lp-Trickle-Seq: {seq}", *fields, body=body)


def segment_head(seq: int, *fields: str) -> bytes:
    """The head of a segment whose chunks follow."""
    return head(200, f"Lp-Trickle-Seq: {seq}", "Transfer-Encoding: chunked", *fields)


def missing(latest: int | None = None, *fields: str) -> bytes:
    """470."""
    told = () if latest is None else (f"Lp-Trickle-Latest: {latest}",)
    return answer(470, *told, *fields)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunks(*pieces: bytes) -> bytes:
    return b"".join(map(chunk, pieces))


END: Final = b"0\r\n\r\n"
CLOSED: Final = "Lp-Trickle-Closed: terminated"
#: The channel has ended.
ENDED: Final = answer(200, CLOSED)
NOT_FOUND: Final = answer(404, body=b"nothing here")


# What a script does over and over.


async def admit(
    server: ScriptedServer, seq: int = 0, *fields: str, create: int = 200
) -> None:
    """Let a publisher in: its channel is made, and stands at `seq`."""
    peer, _ = await server.asked("POST /cam")
    await peer.send(answer(create))
    await peer.asked("GET /cam/next")
    await peer.send(answer(200, *fields, body=b"%d" % seq))
    await peer.gone()


async def let_close(server: ScriptedServer, status: int = 200) -> None:
    """Let a publisher close its channel."""
    peer, _ = await server.asked("DELETE /cam")
    await peer.send(answer(status))
    await peer.gone()
