"""Reading a log when the server starts: what is whole, and what is not."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from trickle_cli.relay.records import Flag, Kind, Record, State, decode_state, parse

_log = logging.getLogger(__name__)


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


def file_name(number: int) -> str:
    """What a file of a log is called."""
    return f"{number:08}.log"


class Reading:
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
