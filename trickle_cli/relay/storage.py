"""Channels on disk: a log for each, written before anything is told to anybody.

    DIR/lock                        held by the one server that uses the directory
    DIR/channels/NAME/00000001.log  records (see `records`), appended only
    DIR/quarantine/NAME-TIME/       what was damaged, as it was found

`NAME` is the channel's, percent-encoded, or a digest of it if that is too long. A log
is a row of files. Each begins with the state of the channel, so that any of them can go
when the segments in it have left the window. Nothing is ever changed in place: after
`kill -9` a log ends with a record cut off at most, which is dropped, and there its
publisher goes on. What could not be written (a full disk) is cut off again at once.

All segments are in memory, too: the disk is written always, and read at the start.
"""

from __future__ import annotations

import enum
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import trio

from trickle_cli.errors import StorageFailed
from trickle_cli.relay.records import (
    Flag,
    Kind,
    Record,
    State,
    decode_state,
    encode,
    parse,
)

_log = logging.getLogger(__name__)

#: A file of a log is followed by another when it has so many bytes.
FILE_SIZE: Final = 8 * 1024 * 1024
#: The longest name of a directory that is the channel's own, encoded.
_MAX_NAME: Final = 200
#: Linux takes at most so many buffers in one writev (IOV_MAX).
_MAX_BUFFERS: Final = 1024


class Sync(enum.Enum):
    """When what is written is brought to the disk itself, so that it outlasts not only
    the server but the machine."""

    NONE = "none"  # when the system sees fit
    SEGMENT = "segment"  # before a segment is acknowledged
    ALWAYS = "always"  # before any byte is


@dataclass
class StoredSegment:
    """A segment as it was found: `is_sound` if nothing of it is missing. `file` is the
    number of the file in which it begins."""

    seq: int
    owner: bytes
    file: int
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    ended: bool = False
    incomplete: bool = False
    is_sound: bool = True


@dataclass
class StoredChannel:
    """A channel as it was found. `log` goes on with it."""

    state: State
    segments: dict[int, StoredSegment]
    closed: bool
    log: Log


