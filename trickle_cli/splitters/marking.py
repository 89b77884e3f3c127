"""Cutting what has a form of its own: video, in packets or in boxes.

A format reads the stream, and gives out its bytes with marks between them: here a
segment may end. A mark comes with what the format knows and a splitter does not: how
good a place it is, what the next segment needs in front to be of use by itself, and
the time in the content's own clock, so that two seconds of a file that is read in an
instant are two seconds, too. Whether to cut is decided here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from trickle_cli.errors import BadContent
from trickle_cli.splitters.cut import CUT, Cut, Cutter

#: Bytes after which a segment ends at a place that is not a good one: servers take
#: 32 MiB by default, and content without good places would never end.
LIMIT: Final = 24 * 1024 * 1024


class Place(enum.Enum):
    """How good a place to cut is."""

    BEGINNING = "beginning"  # of what can be used: no place to cut
    MUST = "must"  # cut, whatever was asked for
    GOOD = "good"
    BAD = "bad"  # to be cut only before the segment gets too large


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A place between bytes. `prefix` is what a segment that begins here needs in
    front. `time` is when it is in the content, in seconds. `seconds`: how long segments
    are, if nobody says."""

    place: Place
    prefix: bytes = b""
    time: float | None = None
    seconds: float | None = None


class Format(Protocol):
    """Reads one stream of a format. BadContent if it is none."""

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """`data` with marks, but for what must be held back."""

    def finish(self) -> Iterator[bytes | Mark]:
        """What was held back, for that is all."""

    def rest(self) -> bytes:
        """What was held back, when it is no such format after all."""


class FormatSplitter:
    """Cuts one stream of a format, at marks.

    Args:
        format_: reads it.
        size: bytes after which the next good place is a cut.
        seconds: time after which it is, by the content's clock or ours.
        otherwise: goes on if it is no such stream after all; else BadContent.

    With neither size nor seconds, each good place is a cut.
    """

    def __init__(
        self,
        format_: Format,
        *,
        size: int | None = None,
        seconds: float | None = None,
        otherwise: Cutter | None = None,
    ) -> None:
        self._format = format_
        self._size = size
        self._seconds = seconds
        self._otherwise = otherwise
        self._has_failed = False
        self._held = 0  # bytes of the present segment
        self._began = 0.0  # when its first byte came
        self._began_at: float | None = None  # and when that is in the content

    @property
    def due(self) -> float | None:
        """Nothing is due before there are bytes: those after a mark are known."""
        if self._has_failed and self._otherwise is not None:
            return self._otherwise.due
        return None

    def feed(self, data: bytes, now: float) -> Iterator[bytes | Cut]:
        """`data`, in pieces, with the cuts between them, but for what the format holds
        back. BadContent."""
        if self._has_failed and self._otherwise is not None:
            return self._otherwise.feed(data, now)
        return self._cut(self._format.feed(data), now)

    def finish(self, now: float) -> Iterator[bytes | Cut]:
        """What was held back. BadContent."""
        if self._has_failed and self._otherwise is not None:
            return self._otherwise.finish(now)
        return self._cut(self._format.finish(), now)

    def _cut(self, items: Iterator[bytes | Mark], now: float) -> Iterator[bytes | Cut]:
        """The pieces between cuts, each joined to one."""
        pieces: list[bytes] = []
        failure = None
        try:
            for item in items:
                if isinstance(item, bytes):
                    self._grow(item, now)
                    pieces.append(item)
                elif self._is_cut(item, now):
                    if pieces:
                        yield _joined(pieces)
                    yield CUT
                    self._held, self._began_at = 0, item.time
                    pieces = [item.prefix] if item.prefix else []
                    self._grow(item.prefix, now)
                elif self._began_at is None:
                    self._began_at = item.time
        except BadContent as error:
            failure = error
        if pieces:
            yield _joined(pieces)
        if failure is not None:
            if self._otherwise is None:
                raise failure
            self._has_failed = True
            yield from self._otherwise.feed(self._format.rest(), now)

    def _grow(self, data: bytes, now: float) -> None:
        if not self._held:
            self._began = now
        self._held += len(data)

    def _is_cut(self, mark: Mark, now: float) -> bool:
        if not self._held or mark.place is Place.BEGINNING:
            return False
        if mark.place is Place.MUST or self._held >= LIMIT:
            return True
        if mark.place is Place.BAD:
            return False
        size, seconds = self._size, self._seconds
        if size is None and seconds is None:
            seconds = mark.seconds
            if seconds is None:
                return True
        if size is not None and self._held >= size:
            return True
        return seconds is not None and self._age(mark, now) >= seconds

    def _age(self, mark: Mark, now: float) -> float:
        age = now - self._began
        if mark.time is None or self._began_at is None:
            return age
        return max(age, mark.time - self._began_at)


def _joined(pieces: list[bytes]) -> bytes:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
