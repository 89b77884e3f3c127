"""Files with names that are made: one for each segment, written beside and renamed when
it is complete; or one for each channel."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import trio

from trickle_cli.errors import BadConfiguration
from trickle_cli.outputs.pattern import Pattern
from trickle_cli.outputs.taken import Segment, Taken

#: What the name of a file ends with that is not complete.
PART: Final = ".part"


class SegmentFiles:
    """Files with the names of `pattern`, whose folders are made as they are needed.

    One that is there already is replaced, all at once. Of a segment that breaks off,
    what there is stays under its other name."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern

    def open(self, segment: Segment) -> SegmentFile:
        return SegmentFile(self._pattern.path_of(segment))


class SegmentFile:
    """One of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + PART)
        self._descriptor = _open(self._part, os.O_NOFOLLOW | os.O_TRUNC)

    async def write(self, data: bytes) -> None:
        await _write_all(self._descriptor, data, self._part)

    async def finish(self, taken: Taken) -> Taken:
        await trio.lowlevel.checkpoint()
        self.drop()
        if not taken.complete:
            return replace(taken, file=str(self._part))
        self._part.replace(self._path)
        return replace(taken, file=str(self._path))

    def drop(self) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


class ChannelFiles:
    """A file for each channel, with its segments one behind the other. It is open as
    long as a segment goes there: channels may come and go for days."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._begun: set[Path] = set()

    def open(self, segment: Segment) -> _Appending:
        path = self._pattern.path_of(segment)
        descriptor = _open(path, os.O_APPEND if path in self._begun else os.O_TRUNC)
        self._begun.add(path)
        return _Appending(descriptor, path)


class _Appending:
    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    async def write(self, data: bytes) -> None:
        await _write_all(self._descriptor, data, self._path)

    async def finish(self, taken: Taken) -> Taken:
        return replace(taken, file=str(self._path))

    def drop(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: Path, more_flags: int) -> int:
    """That file, in a folder that is made. BadConfiguration if it cannot be
    called so, which is the fault of one channel, and not of the disk; OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | more_flags
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise BadConfiguration(
            f"--output: {path}: too long for a file's name"
        ) from error


async def _write_all(descriptor: int, data: bytes, path: Path) -> None:
    await trio.lowlevel.checkpoint()
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        error.filename = str(path)
        raise
