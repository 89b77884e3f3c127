"""How a connection reaches its peer: the one door to sockets and streams.

`SocketTransport` is a plain non-blocking socket: the fan-out needs a send that
does not wait and does not switch tasks. `StreamTransport` is any
`trio.abc.Stream` (TLS, memory streams). It has no such send and takes nothing at
once, so its readers always pull.

What comes in is handed to the connection by `Connection.received`; while that
must not happen, it pauses its transport, and the peer feels the back-pressure.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import trio

from trickle_cli.errors import ConnectionFailed
from trickle_cli.protocol.events import Buffer
from trickle_cli.server.poller import Poller

#: One read takes at most so many bytes. What is read at once is sent on at once, to all
#: readers: so much of it still lies in the cache for the last of them, and with a head
#: it fills two packets of the loopback (65 483 bytes each; Linux hands no more to a
#: network card at once, either). Twice as much was seen to cost a third more.
RECEIVE_SIZE: Final = 126 * 1024
#: Linux takes at most 1024 buffers in one sendmsg (IOV_MAX).
MAX_BUFFERS: Final = 1024
_CORK: Final[int | None] = getattr(socket, "TCP_CORK", None)
#: Seconds that a stream may take to end in order.
_GOODBYE: Final = 1

# All sockets of a process read into this: what is received is used up before
# anything else can be read.
_inbox: Final = memoryview(bytearray(RECEIVE_SIZE))


class Disconnected(ConnectionFailed):
    """The connection is over: the peer closed it, it broke, or we break it off."""


class Receiver(Protocol):
    """What a transport hands its input to. Neither call waits."""

    def received(self, data: Buffer) -> None:
        """`data` has come; it is valid during this call."""

    def hung_up(self) -> None:
        """Nothing more will come: the peer ended the connection, or it broke."""


class Transport(Protocol):
    """The wire of one connection. `joins`: many buffers are joined anyway."""

    joins: bool

    def send_nowait(self, data: bytes) -> int:
        """Send what can be sent at once; how many bytes that was. Errors count as
        nothing sent: they come up in `sendv`."""

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        """`send_nowait` of many buffers in one call."""

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        """Wait until at least one byte is sent; how many were. Disconnected."""

    def cork(self, *, on: bool) -> None:
        """From now on, let what is sent go out in full packets; or go, if not `on`."""

    def pause(self) -> None:
        """Receive nothing until `resume`."""

    def resume(self) -> None:
        """Receive again."""

    def shut_down_sending(self) -> None:
        """Tell the peer that no more will come."""

    def unacknowledged(self) -> int:
        """How many of the bytes sent have not reached the peer yet, as far as that can
        be known."""

    def close(self, *, fail: bool = False) -> None:
        """Close; what was sent is still delivered. A `sendv` that waits raises.
        With `fail`, the peer sees a failure instead of an end."""


class SocketTransport:
    """A connected, non-blocking TCP or Unix socket, which it owns."""

    joins = False

    __slots__ = ("_poller", "_receiver", "_sock")

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self._sock = sock
        self._poller = poller
        self._receiver: Receiver | None = None

    def open(self, receiver: Receiver) -> None:
        """Begin to hand what is received to `receiver`."""
        self._receiver = receiver
        self._poller.add(self._sock, self._ready)

    def _ready(self) -> None:
        assert self._receiver is not None
        try:
            count = self._sock.recv_into(_inbox)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            count = 0
        if count:
            self._receiver.received(_inbox[:count])
        else:
            self._receiver.hung_up()

    def send_nowait(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except OSError:
            return 0

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        try:
            return self._sock.sendmsg(buffers[:MAX_BUFFERS])
        except OSError:
            return 0

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        while True:
            try:
                return self._sock.sendmsg(buffers[:MAX_BUFFERS])
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                raise Disconnected(str(error)) from error
            try:
                await trio.lowlevel.wait_writable(self._sock)
            except trio.ClosedResourceError:
                raise Disconnected("the connection was closed") from None

    def cork(self, *, on: bool) -> None:
        if _CORK is not None:
            with suppress(OSError):  # it is closed, or a Unix socket
                self._sock.setsockopt(socket.IPPROTO_TCP, _CORK, on)

    def pause(self) -> None:
        self._poller.pause(self._sock)

    def resume(self) -> None:
        self._poller.resume(self._sock)

    def shut_down_sending(self) -> None:
        with suppress(OSError):  # the peer has gone; reading will tell
            self._sock.shutdown(socket.SHUT_WR)

    def unacknowledged(self) -> int:
        return _unacknowledged(self._sock.fileno())

    def release(self) -> socket.socket:
        """Give up the socket, as it is: it is the caller's now."""
        self.cork(on=False)
        self._poller.remove(self._sock)
        self._receiver = None
        return self._sock

    def close(self, *, fail: bool = False) -> None:
        if self._sock.fileno() < 0:
            return
        if fail:
            linger = struct.pack("ii", 1, 0)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if self._receiver is not None:
            self._poller.remove(self._sock)
            self._receiver = None  # which has us: no work for the cycle collector
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()


class StreamTransport:
    """Any `trio.abc.Stream`, which it owns. It works while `run` runs."""

    joins = True

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._scope = trio.CancelScope()
        self._paused = False
        self._closed = False
        self._fails = False
        self._resumed = trio.lowlevel.ParkingLot()

    async def run(self, receiver: Receiver) -> None:
        """Hand what is received to `receiver`, until either side closes."""
        try:
            with self._scope:
                while data := await self._stream.receive_some(RECEIVE_SIZE):
                    receiver.received(data)
                    while self._paused:
                        await self._resumed.park()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if not self._closed:
                receiver.hung_up()
            # TLS says goodbye, so that its peer can tell an end from a cut.
            patience = 0 if self._fails else _GOODBYE
            with trio.move_on_after(patience, shield=True):
                await self._stream.aclose()

    def send_nowait(self, data: bytes) -> int:  # noqa: ARG002
        return 0

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:  # noqa: ARG002
        return 0

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Disconnected(str(error)) from error
        return len(data)

    def cork(self, *, on: bool) -> None:
        pass

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._resumed.unpark_all()

    def shut_down_sending(self) -> None:
        pass  # streams at large cannot; closing must do

    def unacknowledged(self) -> int:
        inner = getattr(self._stream, "transport_stream", self._stream)
        sock = getattr(inner, "socket", None)
        return 0 if sock is None else _unacknowledged(sock.fileno())

    def close(self, *, fail: bool = False) -> None:
        self._closed = True
        self._fails = fail
        self._scope.cancel()


def _unacknowledged(descriptor: int) -> int:
    """What the kernel has still to bring to the peer of a socket (tcp(7), SIOCOUTQ)."""
    try:
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0" * 4)
    except OSError:  # there is no such thing here, or the socket is closed
        return 0
    return int.from_bytes(answer, sys.byteorder)
