"""Where a subscriber's segments go.

An output takes bytes as they come. A new one is one file, and one line in
`open_output`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from trickle_cli.outputs.beside import is_replaceable, written_beside
from trickle_cli.outputs.file import open_file
from trickle_cli.outputs.log import open_log
from trickle_cli.outputs.stdout import open_stdout


class Output(Protocol):
    """Somewhere to write to. Raises OSError if that fails, BrokenPipeError if
    nobody reads there any more."""

    async def write(self, data: bytes) -> None:
        """Write all of `data`, and leave none of it in a buffer of ours."""

    async def reader_gone(self) -> None:
        """Wait until nobody reads there any more: for ever, if that cannot be."""


@asynccontextmanager
async def open_output(name: str | None) -> AsyncIterator[Output]:
    """The file called `name`; standard output for None and "-". OSError."""
    opening = open_stdout() if name in {None, "-"} else open_file(str(name))
    async with opening as output:
        yield output


__all__ = [
    "Output",
    "is_replaceable",
    "open_file",
    "open_log",
    "open_output",
    "open_stdout",
    "written_beside",
]
