"""The log of one channel: a row of files, only ever appended to.

Each begins with the state of the channel, so that any of them can go when the segments
in it have left the window. What could not be written is cut off again at once.
"""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from trickle_cli.errors import StorageFailed
from trickle_cli.relay.reading import Reading, StoredSegment, file_name
from trickle_cli.relay.records import Flag, Kind, State, encode

_log = logging.getLogger(__name__)

#: A file of a log is followed by another when it has so many bytes.
FILE_SIZE: Final = 8 * 1024 * 1024
#: Linux takes at most so many buffers in one writev (IOV_MAX).
_MAX_BUFFERS: Final = 1024
#: What the name of a file ends with that is only just begun.
_UNFINISHED: Final = ".new"


class Sync(enum.Enum):
    """When what is written is brought to the disk itself, so that it outlasts not only
    the server but the machine."""

    NONE = "none"  # when the system sees fit
    SEGMENT = "segment"  # before a segment is acknowledged
    ALWAYS = "always"  # before any byte is


class Log:
    """The log of one channel, in `directory`. Every method that writes raises
    StorageFailed, and then has written nothing."""

    def __init__(self, directory: Path, sync: Sync) -> None:
        self.sync = sync
        self._written = self._flushed = 0  # records; the latter on the disk itself
        self._directory = directory
        self._first = 1  # the number of the oldest file, and of the one written to
        self._number = 0
        self._size = 0
        self._descriptor = -1
        self._is_spoiled = False  # the file ends with something that is no record
        self._has_lost = False  # something written did not get to the disk itself
        self._owner = ""  # what it tells of the channel's
        self._live: dict[int, int] = {}  # for each file, how many segments begin there
        self._used = False
        self._fails = False  # the last write came to nothing

    @property
    def is_dirty(self) -> bool:
        """Whether something is not on the disk itself yet."""
        return self._written > self._flushed

    @property
    def file(self) -> int:
        """The number of the file that is written to."""
        return self._number

    def begin(self, state: State) -> None:
        """Begin the log, or another file of it, with `state`."""
        self._begin(state, b"")

    def restart(
        self,
        state: State,
        chunks: Sequence[bytes],
        *,
        last: bool,
        incomplete: bool = False,
    ) -> None:
        """Begin another file with `state`, and with `chunks`, which are the first bytes
        of the segment at its head: what was before goes once there is room for that."""
        flags = Flag.FIRST | last * Flag.LAST | incomplete * Flag.INCOMPLETE
        head, _ = encode(Kind.DATA, chunks, flags=flags, seq=state.head)
        self._begin(state, b"".join([head, *chunks]))
        self._live[self._number] = 1

    def _begin(self, state: State, rest: bytes) -> None:
        number = self._number + 1
        path = self._directory / file_name(number)
        beside = path.with_suffix(_UNFINISHED)  # which nobody reads
        try:
            self._directory.mkdir(exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(beside, flags, 0o600)
        except OSError as error:
            raise self._failure(error) from error
        payload = state.encode()
        head, size = encode(Kind.STATE, [payload])
        try:
            _write(descriptor, [head, payload, rest])
            if self.sync is not Sync.NONE:
                os.fsync(descriptor)
            beside.rename(path)
            if self.sync is not Sync.NONE:
                _sync_directory(self._directory)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(descriptor, 0)  # whatever it is called, it tells nothing
            os.close(descriptor)
            for name in (beside, path):
                with suppress(OSError):
                    name.unlink()
            raise self._failure(error) from error
        self._rest()
        self._descriptor, self._number = descriptor, number
        self._size = size + len(rest)
        self._is_spoiled = False
        self._owner = state.owner
        self._remove_unused()

    def go_on(self, found: Reading) -> None:
        """Go on with a log as it was found."""
        self._first, self._number = found.first, found.last
        self._size = found.last_size
        for segment in found.segments.values():
            self._live[segment.file] = self._live.get(segment.file, 0) + 1
        try:
            self._open()
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise self._failure(error) from error
        assert found.state is not None
        self._owner = found.state.owner
        if not found.last_has_state:  # or the channel would go with the file before
            self.state(found.state)

    def rewrite(self, segments: Iterable[StoredSegment], *, closed: bool) -> None:
        """Store `segments` again."""
        for segment in segments:
            segment.file = self._number
            self.data(
                segment.seq,
                segment.chunks,
                0,
                first=True,
                last=segment.ended,
                incomplete=segment.incomplete,
            )
        if closed:
            self.close_channel()

    def is_full(self) -> bool:
        """Whether another file is due: `begin` it."""
        return self._size >= FILE_SIZE or self._is_spoiled

    @property
    def owner(self) -> str:
        """What it tells of the channel's owner."""
        return self._owner

    def state(self, state: State) -> None:
        """The state has changed."""
        payload = state.encode()
        self._append(encode(Kind.STATE, [payload]), [payload])
        self._owner = state.owner

    def data(
        self,
        seq: int,
        chunks: Sequence[bytes],
        offset: int,
        *,
        first: bool,
        last: bool,
        incomplete: bool = False,
    ) -> None:
        """`chunks` are the bytes of segment `seq` from `offset` on."""
        flags = first * Flag.FIRST | last * Flag.LAST | incomplete * Flag.INCOMPLETE
        head = encode(Kind.DATA, chunks, flags=flags, seq=seq, offset=offset)
        self._append(head, chunks)
        if first:
            self._live[self._number] = self._live.get(self._number, 0) + 1

    def close_channel(self) -> None:
        """The channel has ended."""
        self._append(encode(Kind.CLOSE), ())

    def _append(self, head: tuple[bytes, int], chunks: Sequence[bytes]) -> None:
        header, size = head
        try:
            if self._descriptor < 0:
                self._open()
            _write(self._descriptor, [header, *chunks])
        except OSError as error:
            self._cut_off()
            raise self._failure(error) from error
        if self._fails:
            self._fails = False
            _log.warning("%s: it can be written to again", self._directory)
        self._size += size
        self._written += 1
        self._used = True

    def _open(self) -> None:
        path = self._directory / file_name(self._number)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags)

    def _cut_off(self) -> None:
        """Take back what was written of a record."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._is_spoiled = True

    def _failure(self, error: OSError) -> StorageFailed:
        if not self._fails:
            self._fails = True
            reason = (error.strerror or "").lower()
            text = "%s: %s; what is published there is refused"
            _log.error(text, self._directory, reason)
        return StorageFailed(f"cannot store it: {(error.strerror or '').lower()}")

    def forget(self, file: int) -> None:
        """A segment that begins in `file` has left the window: remove the files that
        nothing is left in."""
        live = self._live
        if file not in live:
            return  # its beginning could not be stored
        live[file] -= 1
        if not live[file]:
            del live[file]
            self._remove_unused()

    def _remove_unused(self) -> None:
        """Remove the files before the first in which there is anything."""
        keep = min([self._number, *self._live])
        for number in range(self._first, keep):
            with suppress(OSError):
                (self._directory / file_name(number)).unlink()
        self._first = max(self._first, keep)

    async def flush(self) -> None:
        """Bring to the disk itself what was written. StorageFailed."""
        if not self.is_dirty:
            return
        if self._has_lost:
            raise StorageFailed("cannot store it: the disk has lost what was written")
        number, written = self._number, self._written
        try:
            if self._descriptor < 0:
                self._open()
            descriptor = os.dup(self._descriptor)
        except OSError as error:
            raise self._failure(error) from error
        try:
            with trio.CancelScope(shield=True):  # a disk that hangs hangs everything
                await trio.to_thread.run_sync(os.fdatasync, descriptor)
        except OSError as error:
            # What the system has dropped, it does not tell of again: nothing is
            # acknowledged any more, and the file is not gone on with.
            self._has_lost = True
            self._is_spoiled = self._is_spoiled or number == self._number
            raise self._failure(error) from error
        finally:
            os.close(descriptor)
        self._flushed = max(self._flushed, written)

    def rest(self) -> None:
        """Give the descriptor back if nothing was written since the last call."""
        if not self._used:
            self._rest()
        self._used = False

    def _rest(self) -> None:
        if self._descriptor >= 0:
            if self.is_dirty and self.sync is not Sync.NONE:
                try:
                    os.fdatasync(self._descriptor)
                    self._flushed = self._written
                except OSError:
                    self._has_lost = True
            os.close(self._descriptor)
            self._descriptor = -1

    def close(self) -> None:
        """Leave the log as it is."""
        self._rest()

    def remove(self) -> None:
        """The channel is gone for good."""
        self._rest()
        remove_files(self._directory)


def remove_files(directory: Path) -> None:
    """Remove a log, the newest file last: that one knows whether the channel is
    closed."""
    with suppress(OSError):
        for path in sorted(directory.iterdir()):
            path.unlink()
        directory.rmdir()


def _write(descriptor: int, buffers: list[bytes]) -> None:
    """Write all of `buffers`, or raise OSError."""
    if len(buffers) > _MAX_BUFFERS:
        buffers = [b"".join(buffers)]
    left = sum(map(len, buffers)) - os.writev(descriptor, buffers)
    if left:
        data = b"".join(buffers)
        while left:
            left -= os.write(descriptor, data[-left:])


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
