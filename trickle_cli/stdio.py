"""Standard input and output for trio programs, and files like them.

A pipe could be made non-blocking, but that flag belongs to everyone who holds the
pipe: the program at its other end, the shell, our own parent. So a pipe is opened
anew through /proc, which gives a description of our own to be non-blocking with.
Where that cannot be done (terminals, sockets, other systems) a thread does the
blocking calls.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio

#: Bytes taken by one read: what a pipe holds by default.
READ_SIZE: Final = 64 * 1024


class Source(Protocol):
    """Where bytes come from."""

    async def receive_some(self) -> bytes:
        """Wait for some bytes; b"" at the end. Loses nothing if it is cancelled.
        Raises OSError."""


@asynccontextmanager
async def open_source(descriptor: int) -> AsyncIterator[Source]:
    """Read from `descriptor`, which stays the caller's to close."""
    pipe = _reopen(descriptor, os.O_RDONLY)
    if pipe is not None:
        async with pipe:
            yield _PipeSource(pipe)
        return
    async with trio.open_nursery() as nursery:
        results_in, results_out = trio.open_memory_channel[bytes | OSError](0)
        nursery.start_soon(_read_in_thread, descriptor, results_in)
        yield _ThreadSource(results_out)
        nursery.cancel_scope.cancel()


class _PipeSource:
    def __init__(self, pipe: trio.lowlevel.FdStream) -> None:
        self._pipe = pipe

    async def receive_some(self) -> bytes:
        return bytes(await self._pipe.receive_some(READ_SIZE))


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
    with results:
        while True:
            try:
                data = await trio.to_thread.run_sync(
                    os.read, descriptor, READ_SIZE, abandon_on_cancel=True
                )
            except OSError as error:
                await results.send(error)
                return
            if not data:
                return
            await results.send(data)


class Sink:
    """Writes to a file descriptor. Made by `open_sink`.

    Raises BrokenPipeError when nobody reads any more, and other OSErrors.
    """

    def __init__(self, descriptor: int, pipe: trio.lowlevel.FdStream | None) -> None:
        self._descriptor = descriptor
        self._pipe = pipe
        self.is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)

    async def send_all(self, data: bytes) -> None:
        """Write all of `data`; when this returns, the system has it."""
        if self._pipe is not None:
            try:
                await self._pipe.send_all(data)
            except trio.BrokenResourceError as error:
                raise _cause(error) from error
        elif self.is_file:
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
        pipe = self._pipe or self._descriptor
        # A pipe's writing end is never readable, but reports its failure.
        await trio.lowlevel.wait_readable(pipe)


@asynccontextmanager
async def open_sink(descriptor: int) -> AsyncIterator[Sink]:
    """Write to `descriptor`, which stays the caller's to close."""
    pipe = _reopen(descriptor, os.O_WRONLY)
    try:
        yield Sink(descriptor, pipe)
    finally:
        if pipe is not None:
            await trio.aclose_forcefully(pipe)


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


def _reopen(descriptor: int, mode: int) -> trio.lowlevel.FdStream | None:
    """The pipe behind `descriptor` with a description of its own; None if it is no
    pipe, or cannot be had."""
    if not _is_pipe(descriptor):
        return None
    try:
        own = os.open(
            f"/proc/self/fd/{descriptor}", mode | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return None
    return trio.lowlevel.FdStream(own)


def _is_pipe(descriptor: int) -> bool:
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _cause(error: trio.BrokenResourceError) -> OSError:
    if isinstance(error.__cause__, OSError):
        return error.__cause__
    return OSError(errno.EIO, str(error))
