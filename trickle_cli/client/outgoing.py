"""Segments on their way to a server: the bytes of them that may not have arrived.

What has been sent is kept until the server says that it has it, so that a connection
that breaks costs nothing: the next one goes on where the server stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

#: Bytes that one piece of a segment sent again has at most, about.
_PIECE: Final = 64 * 1024


class Tally:
    """How many bytes are kept of several segments together."""

    def __init__(self) -> None:
        self.size = 0


class Outgoing:
    """Segment `seq`. `size` is what it has; `start` the first byte of that which is
    still kept; `ended` that there is no more to come; `lost` that it was given up, and
    nothing of it is kept; `abandoned` that it has ended before it was whole. What is
    kept is counted in `tally`, too.
    """

    __slots__ = (
        "_chunks",
        "_keeps",
        "_tally",
        "abandoned",
        "ended",
        "lost",
        "seq",
        "size",
        "start",
    )

    def __init__(self, seq: int, tally: Tally) -> None:
        self.seq = seq
        self.size = 0
        self.start = 0
        self.ended = False
        self.lost = False
        self.abandoned = False
        self._keeps = True
        self._tally = tally
        self._chunks: deque[bytes] = deque()

    @property
    def kept(self) -> int:
        """How many bytes are kept."""
        return self.size - self.start

    def add(self, data: bytes) -> None:
        """More of it."""
        self.size += len(data)
        if self._keeps:
            self._tally.size += len(data)
            self._chunks.append(data)
        else:
            self.start = self.size

    def drop_before(self, position: int) -> None:
        """The server has all bytes before `position`."""
        while self._chunks and self.start + len(self._chunks[0]) <= position:
            size = len(self._chunks.popleft())
            self._tally.size -= size
            self.start += size

    def forget(self) -> None:
        """Keep nothing of it, now or later."""
        self._keeps = False
        self._tally.size -= self.kept
        self._chunks.clear()
        self.start = self.size

    def give_up(self) -> None:
        """The rest cannot arrive any more."""
        self.lost = True
        self.forget()

    def after(self, position: int) -> bytes:
        """Some of the bytes from `position` on, b"" if there are none. `position` is
        not before `start`."""
        pieces: list[bytes] = []
        size = 0
        for data in self._from(position):
            pieces.append(data)
            size += len(data)
            if size >= _PIECE:
                break
        return b"".join(pieces)

    def _from(self, position: int) -> Iterator[bytes]:
        begin = self.start
        for data in self._chunks:
            end = begin + len(data)
            if end > position:
                yield data[max(0, position - begin) :]
            begin = end
