"""Standard input and output for trio programs, and files like them.

A pipe could be made non-blocking, but that flag belongs to everyone who holds the
pipe: the program at its other end, the shell, our own parent. So a pipe is opened
anew through /proc, which gives a description of our own to be non-blocking with, and a
socket is asked not to block with each call. Where neither can be done (terminals, files
that are read, other systems) a thread does the blocking calls, and waits where somebody
else has made them non-blocking.

Whoever carries much pays for each turn of trio's and each switch between threads. So
what is there is taken without a turn, and what is read of a file grows, as long as it
is taken quickly. Where it is not, it must not: who sends slowly cuts between reads.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol

import trio

#: Bytes taken by one read: what a pipe holds by default.
READ_SIZE: Final = 64 * 1024
#: The same of a file, at most.
LARGE_READ_SIZE: Final = 512 * 1024
#: Seconds within which a piece is taken by somebody who could do with a larger one.
_QUICK: Final = 0.05
#: What is never waited for, as files are not.
_NULL: Final = os.stat(os.devnull).st_rdev


class Source(Protocol):
    """Where bytes come from."""

    async def receive_some(self) -> bytes:
        """Wait for some bytes; b"" at the end. Loses nothing if it is cancelled. Lets
        others run only if it has to wait. Raises OSError."""


@asynccontextmanager
async def open_source(descriptor: int) -> AsyncIterator[Source]:
    """Read from `descriptor`, which stays the caller's to close."""
    with _own_end(descriptor, os.O_RDONLY) as own:
        if own is not None:
            yield _WaitingSource(own)
            return
    async with trio.open_nursery() as nursery:
        results_in, results_out = trio.open_memory_channel[bytes | OSError](0)
        nursery.start_soon(_read_in_thread, descriptor, results_in)
        yield _ThreadSource(results_out)
        nursery.cancel_scope.cancel()


class _WaitingSource:
    def __init__(self, end: _End) -> None:
        self._end = end

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                return self._end.read(READ_SIZE)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._end.number)


class _ThreadSource:
    def __init__(self, results: trio.MemoryReceiveChannel[bytes | OSError]) -> None:
        self._results = results

    async def receive_some(self) -> bytes:
        try:
            result = await self._results.receive()
        except trio.EndOfChannel:
            return b""
        if isinstance(result, OSError):
            raise result
        return result


async def _read_in_thread(
    descriptor: int, results: trio.MemorySendChannel[bytes | OSError]
) -> None:
    """Read until the end; a read that nobody waits for any more is abandoned."""
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    size = READ_SIZE
    with results:
        while True:
            try:
                data = await trio.to_thread.run_sync(
                    _read, descriptor, size, abandon_on_cancel=True
                )
            except OSError as error:
                await results.send(error)
                return
            if not data:
                return
            came = trio.current_time()
            await results.send(data)
            is_quick = is_file and trio.current_time() - came < _QUICK
            size = min(2 * size, LARGE_READ_SIZE) if is_quick else READ_SIZE


class Sink:
    """Writes to a file descriptor. Made by `open_sink`.

    Raises BrokenPipeError when nobody reads any more, and other OSErrors.
    """

    def __init__(self, descriptor: int, end: _End | None) -> None:
        self._descriptor = descriptor
        self._end = end
        status = os.fstat(descriptor)
        self.is_file = stat.S_ISREG(status.st_mode)
        self._is_quick = self.is_file or status.st_rdev == _NULL

    async def send_all(self, data: bytes) -> None:
        """Write all of `data`; when this returns, the system has it."""
        if self._end is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            await _write_as_it_goes(self._end, data)
        elif self._is_quick:
            # A file takes all, and never makes us wait.
            await trio.lowlevel.checkpoint()
            _write_all(self._descriptor, data)
        else:
            # Abandoned, because a reader that takes nothing would hold us for ever.
            await trio.to_thread.run_sync(
                _write_all, self._descriptor, data, abandon_on_cancel=True
            )

    async def reader_gone(self) -> None:
        """Wait until nobody reads any more: for ever, if that cannot be told."""
        if not _is_pipe(self._descriptor):
            await trio.sleep_forever()
        # A named pipe whose reader has gone already cannot be opened anew.
        number = self._descriptor if self._end is None else self._end.number
        # A pipe's writing end is never readable, but reports its failure.
        await trio.lowlevel.wait_readable(number)


@asynccontextmanager
async def open_sink(descriptor: int) -> AsyncIterator[Sink]:
    """Write to `descriptor`, which stays the caller's to close."""
    with _own_end(descriptor, os.O_WRONLY) as own:
        yield Sink(descriptor, own)


async def _write_as_it_goes(end: _End, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[end.write(view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(end.number)


@asynccontextmanager
async def open_path(path: str, flags: int) -> AsyncIterator[int]:
    """A descriptor of the file at `path`, closed at the end. In a thread, because a
    named pipe opens only when somebody opens its other end. Raises OSError."""
    descriptor = await trio.to_thread.run_sync(
        os.open, path, flags | os.O_CLOEXEC, 0o666, abandon_on_cancel=True
    )
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _End(Protocol):
    """A descriptor of our own, on which nothing blocks: BlockingIOError says that it is
    to be waited for. `number` is what to wait with."""

    number: int

    def read(self, size: int) -> bytes: ...

    def write(self, data: memoryview) -> int: ...

    def close(self) -> None: ...


class _Pipe:
    def __init__(self, number: int) -> None:
        self.number = number

    def read(self, size: int) -> bytes:
        return os.read(self.number, size)

    def write(self, data: memoryview) -> int:
        return os.write(self.number, data)

    def close(self) -> None:
        os.close(self.number)


class _Socket:
    def __init__(self, own: socket.socket) -> None:
        self.number = own.fileno()
        self._socket = own

    def read(self, size: int) -> bytes:
        return self._socket.recv(size, socket.MSG_DONTWAIT)

    def write(self, data: memoryview) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _own_end(descriptor: int, mode: int) -> Iterator[_End | None]:
    """What is behind `descriptor`, if that can be had without blocking others."""
    end = _reopen(descriptor, mode)
    try:
        yield end
    finally:
        if end is not None:
            trio.lowlevel.notify_closing(end.number)
            end.close()


def _reopen(descriptor: int, mode: int) -> _End | None:
    status = os.fstat(descriptor).st_mode
    try:
        if stat.S_ISFIFO(status):
            path = f"/proc/self/fd/{descriptor}"
            return _Pipe(os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC))
        if stat.S_ISSOCK(status):
            own = socket.socket(fileno=os.dup(descriptor))
            if own.type == socket.SOCK_STREAM:
                return _Socket(own)
            own.close()
    except OSError:
        return None
    return None


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _read(descriptor: int, size: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:
            _wait(descriptor, select.POLLIN)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            _wait(descriptor, select.POLLOUT)


def _wait(descriptor: int, event: int) -> None:
    """For ever, if need be: it is for threads, as calls that block are."""
    waiting = select.poll()
    waiting.register(descriptor, event)
    waiting.poll()
