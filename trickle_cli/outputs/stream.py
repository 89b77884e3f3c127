"""Segments one behind the other, to one place."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import IO, Final, Protocol

import trio

from trickle_cli.errors import PayloadTooLarge
from trickle_cli.outputs.taken import Line, Segment, Taken

#: Bytes of a segment that are kept in memory for a line about it.
MAX_PAYLOAD: Final = 64 * 1024 * 1024
_PIECE: Final = 1024 * 1024
#: Bytes of a segment that waits for its turn, beyond which it does so on disk.
_IN_MEMORY: Final = 256 * 1024


class Place(Protocol):
    """What takes bytes: see `outputs.Output`."""

    async def write(self, data: bytes) -> None:
        """Write all of `data`."""


class Stream:
    """The bytes of segments, as they come. If there are `several` channels, each
    segment waits until it has ended, so that no two are mixed."""

    def __init__(self, place: Place, *, several: bool) -> None:
        self._place = place
        self._turn = trio.Lock() if several else None

    def open(self, segment: Segment) -> _Passing | _Waiting:  # noqa: ARG002
        if self._turn is None:
            return _Passing(self._place)
        return _Waiting(self._place, self._turn)


class _Passing:
    def __init__(self, place: Place) -> None:
        self._place = place

    async def write(self, data: bytes) -> None:
        await self._place.write(data)

    async def finish(self, taken: Taken) -> Taken:
        return taken

    def drop(self) -> None:
        pass


class _Waiting:
    def __init__(self, place: Place, turn: trio.Lock) -> None:
        self._place = place
        self._turn = turn
        self._content: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._content.write(data)

    async def finish(self, taken: Taken) -> Taken:
        async with self._turn:
            self._content.seek(0)
            while data := self._content.read(_PIECE):
                await self._place.write(data)
        self.drop()
        return taken

    def drop(self) -> None:
        self._content.close()


class Lines:
    """A line about each segment when it has ended."""

    def __init__(self, place: Place, line: Line) -> None:
        self._place = place
        self._line = line
        self._turn = trio.Lock()

    def open(self, segment: Segment) -> _Telling:
        return _Telling(self, segment, keeps=self._line.wants_payload)

    async def tell(self, taken: Taken) -> None:
        """Write the line about it."""
        async with self._turn:
            await self._place.write(self._line.of(taken))


class _Telling:
    def __init__(self, lines: Lines, segment: Segment, *, keeps: bool) -> None:
        self._lines = lines
        self._segment = segment
        self._keeps = keeps
        self._size = 0
        self._chunks: list[bytes] = []

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._keeps:
            self._size += len(data)
            if self._size > MAX_PAYLOAD:
                raise PayloadTooLarge(self._segment.seq, MAX_PAYLOAD)
            self._chunks.append(data)

    async def finish(self, taken: Taken) -> Taken:
        payload = b"".join(self._chunks)
        await self._lines.tell(replace(taken, payload=payload))
        return taken

    def drop(self) -> None:
        self._chunks.clear()
