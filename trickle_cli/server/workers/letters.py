"""What the processes of one server send each other: letters, with descriptors in them.

A letter is one datagram of a Unix socket (SOCK_SEQPACKET, so that the end of a process
is seen, too): a line of JSON, and bytes behind it. Such a socket takes only datagrams
that fit its buffer, so what is long is put into a file in memory, and its descriptor
is sent. These sockets come into being in the supervisor, and have no names:
nothing from outside reaches them.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import trio

#: Bytes that go into the datagram itself. The kernel's smallest buffer takes this.
_INLINE: Final = 16 * 1024
_LARGEST: Final = _INLINE + 16 * 1024
#: Descriptors in one letter: the kernel's SCM_MAX_FD.
_MAX_DESCRIPTORS: Final = 253
#: As large a buffer as there may be.
_BUFFER: Final = 4 * 1024 * 1024
#: The socket is full, or too many descriptors are under way.
_FULL: Final = {errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS}


@dataclass(frozen=True, kw_only=True)
class Letter:
    """`kind` says what it is; `fields` are of JSON. Who has received it owns the
    `descriptors`."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""
    descriptors: tuple[int, ...] = ()

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in self.descriptors:
            with suppress(OSError):
                os.close(descriptor)


class Link:
    """One end of a socket for letters, which it owns."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    @classmethod
    def pair(cls) -> tuple[Link, Link]:
        """Two ends; what one sends the other receives."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        return cls(ends[0]), cls(ends[1])

    @classmethod
    def of(cls, descriptor: int) -> Link:
        """The end that was inherited, or received."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """Its descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Let go of it."""
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()

    def send_nowait(self, letter: Letter) -> bool:
        """False if there is no room for it now. OSError if nobody will receive it."""
        head: dict[str, Any] = {"kind": letter.kind, **letter.fields}
        data, descriptors, apart = letter.data, letter.descriptors, -1
        if len(data) > _INLINE:
            apart = _write_apart(data)
            head["apart"], data, descriptors = len(data), b"", (*descriptors, apart)
        line = json.dumps(head, separators=(",", ":")).encode() + b"\n"
        rights = [
            (
                socket.SOL_SOCKET,
                socket.SCM_RIGHTS,
                array.array("i", descriptors).tobytes(),
            )
        ]
        try:
            self._sock.sendmsg([line, data], rights if descriptors else [])
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        finally:
            if apart >= 0:
                os.close(apart)
        return True

    async def wait_writable(self) -> None:
        """Until there is room again."""
        await trio.lowlevel.wait_writable(self._sock)

    async def send(self, letter: Letter) -> None:
        """Send it when there is room. OSError if nobody will receive it."""
        while not self.send_nowait(letter):
            await self.wait_writable()

    def receive_nowait(self) -> Letter | None:
        """The next; None if nobody is left who could send one. BlockingIOError if there
        is none yet."""
        data, ancillary, flags, _ = self._sock.recvmsg(
            _LARGEST,
            socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS),
            socket.MSG_CMSG_CLOEXEC,
        )
        numbers = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers.frombytes(content[: len(content) - len(content) % 4])
        descriptors = list(numbers)
        if not data:
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        line, _, rest = data.partition(b"\n")
        fields = json.loads(line)
        if (size := fields.pop("apart", None)) is not None:
            rest = _read_apart(descriptors.pop(), size)
        return Letter(
            kind=fields.pop("kind"),
            fields=fields,
            data=rest,
            descriptors=tuple(descriptors),
        )

    async def receive(self) -> Letter | None:
        """The next, when it comes; None if nobody is left who could send one."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self.receive_nowait()
            except BlockingIOError:
                continue
            except ConnectionResetError:  # it ended before it had read all
                return None


def _write_apart(data: bytes) -> int:
    descriptor = os.memfd_create("trickle-letter", os.MFD_CLOEXEC)
    with ExitStack() as undo:
        undo.callback(os.close, descriptor)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        undo.pop_all()
    return descriptor


def _read_apart(descriptor: int, size: int) -> bytes:
    try:
        data = bytearray()
        while part := os.pread(descriptor, size - len(data), len(data)):
            data += part
        return bytes(data)
    finally:
        os.close(descriptor)
