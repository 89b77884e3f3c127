"""Lines to the end of a file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trickle_cli.stdio import Sink, open_path, open_sink


class Log:
    """Writes to the end of a file, whatever is in it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def write(self, data: bytes) -> None:
        await self._sink.send_all(data)

    async def reader_gone(self) -> None:
        await self._sink.reader_gone()


@asynccontextmanager
async def open_log(name: str) -> AsyncIterator[Log]:
    """The file called `name`, made if need be. OSError if it cannot be written."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    async with open_path(name, flags) as descriptor, open_sink(descriptor) as sink:
        yield Log(sink)
