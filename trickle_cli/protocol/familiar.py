"""Requests that differ from one before in their paths alone, and in their bodies.

A client asks for segment after segment, and publishes one after another, with the same
fields to the byte; where it keeps connections for all that it does, on any of them. To
have llhttp take each head apart again, field by field, and then to find out again what
it means, is a good part of what a short segment costs. So when a read begins where a
message begins, its head is held against the last one of its method that llhttp has
accepted, and what that was found to be holds again. Of what follows such a head, chunks
that are plain and whole are recognized. All else goes to llhttp, which alone decides
what is well formed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

HEAD_END: Final = b"\r\n\r\n"
_CRLF: Final = b"\r\n"
# llhttp is quicker where there are many chunks, once it has begun.
_FEW: Final = 4
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")
# With so many digits a number is a seq, whatever they are (see `sequence.MAX_SEQ`).
_LINE: Final = re.compile(
    rb"(GET|POST) (/[A-Za-z0-9._~%/-]{0,1000}/[0-9]{1,15}) HTTP/1\.1\r\n"
)


class Familiar:
    """The heads of a `method` that have the same `fields`, which are `raw` to the end
    of the head. A body follows if it `is_chunked`, or has a `length`. `meaning` is for
    others to keep what they have found out about them."""

    __slots__ = ("fields", "is_chunked", "length", "meaning", "method", "raw")

    def __init__(
        self,
        method: bytes,
        fields: Sequence[tuple[bytes, bytes]],
        raw: bytes,
    ) -> None:
        self.method = method
        self.fields = fields
        self.raw = raw
        self.is_chunked = False
        self.length: int | None = None
        for name, value in fields:  # which have been accepted: there is one of them
            if name == b"transfer-encoding":
                self.is_chunked = True
            elif name == b"content-length":
                self.length = int(value)
        self.meaning: Any = None


def get_to_know(data: bytes, fields: Sequence[tuple[bytes, bytes]]) -> Familiar | None:
    """The kind of head that `data` begins with, which has been accepted and has these
    `fields`; None if it is not one that comes again."""
    line = _LINE.match(data)
    if line is None:
        return None
    end = data.find(HEAD_END, line.end() - len(_CRLF)) + len(HEAD_END)
    if end < line.end():
        return None
    return Familiar(line[1], fields, data[line.end() : end])


def find_head(
    data: bytes | bytearray | memoryview, start: int, known: Mapping[bytes, Familiar]
) -> tuple[Familiar, bytes, int] | None:
    """The head that begins at `start`, if it is one of those `known` by their methods:
    which, its target, and where it ends."""
    line = _LINE.match(data, start)
    if line is None:
        return None
    method, target = line.groups()
    like = known.get(method)
    if like is None:
        return None
    start = line.end()
    end = start + len(like.raw)
    return (like, target, end) if bytes(data[start:end]) == like.raw else None


def find_chunks(
    data: bytes | bytearray | memoryview, start: int
) -> tuple[list[bytes], int, bool]:
    """A few chunks from `start` on, as far as they are plain, and whole: what is in
    them, where they end, and whether that is the end of the body."""
    contents: list[bytes] = []
    while len(contents) < _FEW and (size := _CHUNK.match(data, start)) is not None:
        begin = size.end()
        end = begin + int(size[1], 16)
        if data[end : end + len(_CRLF)] != _CRLF:
            break
        start = end + len(_CRLF)
        if end == begin:
            return contents, start, True
        contents.append(bytes(data[begin:end]))
    return contents, start, False
