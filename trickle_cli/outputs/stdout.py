"""Segments to standard output, reassembled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trickle_cli.stdio import Sink, open_sink


class Stdout:
    """Writes to standard output."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def write(self, data: bytes) -> None:
        await self._sink.send_all(data)

    async def reader_gone(self) -> None:
        await self._sink.reader_gone()


@asynccontextmanager
async def open_stdout() -> AsyncIterator[Stdout]:
    """Standard output, which stays open."""
    async with open_sink(1) as sink:
        yield Stdout(sink)
