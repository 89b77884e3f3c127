"""Publishers and readers as lean as sockets get, of which the loads are made.

They speak with our server (`http`) and with the floor (`bare`), over TLS too. What they
take is not measured, but it is on the same machine, so they parse no more than they
have to: a reader finds the end of an answer, and counts its bytes.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from typing import Final

_PIECE: Final = 256 * 1024
_LAST_CHUNK: Final = b"0\r\n\r\n"
_HEAD_END: Final = b"\r\n\r\n"
#: Seconds that connecting may take.
_PATIENCE: Final = 60.0


def connected(kind: str, port: int) -> socket.socket:
    """A connection to a server of this kind on this machine."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.settimeout(None)  # who started us ends us
    if not kind.endswith("tls"):
        return peer
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # of ours, made for this run
    return context.wrap_socket(peer)


def say(**told: object) -> None:
    """Tell the process that measures."""
    print(json.dumps(told), flush=True)


def wait_to_go() -> None:
    say(ready=True)
    sys.stdin.readline()


class Answers:
    """The receiving side of a connection: where answers end, and how long they are."""

    def __init__(
        self, peer: socket.socket, *, bare: int = 0, skips: bool = False
    ) -> None:
        self._peer = peer
        self._skips = skips  # an answer may say that there is no such segment
        self.latest: int | None = None  # what there is instead, if one did
        self._bare = bare  # the size of an answer of the floor, if this is one
        self._buffer = memoryview(bytearray(_PIECE))
        self._is_secure = isinstance(peer, ssl.SSLSocket)
        self._head = b""
        self._left: int | None = None  # None: it is chunked
        self._tail = b""
        self._begin()

    def _begin(self) -> None:
        self.size = 0  # bytes of this answer so far, its framing included
        self._in_body = bool(self._bare)
        self._left = self._bare
        self._head = self._tail = b""

    def take(self) -> bool:
        """Take what has come; whether an answer has ended with it."""
        ended = False
        while True:
            count = self._peer.recv_into(self._buffer)
            if count == 0:
                raise ConnectionError("the server closed a connection")
            ended = self._feed(self._buffer[:count]) or ended
            # What TLS has taken from the socket already is not seen by epoll.
            if not (self._is_secure and self._peer.pending()):  # type: ignore[attr-defined]
                return ended

    def _feed(self, data: memoryview) -> bool:
        if not self._in_body:
            self._head += bytes(data)
            head, found, body = self._head.partition(_HEAD_END)
            if not found:
                return False
            self._read_head(head)
            data = memoryview(body)
        self.size += len(data)
        if self._left is None:
            self._tail = (self._tail + bytes(data[-len(_LAST_CHUNK) :]))[-5:]
            ended = self._tail == _LAST_CHUNK
        else:
            self._left -= len(data)
            ended = self._left <= 0
        if ended:
            self._begin()
        return ended

    def _read_head(self, head: bytes) -> None:
        fields = head.lower()
        self.latest = None
        if self._skips and b" 470 " in head[:16]:
            self.latest = _number(fields, b"lp-trickle-latest:")
        elif b" 200 " not in head[:16]:
            raise ConnectionError(f"the server answered {head[:60]!r}")
        self._in_body = True
        if b"transfer-encoding: chunked" in fields:
            self._left = None
        else:
            self._left = _number(fields, b"content-length:")

    def wait(self) -> None:
        """Wait for the end of an answer."""
        while not self.take():
            pass


def _number(fields: bytes, name: bytes) -> int:
    return int(fields.partition(name)[2].partition(b"\r\n")[0])


class Reader:
    """Gets one segment after another, from `first` on. `size` are the bytes of the one
    it is at. One that `skips` goes on with the latest when it has come too late, and
    one that does not takes that for an error."""

    def __init__(
        self,
        kind: str,
        port: int,
        channel: str,
        *,
        bare: int,
        first: int = 0,
        skips: bool = False,
    ) -> None:
        self.peer = connected(kind, port)
        self._is_bare = kind.startswith("bare")
        self._channel = channel
        self._seq = first
        size = bare if self._is_bare else 0
        self._answers = Answers(self.peer, bare=size, skips=skips)

    @property
    def size(self) -> int:
        return self._answers.size

    def attach(self, role: str) -> None:
        """Tell the floor what we are; ask for the first segment."""
        if self._is_bare:
            self.peer.sendall(f"{role}{self._channel}".encode())
        if role == "R":
            self.ask()

    def ask(self) -> None:
        request = f"GET /{self._channel}/{self._seq} HTTP/1.1\r\nHost: bench\r\n\r\n"
        self.peer.sendall(request.encode())
        self._seq += 1

    def take(self) -> bool:
        ended = self._answers.take()
        if ended and self._answers.latest is not None:
            self._seq = self._answers.latest
            self.ask()
            return False
        return ended


class Writer:
    """Publishes one segment after another, whole or in chunks."""

    def __init__(self, kind: str, port: int, channel: str) -> None:
        self.peer = connected(kind, port)
        self.is_bare = kind.startswith("bare")
        self._channel = channel
        self._seq = 0
        self.answers = Answers(self.peer)

    def attach(self, role: str) -> None:
        """Make the channel; or tell the floor what we are."""
        if self.is_bare:
            self.peer.sendall(f"{role}{self._channel}".encode())
            self.answers = Answers(self.peer, bare=100)
            return
        self.peer.sendall(
            f"POST /{self._channel} HTTP/1.1\r\nHost: bench\r\n"
            f"Expect-Content: text/plain\r\n\r\n".encode()
        )
        self.answers.wait()

    def whole(self, data: bytes) -> None:
        """Send a segment at once, as a chunked body. The answer is to come."""
        if self.is_bare:
            self.peer.sendall(data)
        else:
            self.peer.sendall(self._head() + _chunk(data) + _LAST_CHUNK)

    def piece(self, data: bytes, *, first: bool) -> None:
        """Send some of a segment."""
        head = self._head() if first else b""
        self.peer.sendall(data if self.is_bare else head + _chunk(data))

    def end(self) -> None:
        """End a segment that was sent in pieces."""
        if not self.is_bare:
            self.peer.sendall(_LAST_CHUNK)

    def _head(self) -> bytes:
        self._seq += 1
        return (
            f"POST /{self._channel}/{self._seq - 1} HTTP/1.1\r\nHost: bench\r\n"
            "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