class Store:
    """The data directory `path`, which is made if need be, and is ours until `close`.

    Raises StorageFailed if it cannot be used, or another server does.
    """

    def __init__(self, path: str, sync: Sync = Sync.NONE) -> None:
        self.path = Path(path)
        self.sync = sync
        self._channels = self.path / "channels"
        self._quarantine = self.path / "quarantine"
        self._lock = -1
        try:
            self._channels.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StorageFailed(f"{path}: another server uses this directory") from None
        except OSError as error:
            raise StorageFailed(f"{path}: {error.strerror}") from error

    def close(self) -> None:
        """Let others use the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def create(self, state: State) -> Log:
        """A log for a channel that is new. StorageFailed."""
        log = Log(self._channels / _directory_of(state.name), self.sync)
        log.begin(state)
        return log

    def load(self) -> Iterator[StoredChannel]:
        """The channels that are there. What is damaged is moved away and told of in the
        log of the program; what is whole of it is stored again."""
        try:
            directories = sorted(self._channels.iterdir())
        except OSError as error:
            raise StorageFailed(f"{self._channels}: {error.strerror}") from error
        for directory in directories:
            found = _Reading(directory)
            if found.state is None and not found.damages:
                _remove(directory)  # it was being made, or removed
                continue
            if found.damages and not self._set_aside(found):
                continue
            if found.state is None:
                continue
            log = Log(directory, self.sync)
            try:
                if found.damages:
                    log.begin(found.state)
                    log.rewrite(found.segments.values(), closed=found.closed)
                else:
                    log.go_on(found)
            except StorageFailed as error:
                _log.error("%s; channel '%s' is not served", error, found.state.name)
                continue
            yield StoredChannel(found.state, found.segments, found.closed, log)

    def _set_aside(self, found: _Reading) -> bool:
        """Move what is damaged out of the way. False if that fails."""
        directory = found.directory
        place = self._quarantine / f"{directory.name}-{time.time_ns()}"
        kept = len(found.segments)
        try:
            self._quarantine.mkdir(exist_ok=True)
            directory.rename(place)
        except OSError as error:
            _log.error("%s is damaged and stays unused: %s", directory, error.strerror)
            return False
        name = directory.name if found.state is None else found.state.name
        for damage in found.damages[:_TOLD]:
            _log.error("channel '%s': %s", name, damage)
        lost = ", ".join(map(str, found.lost[:_TOLD]))
        _log.error(
            "channel '%s' was damaged: %d segments are whole%s; the rest is in %s",
            name,
            kept,
            f", lost are {lost}" if lost else "",
            place,
        )
        return True


#: Damages told of at most.
_TOLD: Final = 20


def _directory_of(name: str) -> str:
    encoded = quote(name, safe="")
    if len(encoded) <= _MAX_NAME:
        return encoded
    return "_" + hashlib.sha256(name.encode()).hexdigest()


#: What the name of a file ends with that is only just begun.
_UNFINISHED: Final = ".new"


def _file_name(number: int) -> str:
    return f"{number:08}.log"


def _remove(directory: Path) -> None:
    """Remove a log, the newest file last: that one knows whether the channel is
    closed."""
    with suppress(OSError):
        for path in sorted(directory.iterdir()):
            path.unlink()
        directory.rmdir()


class _Reading:
    """What is found in the log in `directory`. `segments` are those of which nothing
    is missing, `lost` the others; `damages` says in words what is wrong."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state: State | None = None
        self.segments: dict[int, StoredSegment] = {}
        self.closed = False
        self.damages: list[str] = []
        self.lost: list[int] = []
        self.first = 1  # the number of the first file
        self.last = 0  # that of the last, the bytes of it that count, and whether it
        self.last_size = 0  # tells the state of the channel
        self.last_has_state = False
        self._owner = b""
        try:
            paths = sorted(directory.glob("*.log"))
            if not directory.is_dir():
                self.damages.append(f"{directory} is no directory")
        except OSError as error:
            self.damages.append(f"{directory}: {error.strerror}")
            paths = []
        for path in paths:
            self._read(path, is_last=path is paths[-1])
        self._sort_out()

    def _read(self, path: Path, *, is_last: bool) -> None:
        try:
            number, data = int(path.stem), path.read_bytes()
        except ValueError:
            self.damages.append(f"{path.name} is none of ours")
            return
        except OSError as error:
            self.damages.append(f"{path.name}: {error.strerror}")
            return
        self.first = self.first if self.last else number
        self.last, self.last_size, self.last_has_state = number, len(data), False
        for item in parse(data):
            if isinstance(item, Record):
                self._take(item, number, path)
            elif item.is_tail and is_last:
                self.last_size = item.at
                text = "%s: it was cut off; its last %d bytes are no whole record"
                _log.warning(text, path, item.size)
            else:
                self.damages.append(f"{path.name}: no record at byte {item.at}")

    def _take(self, record: Record, file: int, path: Path) -> None:
        if record.payload is None:
            self.damages.append(f"{path.name}: a checksum is wrong")
            if record.kind == Kind.DATA:
                self._segment(record, file).is_sound = False
        elif record.kind == Kind.STATE:
            self._take_state(record.payload, path)
        elif record.kind == Kind.CLOSE:
            self.closed = True
        elif record.kind == Kind.DATA:
            self._add(self._segment(record, file), record)

    def _take_state(self, payload: bytes, path: Path) -> None:
        state = decode_state(payload)
        if state is None:
            self.damages.append(f"{path.name}: the state makes no sense")
            return
        if self.state is not None and state.epoch != self.state.epoch:
            self.segments.clear()
        self.state = state
        self.last_has_state = True
        self._owner = bytes.fromhex(state.owner)

    def _segment(self, record: Record, file: int) -> StoredSegment:
        segment = self.segments.get(record.seq)
        if segment is None:
            segment = StoredSegment(record.seq, self._owner, file)
            segment.is_sound = bool(record.flags & Flag.FIRST)
            self.segments[record.seq] = segment
        return segment

    def _add(self, segment: StoredSegment, record: Record) -> None:
        assert record.payload is not None
        if record.offset != segment.size:
            segment.is_sound = False
        if record.payload:
            segment.chunks.append(record.payload)
        segment.size = record.offset + len(record.payload)
        segment.ended = segment.ended or bool(record.flags & Flag.LAST)
        segment.incomplete = segment.incomplete or bool(record.flags & Flag.INCOMPLETE)

    def _sort_out(self) -> None:
        """Keep what is whole. A segment whose first file has gone was evicted."""
        self.lost = sorted(s.seq for s in self.segments.values() if not s.is_sound)
        if self.lost and not self.damages:
            # Its beginning was in a file that went when it left the window.
            self.lost = []
        self.segments = {
            seq: segment
            for seq, segment in sorted(self.segments.items())
            if segment.is_sound
        }
        if self.state is None and self.segments:
            self.damages.append("there is no state of the channel")
            self.segments = {}


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
        path = self._directory / _file_name(number)
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

    def go_on(self, found: _Reading) -> None:
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
        path = self._directory / _file_name(self._number)
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
                (self._directory / _file_name(number)).unlink()
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
        _remove(self._directory)


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
