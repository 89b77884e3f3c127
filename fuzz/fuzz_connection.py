#!/usr/bin/env python
"""Any conversation of several peers with a server: nothing fails, nobody is left
behind, and a peer who behaves is served.

Run by scripts/fuzz. There are no sockets: an input is a row of moves, in which peers
send, hang up, take what is owed to them or do not, and time passes. The server, its
connections and its relay are those of every day.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import atheris

with atheris.instrument_imports(include=["trickle_cli"]):
    import trio

    from trickle_cli.relay import Limits, Window
    from trickle_cli.server import Server, ServerConfig
    from trickle_cli.server.connection import Connection
    from trickle_cli.server.transport import Disconnected

_PEERS = 4
_MOVES = 40
#: What peers like to say; an input may change any of it, or say other things.
_LINES = (
    b"GET /cam/0 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /cam/-1 HTTP/1.1\r\nHost: a\r\nPrefer: wait=1\r\n\r\n",
    b"GET /cam/0 HTTP/1.1\r\nHost: a\r\nRange: bytes=3-\r\n\r\n",
    b"GET /cam/0 HTTP/1.0\r\n\r\n",
    b"HEAD /cam/-2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /cam/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /cam/-1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /cam/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"GET /cam/0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"DELETE /cam/0 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"DELETE /cam HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /cam HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /cam/next HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /_/metrics HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /_changes/-2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"Lp-Trickle-Reset: 1\r\n",
)
_CONFIG = ServerConfig(
    autocreate=True,
    allow_create=True,
    changefeed=True,
    limits=Limits(
        window=Window(segments=4, size=2000, seconds=5, floor=1),
        memory=20_000,
        channels=6,
        readers=5,
        publications=4,
        segment_size=500,
    ),
)


class Wire:
    """A peer's end: takes `appetite` bytes at once, and the rest when it is hungry."""

    joins = False

    def __init__(self) -> None:
        self.appetite = 1 << 30
        self.wire = b""
        self.is_closed = False
        self._hungry = trio.Event()

    def eat(self, amount: int) -> None:
        self.appetite += amount
        self._hungry.set()

    def send_nowait(self, data: bytes) -> int:
        return self.sendv_nowait([data])

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)[: self.appetite]
        self.appetite -= len(data)
        self.wire += data
        return len(data)

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        while True:
            await trio.lowlevel.checkpoint()
            if self.is_closed:
                raise Disconnected("closed")
            if taken := self.sendv_nowait(buffers):
                return taken
            self._hungry = trio.Event()
            await self._hungry.wait()

    def cork(self, *, on: bool) -> None:
        pass

    def unacknowledged(self) -> int:
        return 0

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def shut_down_sending(self) -> None:
        pass

    def close(self, *, fail: bool = False) -> None:
        self.is_closed = True
        self._hungry.set()


class _Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


class Peers:
    """Connections of one server, which are opened again when they have ended."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: list[tuple[Connection, Wire] | None] = [None] * _PEERS

    def __getitem__(self, index: int) -> tuple[Connection, Wire]:
        found = self._open[index]
        if found is None or found[0].is_closed:
            wire = Wire()
            visitor = self._server._addresses.enter("")
            found = self._server._connect(wire, visitor), wire
            self._open[index] = found
        return found

    def all_hang_up(self) -> None:
        for found in self._open:
            if found is not None:
                found[0].hung_up()


async def _play(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    server = Server(_CONFIG)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        peers = Peers(server)
        now = trio.current_time()
        for _ in range(provider.ConsumeIntInRange(1, _MOVES)):
            connection, wire = peers[provider.ConsumeIntInRange(0, _PEERS - 1)]
            match provider.ConsumeIntInRange(0, 9):
                case 0:
                    connection.hung_up()
                case 1:
                    wire.appetite = provider.ConsumeIntInRange(0, 300)
                case 2:
                    wire.eat(provider.ConsumeIntInRange(1, 5000))
                case 3:
                    now += provider.ConsumeIntInRange(1, 40)
                    connection.check(now)
                case 4:
                    server.hub.tick()
                    await _settle()
                case 5:
                    connection.received(provider.ConsumeBytes(30) or b"x")
                case _:
                    line = _LINES[provider.ConsumeIntInRange(0, len(_LINES) - 1)]
                    cut = provider.ConsumeIntInRange(0, 60)
                    if cut < len(line) and cut % 5 == 0:
                        line = line[:cut] + provider.ConsumeBytes(4) + line[cut + 2 :]
                    connection.received(line)
            if provider.ConsumeBool():
                await _settle()
        peers.all_hang_up()
        await _settle()
        for channel in server.hub.all():
            assert channel.readers == channel.publishers == 0, channel.name
        assert server.statistics().connections == 0
        assert server.hub.memory.used == sum(c.memory for c in server.hub.all())
        await _serve_a_friend(server)
        nursery.cancel_scope.cancel()


async def _settle() -> None:
    """Let what has to wait be done."""
    for _ in range(6):
        await trio.lowlevel.checkpoint()


async def _serve_a_friend(server: Server) -> None:
    for channel in server.hub.all():
        if channel.name != "_changes" and not channel.closed:
            server.hub.close(channel.name)
    connection, wire = Peers(server)[0]
    connection.received(
        b"POST /friend/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ntrue"
        b"GET /friend/0 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    await _settle()
    assert wire.wire.count(b"HTTP/1.1 200 OK") == 2, wire.wire
    assert wire.wire.endswith(b"true")
    connection.hung_up()


def check(data: bytes) -> None:
    """One input."""
    trio.run(_play, data)


if __name__ == "__main__":
    logging.getLogger("trickle_cli").addHandler(_Raising(logging.ERROR))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
