"""The floor of a server: the same bytes between the same sockets, without a protocol.

`python -m bench.floors [CERT KEY]` prints where it listens. A connection says in four
bytes what it is: a role and a channel's number in three digits. `P` streams: what it
sends goes to all `S` of its channel as it comes. `W` writes segments, each of which
comes in one piece and is acknowledged, and goes to the `R` of its channel that have
asked, as readers of Trickle do, with one request for each segment.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections import defaultdict
from select import EPOLLIN, epoll
from typing import Final

#: What is taken at once of a stream, and of a request or a segment. Python makes room
#: for all of it each time, so more than there will be is not for nothing.
_PIECE: Final = 64 * 1024
_SHORT: Final = 12 * 1024
_TAG: Final = 4
#: What acknowledges a segment.
_DONE: Final = b"x" * 100


class Floor:
    """All connections, by what they said that they are."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self._epoll = epoll()
        self._epoll.register(self._listener, EPOLLIN)
        self._peers: dict[int, tuple[socket.socket, str, str]] = {}
        self._streamed: dict[str, list[socket.socket]] = defaultdict(list)
        self._asking: dict[str, list[socket.socket]] = defaultdict(list)
        # Of each channel: how many segments there were, and the last of them.
        self._held: dict[str, tuple[int, bytes]] = {}
        self._had: dict[int, int] = {}  # how many each reader got
        self.port = self._listener.getsockname()[1]

    def run(self) -> None:
        while True:
            for number, _ in self._epoll.poll():
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._serve(number)

    def _accept(self) -> None:
        peer, _ = self._listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            peer = self._context.wrap_socket(peer, server_side=True)
        tag = peer.recv(_TAG).decode()
        self._peers[peer.fileno()] = peer, tag[:1], tag[1:]
        self._epoll.register(peer, EPOLLIN)
        if tag[:1] == "S":
            self._streamed[tag[1:]].append(peer)

    def _serve(self, number: int) -> None:
        peer, role, channel = self._peers[number]
        try:
            data = peer.recv(_PIECE if role == "P" else _SHORT)
        except OSError:
            data = b""
        if not data:
            self._leave(peer, number, channel)
        elif role == "R":
            self._asked(peer, channel)
        elif role == "P":
            self._stream(peer, data, self._streamed[channel])
        else:
            self._hold(channel, data)
            peer.send(_DONE)

    def _asked(self, peer: socket.socket, channel: str) -> None:
        count, data = self._held.get(channel, (0, b""))
        had = self._had.setdefault(peer.fileno(), 0)
        if had < count:  # the segment was here before the request for it
            self._had[peer.fileno()] = count
            peer.send(data)
        else:
            self._asking[channel].append(peer)

    def _hold(self, channel: str, data: bytes) -> None:
        count = self._held.get(channel, (0, b""))[0] + 1
        self._held[channel] = count, data
        readers, self._asking[channel] = self._asking[channel], []
        for reader in readers:
            self._had[reader.fileno()] = count
            reader.send(data)

    def _stream(
        self, peer: socket.socket, data: bytes, readers: list[socket.socket]
    ) -> None:
        while data:
            for reader in readers:
                reader.sendall(data)
            # What TLS has taken from the socket already is not seen by epoll.
            more = isinstance(peer, ssl.SSLSocket) and peer.pending() > 0
            data = peer.recv(_PIECE) if more else b""

    def _leave(self, peer: socket.socket, number: int, channel: str) -> None:
        self._epoll.unregister(number)
        del self._peers[number]
        self._had.pop(number, None)
        for waiting in (self._streamed[channel], self._asking[channel]):
            if peer in waiting:
                waiting.remove(peer)
        peer.close()


def main() -> None:
    context = None
    if sys.argv[1:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:])
    floor = Floor(context)
    print(f"127.0.0.1:{floor.port}", flush=True)
    floor.run()


if __name__ == "__main__":
    main()
