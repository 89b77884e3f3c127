"""An encrypted connection that is served by another process than accepted it.

Encryption cannot be handed over, so it stays, and a pair of sockets takes the plain
bytes to and fro. Two things would be lost on the way, for which there is a second pair:

- how it ended. When the server has said all, TLS says goodbye; else the peer has to see
  a cut. The one that serves says END there before it closes; if it dies, it has not.
- what has reached the peer, which lossless channels go by. The pump tells how many
  bytes have been acknowledged, once it has been asked to.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from trickle_cli.server.poller import Poller
from trickle_cli.server.secure import SecureStream
from trickle_cli.server.transport import SocketTransport

_PIECE: Final = 64 * 1024
_END: Final = b"."
_ASK: Final = b"?"
_COUNT: Final = struct.Struct("=Q")
#: Seconds that TLS may take to say goodbye.
_GOODBYE: Final = 1
#: Seconds between looks at what has been acknowledged.
_LOOK: Final = 0.05


def aside() -> tuple[socket.socket, socket.socket]:
    """The second pair."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair


class PumpedTransport(SocketTransport):
    """The end that serves. It owns `beside`, too. `counts`: what has been sent, and
    what acknowledged, when others served it before."""

    __slots__ = ("_acknowledged", "_asked", "_sent", "beside")

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        beside: socket.socket,
        counts: tuple[int, int],
    ) -> None:
        super().__init__(sock, poller)
        self.beside = beside
        self._sent, self._acknowledged = counts
        self._asked = False

    @property
    def counts(self) -> tuple[int, int]:
        """For who serves it next: the pump counts from the beginning."""
        return self._sent, self._acknowledged

    def send_nowait(self, data: bytes) -> int:
        taken = super().send_nowait(data)
        self._sent += taken
        return taken

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        taken = super().sendv_nowait(buffers)
        self._sent += taken
        return taken

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        taken = await super().sendv(buffers)
        self._sent += taken
        return taken

    def shut_down_sending(self) -> None:
        pass  # an end is an end: closing must do, as with any stream

    def unacknowledged(self) -> int:
        with suppress(OSError):
            if not self._asked:
                self._asked = True
                self.beside.send(_ASK)
            while len(count := self.beside.recv(_COUNT.size)) == _COUNT.size:
                (self._acknowledged,) = _COUNT.unpack(count)
        return self._sent - self._acknowledged

    def close(self, *, fail: bool = False) -> None:
        if not fail:
            with suppress(OSError):
                self.beside.send(_END)
        self.beside.close()
        super().close()


class Pump:
    """The end at `stream`, which was accepted here. All three are closed when `run`
    returns. The peer may take nothing for `patience` seconds."""

    def __init__(
        self,
        stream: SecureStream,
        sock: socket.socket,
        beside: socket.socket,
        patience: float,
    ) -> None:
        self._stream = stream
        self._inner = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._beside = trio.socket.from_stdlib_socket(beside)
        self._patience = patience
        self._taken = 0
        self._told: int | None = None  # nobody wants to know
        self._is_sending = False
        self._has_ended = False

    async def run(self) -> None:
        """Until either side has ended."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_in)
                nursery.start_soon(self._listen)
                await self._send_out()
                nursery.cancel_scope.cancel()
        finally:
            patience = _GOODBYE if self._is_over() else 0
            with trio.move_on_after(patience, shield=True):
                await self._stream.aclose()
            with trio.CancelScope(shield=True):
                await self._inner.aclose()
            self._beside.close()

    async def _send_in(self) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(_PIECE):
                await self._inner.send_all(data)
        # Who serves is to see that the peer has gone, and what it had by then.
        with suppress(OSError):
            await self._report()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._inner.socket.shutdown(socket.SHUT_WR)

    async def _send_out(self) -> None:
        while data := await self._take():
            self._is_sending = True
            try:
                with trio.fail_after(self._patience):
                    await self._stream.send_all(data)
            except (
                trio.BrokenResourceError,
                trio.ClosedResourceError,
                trio.TooSlowError,
            ):
                return
            self._taken += len(data)
            self._is_sending = False
        self._has_ended = True

    async def _take(self) -> bytes:
        try:
            return bytes(await self._inner.receive_some(_PIECE))
        except trio.BrokenResourceError:
            return b""  # it was closed while there was something for it to read

    async def _listen(self) -> None:
        """Tell what has been acknowledged, when that is wanted."""
        with suppress(OSError):
            if await self._beside.recv(1, socket.MSG_PEEK) != _ASK:
                return  # it is the end, or nothing any more
            await self._beside.recv(1)
            self._told = 0
            while True:
                await self._report()
                await trio.sleep(_LOOK)

    async def _report(self) -> None:
        """Tell what has been acknowledged, if that is wanted, and has changed."""
        taken = self._taken
        is_quiet = not (self._is_sending or self._stream.unacknowledged())
        if self._told is not None and is_quiet and taken != self._told:
            self._told = taken
            await self._beside.send(_COUNT.pack(taken))

    def _is_over(self) -> bool:
        """Whether all was said, and taken."""
        if not self._has_ended:
            return False
        sock = socket.socket(fileno=self._beside.detach())
        try:
            with suppress(OSError):
                while said := sock.recv(len(_END)):
                    if said == _END:
                        return True
            return False
        finally:
            sock.close()
