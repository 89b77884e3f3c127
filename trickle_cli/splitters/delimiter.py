"""A segment may end after certain bytes: a newline, a NUL, an empty line."""

from __future__ import annotations

from typing import Final, Protocol


class Boundary(Protocol):
    """Places between bytes where a segment may end.

    Whether a place is one depends on up to `reach` bytes before the one that it is
    after, but only on bytes of the same segment, which begins at `begin` or before
    `data`: bytes that have ended one segment are not part of the next one's end.
    """

    @property
    def reach(self) -> int: ...

    def first(self, data: bytes, start: int, begin: int = 0) -> int:
        """The first such place after `start`, as an index into `data`; -1 if
        there is none."""

    def last(self, data: bytes, start: int, end: int, begin: int = 0) -> int:
        """The last such place after `start` and not after `end`; -1 if none."""


class Delimiter:
    """The place after each `delimiter`."""

    def __init__(self, delimiter: bytes) -> None:
        assert delimiter
        self._bytes = delimiter
        self._size = len(delimiter)
        self.reach = self._size - 1

    def first(self, data: bytes, start: int, begin: int = 0) -> int:
        place = data.find(self._bytes, max(start - self.reach, begin))
        return place + self._size if place >= 0 else -1

    def last(self, data: bytes, start: int, end: int, begin: int = 0) -> int:
        place = data.rfind(self._bytes, max(start - self.reach, begin), end)
        return place + self._size if place >= 0 else -1


NEWLINE: Final = Delimiter(b"\n")
