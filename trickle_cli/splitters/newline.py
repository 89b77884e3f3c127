"""A segment may end after a newline."""

from __future__ import annotations


class Newline:
    """The place after each b"\\n"."""

    def first(self, data: bytes, start: int) -> int:
        place = data.find(b"\n", start)
        return place + 1 if place >= 0 else -1

    def last(self, data: bytes, start: int, end: int) -> int:
        place = data.rfind(b"\n", start, end)
        return place + 1 if place >= 0 else -1
