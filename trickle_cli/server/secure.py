"""An encrypted connection whose sends do not wait.

OpenSSL works on memory here, not on the socket: what is to go out is encrypted a slice
at a time, and each slice offered to the kernel with one call. So a live reader is
pushed to over TLS as it is without, in the stack of the publisher's bytes.

Ciphertext that the kernel does not take has to be kept, as nothing else may be sent in
its place. What of the plaintext is in it counts as not taken (`_ahead`): its owner
comes again with the same bytes, as after any send that fell short, and then those are
passed over. Thus a reader that is late costs one slice at most, and whoever is told
that all is taken may close.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

import trio

from trickle_cli.server.poller import Poller
from trickle_cli.server.transport import (
    RECEIVE_SIZE,
    Disconnected,
    Receiver,
    SocketTransport,
)

#: Plaintext encrypted at a time: four records of TLS.
SLICE: Final = 64 * 1024

# For all connections, as the inbox of `transport`: used up before more is read.
_cipher: Final = memoryview(bytearray(RECEIVE_SIZE))
_plain: Final = memoryview(bytearray(RECEIVE_SIZE))


class SecureTransport(SocketTransport):
    """A connected, non-blocking socket, which it owns, encrypted with `context`. First
    `shake_hands`, then `open` it."""

    joins = True

    __slots__ = (
        "_ahead",
        "_has_ended",
        "_incoming",
        "_is_paused",
        "_outgoing",
        "_tls",
        "_unsent",
    )

    def __init__(
        self, sock: socket.socket, poller: Poller, context: ssl.SSLContext
    ) -> None:
        super().__init__(sock, poller)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._unsent = b""  # ciphertext that the kernel has not taken
        self._ahead = 0  # bytes of plaintext in it
        self._is_paused = False
        self._has_ended = False  # while it was paused

    async def shake_hands(self) -> None:
        """Agree with the peer on how to encrypt. Disconnected, if that fails."""
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._flush()
                await trio.lowlevel.wait_readable(self._sock)
                self._take_in()
        except ssl.SSLError as error:
            with suppress(OSError):  # the peer may have gone
                self._push_out()  # it says what is wrong
            raise Disconnected(str(error)) from error
        await self._flush()

    def _take_in(self) -> bool:
        """Hand what the socket has to OpenSSL. False if nothing will come any more."""
        try:
            count = self._sock.recv_into(_cipher)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            count = 0
        if count:
            self._incoming.write(_cipher[:count])
        else:
            self._incoming.write_eof()
        return count > 0

    # In.

    def open(self, receiver: Receiver) -> None:
        super().open(receiver)
        self._decrypt()  # it may have come with the end of the handshake

    def _ready(self) -> None:
        is_alive = self._take_in()
        if is_alive or not self._is_paused:
            self._decrypt()
        elif self._receiver is not None:
            self._receiver.hung_up()

    def _decrypt(self) -> None:
        """Hand on what can be read."""
        size, has_ended = 1, False
        while size and not (has_ended or self._is_paused or self._sock.fileno() < 0):
            receiver = self._receiver
            if receiver is None:  # it has been released
                return
            size, has_ended = self._read()
            if size:
                receiver.received(_plain[:size])
            if has_ended:
                self._end(receiver)

    def _end(self, receiver: Receiver) -> None:
        """Nothing more will come. If it came with bytes that are not served yet, have
        the poller tell of it when they are, as of the end of any socket."""
        if not self._is_paused:
            receiver.hung_up()
            return
        self._has_ended = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def _read(self) -> tuple[int, bool]:
        """Fill `_plain`; how many bytes are in it, and whether nothing comes after."""
        size = 0
        try:
            while size < RECEIVE_SIZE:
                room = cast("bytearray", _plain[size:])  # any buffer will do
                count = cast("int", self._tls.read(len(room), room))
                if not count:
                    return size, True
                size += count
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # it ended without saying so, or is no TLS
            return size, True
        with suppress(OSError):
            self._push_out()  # what the protocol itself has to say
        return size, False

    def pause(self) -> None:
        self._is_paused = True
        super().pause()

    def resume(self) -> None:
        self._is_paused = False
        super().resume()
        if not self._has_ended:
            self._decrypt()

    # Out.

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self._send(data)
        except OSError:
            return 0

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        return self.send_nowait(b"".join(buffers))

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)
        try:
            while not (taken := self._send(data)):
                await trio.lowlevel.wait_writable(self._sock)
        except (OSError, trio.ClosedResourceError) as error:
            raise Disconnected(str(error)) from error
        return taken

    def _send(self, data: bytes | memoryview) -> int:
        """Encrypt and send as much of `data` as the kernel takes. OSError."""
        if not self._push_out():
            return 0
        taken = min(self._ahead, len(data))
        self._ahead -= taken
        if taken:  # was sent already
            data = memoryview(data)[taken:]
        while size := len(data):
            part = data if size <= SLICE else memoryview(data)[:SLICE]
            self._encrypt(part)
            if not self._push_out():
                self._ahead = len(part)
                break
            taken += len(part)
            data = memoryview(data)[len(part) :]
        return taken

    def _encrypt(self, data: bytes | memoryview) -> None:
        count = self._tls.write(data)
        while count < len(data):
            count += self._tls.write(memoryview(data)[count:])

    def _push_out(self) -> bool:
        """Send what is encrypted; whether that is all sent. OSError."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        if self._unsent:
            try:
                count = self._sock.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return False
            self._unsent = self._unsent[count:]
        return not self._unsent

    async def _flush(self) -> None:
        """Send what is encrypted. Disconnected."""
        try:
            while not self._push_out():
                await trio.lowlevel.wait_writable(self._sock)
        except (OSError, trio.ClosedResourceError) as error:
            raise Disconnected(str(error)) from error

    # The end.

    def release_stream(self) -> SecureStream:
        """Give up the connection, encryption and all: as a stream that is the caller's
        now."""
        self.release()
        return SecureStream(self)

    async def receive(self) -> bytes:
        """Once it is released: what comes next, b"" at the end."""
        while True:
            size, has_ended = self._read()
            if size or has_ended:
                return bytes(_plain[:size])
            await trio.lowlevel.wait_readable(self._sock)
            self._take_in()

    def break_off(self) -> None:
        """Close it so that the peer sees a cut."""
        super().close()

    def shut_down_sending(self) -> None:
        pass  # OpenSSL would not go on reading; the answer says that it is the last

    def unacknowledged(self) -> int:
        return len(self._unsent) + super().unacknowledged()

    def close(self, *, fail: bool = False) -> None:
        if not (fail or self._unsent or self._sock.fileno() < 0):
            # So that the peer can tell an end from a cut. It need not say it, too.
            with suppress(OSError):
                self._tls.unwrap()
            with suppress(OSError):
                self._push_out()
        super().close(fail=fail)


class SecureStream(trio.abc.Stream):
    """What was a transport, for who has time to wait."""

    def __init__(self, transport: SecureTransport) -> None:
        self._transport = transport

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        return await self._transport.receive()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        view = memoryview(data)
        try:
            while view:
                view = view[await self._transport.sendv([view]) :]
        except Disconnected as error:
            raise trio.BrokenResourceError(str(error)) from error

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    def unacknowledged(self) -> int:
        """How many of the bytes sent have not reached the peer yet."""
        return self._transport.unacknowledged()

    async def aclose(self) -> None:
        """Say goodbye; if cancelled, break it off."""
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self._transport.break_off()
            raise
        self._transport.close()
