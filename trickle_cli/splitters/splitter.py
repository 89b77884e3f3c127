"""Cutting: bytes in, the same bytes and cuts out.

Bytes are passed on as they come and never held back, so a cut can only be made at
the end of what has been passed on, or within what is at hand. When the size is
reached, the last boundary that keeps the segment below it is taken, if it is at
hand; else the first one after. When the time is up, the cut is made at once if the
segment ends at a boundary, else at the first one to come.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from trickle_cli.splitters.boundary import Boundary


class Cut(enum.Enum):
    """Between the last byte of a segment and the first of the next."""

    CUT = "cut"


CUT: Final = Cut.CUT


class Splitter:
    """Cuts one stream.

    Args:
        boundary: where a cut may be; anywhere if None.
        size: bytes after which one is due.
        seconds: time since a segment's first byte after which one is due.

    `now` is any clock that does not go back, in seconds.
    """

    def __init__(
        self,
        *,
        boundary: Boundary | None = None,
        size: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._boundary = boundary
        self._size = size
        self._seconds = seconds
        self._every = boundary is not None and size is None and seconds is None
        self._held = 0  # bytes of the present segment
        self._at_boundary = False  # whether those end at one
        self._overdue = False  # its time is up, it waits for a boundary
        self._due: float | None = None

    @property
    def due(self) -> float | None:
        """When to call `tick`, if no bytes come before."""
        return self._due

    def tick(self, now: float) -> bool:
        """Whether to cut here, because the time is up."""
        if self._due is None or now < self._due:
            return False
        self._due = None
        if self._boundary is not None and not self._at_boundary:
            self._overdue = True
            return False
        self._start_over()
        return True

    def feed(self, data: bytes, now: float) -> Iterator[bytes | Cut]:
        """All of `data`, in pieces, with the cuts between them."""
        if self.tick(now):
            yield CUT
        start = 0
        while start < len(data):
            end, cut = self._next_cut(data, start)
            if end > start:
                self._grow(data, start, end, now)
                yield data[start:end]
            if cut:
                self._start_over()
                yield CUT
            start = end

    def _next_cut(self, data: bytes, start: int) -> tuple[int, bool]:
        """Where the next piece of `data` ends, and whether there is a cut then."""
        boundary, end = self._boundary, len(data)
        room = end - start + 1 if self._size is None else self._size - self._held
        if boundary is None:
            return (start + room, True) if room <= end - start else (end, False)
        if not (self._every or self._overdue):
            if room > end - start:
                return end, False
            if room > 0:
                place = boundary.last(data, start, start + room)
                if place > start:
                    return place, True
            if self._at_boundary:
                return start, True
        place = boundary.first(data, start)
        return (place, True) if place >= 0 else (end, False)

    def _grow(self, data: bytes, start: int, end: int, now: float) -> None:
        if not self._held and self._seconds is not None:
            self._due = now + self._seconds
        self._held += end - start
        if self._boundary is not None:
            self._at_boundary = self._boundary.last(data, start, end) == end

    def _start_over(self) -> None:
        self._held = 0
        self._at_boundary = self._overdue = False
        self._due = None
