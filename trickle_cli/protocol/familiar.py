"""Requests that differ from the one before in a number, and in their body.

A client asks for segment after segment, and publishes one after another, with the same
head to the byte but for the seq. To have llhttp take it apart again each time, field by
field, and then to find out again what it means, is a good part of what a short segment
costs. So when a read begins where a message begins, its head is held against the last
one that llhttp has accepted, and what that was found to be holds again. Of what follows
such a head, chunks that are plain and whole are recognized. All else goes to llhttp,
which alone decides what is well formed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

HEAD_END: Final = b"\r\n\r\n"
#: With so many digits a number is a seq, whatever they are (see `sequence.MAX_SEQ`).
MAX_DIGITS: Final = 15
_CRLF: Final = b"\r\n"
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")
_SEGMENT: Final = re.compile(rb"(/[A-Za-z0-9._~%/-]*/)[0-9]+")


class Familiar(NamedTuple):
    """A head that was accepted: what is `before` its number, and `after` that to its
    end; `target` is the former without the method. `is_chunked`: a body follows."""

    before: bytes
    after: bytes
    target: bytes
    is_chunked: bool

    @property
    def size(self) -> int:
        """Bytes that a head like this one has at most."""
        return len(self.before) + MAX_DIGITS + len(self.after)

    def find(self, raw: bytes, start: int) -> tuple[bytes, int] | None:
        """The head that begins at `start`, if it is like this one, and whole: its
        target, and where it ends."""
        before, after, target, _ = self
        if not raw.startswith(before, start):
            return None
        start += len(before)
        end = raw.find(after, start, start + MAX_DIGITS + len(after))
        digits = raw[start:end]
        if end < 0 or not digits.isdigit():
            return None
        return target + digits, end + len(after)


def find_chunks(raw: bytes, start: int) -> tuple[list[bytes], int, bool]:
    """The chunks from `start` on, as far as they are plain, and whole: what is in them,
    where they end, and whether they are the last."""
    contents: list[bytes] = []
    while (size := _CHUNK.match(raw, start)) is not None:
        begin = size.end()
        end = begin + int(size[1], 16)
        if not raw.startswith(_CRLF, end):
            break
        start = end + len(_CRLF)
        if end == begin:
            return contents, start, True
        contents.append(raw[begin:end])
    return contents, start, False


def familiar(raw: bytes, method: bytes, target: bytes, *, chunked: bool) -> Familiar:
    """What to know requests by that are like the one at the beginning of `raw`, which
    has been accepted; ValueError if it is not of the kind that comes again."""
    segment = _SEGMENT.fullmatch(target)
    before = method + b" " + target
    if segment is None or not raw.startswith(before + b" HTTP/1.1\r\n"):
        raise ValueError
    end = raw.index(HEAD_END, len(before)) + len(HEAD_END)
    head = segment[1]
    return Familiar(method + b" " + head, raw[len(before) : end], head, chunked)
