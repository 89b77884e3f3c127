"""Cutting where something can be searched for, or anywhere.

Bytes are passed on as they come and never held back, so a cut can only be made at
the end of what has been passed on, or within what is at hand. When the size is
reached, the last boundary that keeps the segment below it is taken, if it is at
hand; else the first one after. When the time is up, the cut is made at once if the
segment ends at a boundary, else at the first one to come.
"""

from __future__ import annotations

from collections.abc import Iterator

from trickle_cli.splitters.cut import CUT, Cut
from trickle_cli.splitters.delimiter import Boundary


class Splitter:
    """Cuts one stream.

    Args:
        boundary: where a cut may be; anywhere if None.
        every: boundaries of a segment after which one is due.
        size: bytes after which one is due.
        seconds: time since a segment's first byte after which one is due.

    With a boundary and none of the others, each boundary is a cut.
    """

    def __init__(
        self,
        *,
        boundary: Boundary | None = None,
        every: int | None = None,
        size: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._boundary = boundary
        self._reach = 0 if boundary is None else boundary.reach
        self._size = size
        self._seconds = seconds
        self._every = every
        if boundary is not None and every is None and size is None and seconds is None:
            self._every = 1
        self._tail = b""  # what the boundary must see of what was passed on
        self._held = 0  # bytes of the present segment
        self._passed = 0  # boundaries in it
        self._at_boundary = False  # whether it ends at one by now
        self._overdue = False  # its time is up, it waits for a boundary
        self._due: float | None = None

    @property
    def due(self) -> float | None:
        """When to call `tick` or `feed`, if no bytes come before."""
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
        start, begin = len(self._tail), 0  # the segment's first byte at hand
        data = self._tail + data if start else data
        while start < len(data):
            end, cut = self._next_cut(data, start, begin)
            piece = data[start:end]
            if cut:
                begin = end
                self._start_over()
            else:
                self._grow(data, start, begin, now)
            if piece:
                yield piece
            if cut:
                yield CUT
            start = end
        if self._reach:
            self._tail = data[max(begin, len(data) - self._reach) :]

    def finish(self, now: float) -> Iterator[bytes | Cut]:  # noqa: ARG002
        """Nothing: none of it was held back."""
        yield from ()

    def _next_cut(self, data: bytes, start: int, begin: int) -> tuple[int, bool]:
        """Where the next piece of `data` ends, and whether there is a cut then. All is
        one piece if there is none."""
        boundary, end = self._boundary, len(data)
        if boundary is not None and (self._every == 1 or self._overdue):
            place = boundary.first(data, start, begin)
            return (place, True) if place >= 0 else (end, False)
        room = end - start + 1 if self._size is None else self._size - self._held
        if boundary is None:
            return (start + room, True) if room <= end - start else (end, False)
        if self._every is not None:
            place = self._nth(boundary, data, start, begin)
            if 0 <= place <= start + room:
                return place, True
        if room > end - start:
            return end, False
        if room > 0:
            place = boundary.last(data, start, start + room, begin)
            if place > start:
                return place, True
        if self._at_boundary:
            return start, True
        place = boundary.first(data, start, begin)
        return (place, True) if place >= 0 else (end, False)

    def _nth(self, boundary: Boundary, data: bytes, start: int, begin: int) -> int:
        """The place of the boundary that makes the segment full; -1 if none."""
        assert self._every is not None
        place = start
        for _ in range(self._every - self._passed):
            place = boundary.first(data, place, begin)
            if place < 0:
                break
        return place

    def _grow(self, data: bytes, start: int, begin: int, now: float) -> None:
        """The segment goes on to the end of `data`."""
        if not self._held and self._seconds is not None:
            self._due = now + self._seconds
        self._held += len(data) - start
        if self._boundary is None:
            return
        last = self._boundary.last(data, start, len(data), begin)
        self._at_boundary = last == len(data)
        if self._every is not None and last >= 0:
            place = start
            while (place := self._boundary.first(data, place, begin)) >= 0:
                self._passed += 1

    def _start_over(self) -> None:
        self._tail = b""
        self._held = self._passed = 0
        self._at_boundary = self._overdue = False
        self._due = None
