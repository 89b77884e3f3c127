"""A segment: bytes that only ever grow, and the readers of them.

The heart of the relay. A segment is a list of chunks; each reader has a cursor.

- A reader whose cursor is at the end is *live*. `append` hands new bytes to every
  live reader itself (`Reader.push`), without waking a task: for a socket that is
  one non-blocking send.
- A reader that could not take all of them is *late*. It has left the live set, it
  knows its cursor, and it is woken (`Reader.wake`) to pull what it misses, many
  chunks at a time, until it is at the end and goes live again. It costs a cursor,
  never a copy of the data.
- A reader that can never be pushed to (a local one, one behind TLS) refuses each
  push, and so is always late: one mechanism serves both kinds.

A cursor is (index of a chunk, offset in it). Small appends grow the last chunk
instead of starting another, or a segment written byte by byte would cost forty
times its size; a cursor at the end is therefore always written as "all of the
last chunk", never as "before the next", and stays true when the chunk grows.

The push to thousands must not stall everyone else, so `append` serves the first
`PUSH_BATCH` readers and returns the others, which are late by then; `push_on`
advances those, giving way to other tasks after every batch. The rejected
alternative, waking a task for each reader and append, costs three times as much.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence, Set as AbstractSet
from typing import Any, Final

import trio

#: Readers pushed to before other tasks get their turn: some 6 ms of short segments.
#: What comes after that costs half as much again for each reader.
PUSH_BATCH: Final = 512
#: Appends are merged into chunks of up to this many bytes.
SMALL_CHUNK: Final = 4096


class Stage(enum.Enum):
    """Where a segment is in its life. It moves forward only."""

    WAITING = "waiting"  # readers or publishers are here, no byte is
    OPEN = "open"
    ENDED = "ended"


class Piece:
    """One append, as it is handed to the live readers.

    `chunks` of `size` bytes together; `index` and `offset` say where in the
    segment they begin. `ended` tells that the segment is complete with it (there
    may be no chunks then). Readers in the same state send the same bytes, and
    keep them in `renderings` for each other.
    """

    __slots__ = ("chunks", "ended", "index", "offset", "renderings", "size")

    def __init__(
        self,
        chunks: Sequence[bytes],
        size: int,
        index: int,
        offset: int,
        ended: bool,  # noqa: FBT001
    ) -> None:
        self.chunks = chunks
        self.size = size
        self.index = index
        self.offset = offset
        self.ended = ended
        self.renderings: dict[object, Any] = {}


class Tally:
    """Counts the readers on all segments of a channel. Many clients ask for the next
    segment while they read one: those that say who they are count once in `people`."""

    __slots__ = ("_labels", "_more", "readers")

    def __init__(self) -> None:
        self.readers = 0
        self._labels: dict[bytes, int] = {}
        self._more = 0  # readers of a label that is there already

    @property
    def people(self) -> int:
        """How many there are, as far as they can be told apart."""
        return self.readers - self._more

    def add(self, reader: Reader) -> None:
        """One more."""
        self.readers += 1
        label = reader.label
        if label:
            count = self._labels.get(label, 0)
            self._labels[label] = count + 1
            self._more += count > 0

    def remove(self, reader: Reader) -> None:
        """One less."""
        self.readers -= 1
        label = reader.label
        if label:
            count = self._labels[label] - 1
            if count:
                self._labels[label] = count
                self._more -= 1
            else:
                del self._labels[label]


class Reader(ABC):
    """A reading end of a segment: a cursor, and the way to its owner.

    Subclasses carry the bytes on. `label` is what whoever reads calls itself, b"" if it
    does not say · `segment` is None when it is attached to none;
    `late` tells that it must pull, `cut` that what it has not got is not held any more.
    All are the segment's to set.
    """

    __slots__ = ("cut", "index", "label", "late", "offset", "segment")

    def __init__(self, label: bytes = b"") -> None:
        self.label = label
        self.segment: Segment | None = None
        self.late = self.cut = False
        self.index = 0
        self.offset = 0

    @abstractmethod
    def push(self, piece: Piece) -> bool:
        """Carry `piece` on at once, without blocking. Called when live.

        True: all of it was taken. False: the reader is late now, and has put its
        cursor on the first byte it did not take.
        """

    @abstractmethod
    def advance(self) -> bool:
        """Carry on what lies after the cursor, as far as goes without blocking.

        True: it is at the end. Called when late, by the task that appends.
        """

    @abstractmethod
    def wake(self) -> None:
        """Let the owner's task look: the reader is late, or its segment ended."""

    @abstractmethod
    def release(self, instead: Segment | None) -> None:
        """The awaited segment will not come: read `instead`, or, if None, the
        channel has ended. The reader is attached to nothing when this is called.
        """

    def start_at(self, index: int, offset: int) -> None:
        """Put the cursor there."""
        self.index, self.offset = index, offset

    def available(self, limit: int) -> tuple[list[bytes | memoryview], int]:
        """Views of the bytes after the cursor, at most `limit`, and their sum."""
        assert self.segment is not None
        return self.segment.read(self.index, self.offset, limit)

    def move(self, count: int) -> None:
        """Put the cursor `count` bytes further; as many have been available."""
        assert self.segment is not None
        self.index, self.offset = self.segment.step(self.index, self.offset, count)


