"""Segments to a file, reassembled."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trickle_cli.stdio import Sink, open_path, open_sink


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
    async with (
        open_path(name, os.O_WRONLY | os.O_CREAT) as descriptor,
        open_sink(descriptor) as sink,
    ):
        yield File(descriptor, sink)
