"""Segments to a file, reassembled."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trickle_cli.stdio import Sink, open_sink


class File:
    """Writes to a file, whose old content goes when the first bytes come: an
    attempt that brings none destroys none."""

    def __init__(self, descriptor: int, sink: Sink) -> None:
        self._descriptor = descriptor
        self._sink = sink
        self._is_fresh = False

    async def write(self, data: bytes) -> None:
        if not self._is_fresh:
            self._is_fresh = True
            if self._sink.is_file:
                os.ftruncate(self._descriptor, 0)
        await self._sink.send_all(data)

    async def reader_gone(self) -> None:
        await self._sink.reader_gone()


@asynccontextmanager
async def open_file(name: str) -> AsyncIterator[File]:
    """The file called `name`, made if need be. OSError if it cannot be written."""
    # In a thread, because a named pipe opens only when somebody reads from it.
    descriptor = await trio.to_thread.run_sync(_open, name, abandon_on_cancel=True)
    try:
        async with open_sink(descriptor) as sink:
            yield File(descriptor, sink)
    finally:
        os.close(descriptor)


def _open(name: str) -> int:
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