class Segment:
    """An ordered run of bytes with a `seq`, and those who read it.

    `incomplete`: it ended before its publisher said so. `cut`: those who read
    its end must see that, their answers are broken off. `writers` counts the
    publications on it, `dropped` the bytes at its beginning that are not held any more;
    `file` is where the channel's log has it, `owner` what its publisher is known by;
    `touched` is when (clock of the hub) it was last written, ended, left by its last
    writer or, if it has not begun, passed by the head.
    """

    __slots__ = (
        "_chunks",
        "_late",
        "_live",
        "_tally",
        "cut",
        "dropped",
        "file",
        "incomplete",
        "owner",
        "seq",
        "size",
        "stage",
        "touched",
        "writers",
    )

    def __init__(self, seq: int, tally: Tally) -> None:
        self.seq = seq
        self.stage = Stage.WAITING
        self.size = 0
        self.dropped = 0
        self.file = 0
        self.incomplete = False
        self.cut = False
        self.owner = b""
        self.writers = 0
        self.touched = 0.0
        self._tally = tally
        self._chunks: list[bytes] = []
        self._live: AbstractSet[Reader] = _NOBODY
        self._late: AbstractSet[Reader] = _NOBODY

    @property
    def has_begun(self) -> bool:
        return self.stage is not Stage.WAITING

    @property
    def ended(self) -> bool:
        return self.stage is Stage.ENDED

    @property
    def readers(self) -> int:
        """How many are attached, live and late."""
        return len(self._live) + len(self._late)

    @property
    def held(self) -> int:
        """How many of its bytes are held."""
        return self.size - self.dropped

    # The reading ends.

    def attach(self, reader: Reader) -> None:
        """Start `reader` at the first byte: live if there is none, late if so."""
        reader.segment = self
        reader.start_at(0, 0)
        self._tally.add(reader)
        reader.late = self.stage is not Stage.WAITING
        if reader.late:
            self._late = _with(self._late, reader)
        else:
            self._live = _with(self._live, reader)

    def go_live(self, reader: Reader) -> None:
        """`reader` has everything there is: push to it from now on."""
        reader.late = False
        self._late = _without(self._late, reader)
        self._live = _with(self._live, reader)

    def _fall_behind(self, reader: Reader) -> None:
        reader.late = True
        self._live = _without(self._live, reader)
        self._late = _with(self._late, reader)

    def detach(self, reader: Reader) -> None:
        """`reader` is gone. Harmless if it has been detached already."""
        if reader.segment is self:
            reader.segment = None
            if reader.late:
                self._late = _without(self._late, reader)
            else:
                self._live = _without(self._live, reader)
            self._tally.remove(reader)

    def read(
        self, index: int, offset: int, limit: int
    ) -> tuple[list[bytes | memoryview], int]:
        """Views of the bytes from the cursor on, at most `limit`, and their sum."""
        views: list[bytes | memoryview] = []
        left = limit
        chunks = self._chunks
        while left > 0 and index < len(chunks):
            view: bytes | memoryview = chunks[index]
            if offset or len(view) > left:
                view = memoryview(view)[offset : offset + left]
            if len(view):
                views.append(view)
                left -= len(view)
            index, offset = index + 1, 0
        return views, limit - left

    def step(self, index: int, offset: int, count: int) -> tuple[int, int]:
        """The cursor that is `count` bytes after the given one."""
        chunks = self._chunks
        offset += count
        while index < len(chunks) - 1 and offset >= len(chunks[index]):
            offset -= len(chunks[index])
            index += 1
        return index, offset

    def cursor_at(self, position: int) -> tuple[int, int]:
        """The cursor before which there are `position` bytes, or as many as were
        dropped."""
        return self.step(0, 0, max(0, position - self.dropped))

    def position(self, index: int, offset: int) -> int:
        """How many bytes lie before the cursor."""
        return self.dropped + sum(map(len, self._chunks[:index])) + offset

    def is_whole_at(self, index: int, offset: int, count: int) -> bool:
        """Whether `count` bytes after the cursor the segment ends, cleanly."""
        if not self.ended or self.cut:
            return False
        index, offset = self.step(index, offset, count)
        last = len(self._chunks) - 1
        return index > last or (index == last and offset >= len(self._chunks[last]))

    def as_piece(self) -> Piece:
        """All of a segment that has ended, as if it had come at once."""
        return Piece(self._chunks, self.size, 0, 0, True)

    # The writing end.

    def append(
        self, chunks: Sequence[bytes], size: int, *, end: bool = False
    ) -> Sequence[Reader]:
        """Add `chunks`, `size` bytes together, and push them to the live readers.
        With `end`, the segment is complete with them; else there is some byte.

        Returns those of them that have not been served yet, because there are
        more than `PUSH_BATCH`: pass them to `push_on`, or to `wake_all` where
        nothing can be awaited.
        """
        index, offset = self._store(chunks)
        self.size += size
        self.stage = Stage.ENDED if end else Stage.OPEN
        live = self._live
        if not live:
            return ()
        piece = Piece(chunks, size, index, offset, end)
        readers: Sequence[Reader] = list(live)
        rest: Sequence[Reader] = ()
        if len(readers) > PUSH_BATCH:
            readers, rest = readers[:PUSH_BATCH], readers[PUSH_BATCH:]
            for reader in rest:
                reader.start_at(index, offset)
                self._fall_behind(reader)
        for reader in readers:
            if not reader.push(piece):
                self._fall_behind(reader)
                reader.wake()
        if end:
            self._let_go()
        return rest

    def _store(self, chunks: Sequence[bytes]) -> tuple[int, int]:
        """Keep `chunks`; the cursor at which they begin."""
        held = self._chunks
        if not held:
            held += chunks
            return 0, 0
        cursor = len(held) - 1, len(held[-1])
        for chunk in chunks:
            if len(held[-1]) + len(chunk) <= SMALL_CHUNK:
                held[-1] += chunk
            else:
                held.append(chunk)
        return cursor

    def restore(self, chunks: Sequence[bytes], *, ended: bool, cut: bool) -> None:
        """Be what was found on disk: with these bytes, and `cut` if incomplete."""
        for chunk in chunks:
            self._store([chunk])
            self.size += len(chunk)
        self.stage = Stage.ENDED if ended else Stage.OPEN
        self.incomplete = self.cut = cut

    def drop_before(self, position: int) -> int:
        """Hold nothing before the byte `position`, about. How many bytes that makes
        free. A reader that is not beyond it is broken off."""
        chunks = self._chunks
        freed, end, last = 0, 0, -1
        for index, chunk in enumerate(chunks[:-1]):
            if not chunk:
                continue
            end = self.dropped + freed + len(chunk)
            if end > position:
                break
            freed += len(chunk)
            last = index
        for reader in list(self._late):
            left = last - reader.index
            if left > 0 or (left == 0 and reader.offset < len(chunks[last])):
                reader.cut = True
                reader.wake()
        for index in range(last + 1):
            chunks[index] = b""  # the cursors of readers stay true
        self.dropped += freed
        return freed

    def break_off(self, *, cut: bool) -> None:
        """End it as incomplete. With `cut`, who reads the end is broken off too;
        without, answers in flight end as if it were whole."""
        self.incomplete = True
        if not cut:
            wake_all(self.append((), 0, end=True))
            return
        self.cut = True
        self.stage = Stage.ENDED
        last = max(0, len(self._chunks) - 1)
        for reader in list(self._live):
            reader.start_at(last, len(self._chunks[last]) if self._chunks else 0)
            self._fall_behind(reader)
        wake_all(self._late)

    def forget(self) -> None:
        """Drop the bytes: whoever still reads them is broken off."""
        self._chunks = []
        self.cut = self.incomplete = True
        self.stage = Stage.ENDED
        for reader in list(self._live):
            self._fall_behind(reader)
        wake_all(self._late)

    def release_all(self, instead: Segment | None) -> None:
        """Send everyone who waits here to `instead` (None: the channel ended)."""
        for reader in self._let_go():
            reader.release(instead)

    def _let_go(self) -> AbstractSet[Reader]:
        """Detach all who are live."""
        readers, self._live = self._live, _NOBODY
        for reader in readers:
            reader.segment = None
            self._tally.remove(reader)
        return readers


# Most segments that a server holds have no readers: those share one empty set.
_NOBODY: Final[frozenset[Reader]] = frozenset()


def _with(readers: AbstractSet[Reader], reader: Reader) -> AbstractSet[Reader]:
    if isinstance(readers, set):
        readers.add(reader)
        return readers
    return {reader}


def _without(readers: AbstractSet[Reader], reader: Reader) -> AbstractSet[Reader]:
    if isinstance(readers, set):
        readers.discard(reader)
    return readers or _NOBODY


def wake_all(readers: Iterable[Reader]) -> None:
    """Let each of `readers` pull in its own task."""
    for reader in list(readers):
        reader.wake()


async def push_on(readers: Sequence[Reader]) -> None:
    """Serve the readers that an `append` returned, batch by batch."""
    while readers:
        await trio.lowlevel.checkpoint()
        batch, readers = readers[:PUSH_BATCH], readers[PUSH_BATCH:]
        for reader in batch:
            if reader.segment is not None and not reader.advance():
                reader.wake()
