"""Requests that differ from one before in their paths alone, and in their bodies.

A client asks for segment after segment, and publishes one after another, with the same
fields to the byte, on one connection or on many; and many clients are alike. To have
llhttp take each head apart again, field by field, and then to find out again what it
means, is a good part of what a short segment costs. So when a read begins where a
message begins, its head is held against those that llhttp has accepted, and what such a
one was found to be holds again. Of what follows such a head, chunks that are plain and
whole are recognized. All else goes to llhttp, which alone decides what is well formed.
"""

from __future__ import annotations

import re
from typing import Final

from trickle_cli.protocol.events import (
    END,
    Buffer,
    Likeness,
    Request,
    RequestEvent,
    joined,
)

_HEAD_END: Final = b"\r\n\r\n"
_CRLF: Final = b"\r\n"
# llhttp is quicker where there are many chunks, once it has begun.
_FEW: Final = 4
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")
# With so many digits a number is a seq, whatever they are (see `sequence.MAX_SEQ`).
_LINE: Final = re.compile(
    rb"(GET|POST) (/[A-Za-z0-9._~%/-]{0,1000}/[0-9]{1,15}) HTTP/1\.1\r\n"
)
#: Heads that all connections of a server share, and the bytes that one may have: they
#: come from anybody.
MAX_KNOWN: Final = 128
MAX_HEAD: Final = 4096


class Familiar:
    """The heads that were accepted last, on any of the connections of a server. All of
    these have the same limits, and what is kept with a head holds for all of them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Likeness] = {}

    def get(self, method: bytes, raw: bytes) -> Likeness | None:
        """What requests of `method` are like whose head goes on with `raw`."""
        return self._known.get((method, raw))

    def learn(self, request: Request, raw: bytes) -> Likeness:
        """Know, for a while, what requests are like whose head goes on as that of this
        one."""
        like = self.get(request.method, raw)
        if like is None:
            if len(self._known) == MAX_KNOWN:
                del self._known[next(iter(self._known))]
            like = self._known[request.method, raw] = Likeness(request, raw)
        return like


class Recognizer:
    """Knows the requests of one connection, and those that are `familiar`. `limit` is
    how many bytes a head may have that no limit forbids. It is asked where a message
    may begin, or in the body of one that it has begun with; llhttp is not to have had a
    part of that. What it took last may have `has_ended` the connection."""

    __slots__ = ("_familiar", "_last", "_longest", "_unseen", "has_ended")

    def __init__(self, limit: int, familiar: Familiar) -> None:
        self._longest = min(limit, MAX_HEAD)
        self._familiar = familiar
        self._last: Likeness | None = None  # most come again at once
        self._unseen = b""  # the head of the message that we are in
        self.has_ended = False

    def get_to_know(self, data: Buffer, request: Request) -> None:
        """Know heads like that of `request`, with which `data` begins, and which has
        been accepted, if it is of the kind that comes again."""
        data = bytes(data[: self._longest])
        line = _LINE.match(data)
        if line is None:
            return
        start = line.end()
        end = data.find(_HEAD_END, start - len(_CRLF)) + len(_HEAD_END)
        if end >= start:
            self._last = self._familiar.learn(request, data[start:end])

    def hand_over(self) -> bytes:
        """The head of the message that we are in, b"" if we are in none: it is for
        llhttp to go on with."""
        head, self._unseen = self._unseen, b""
        return head

    def take(self, data: Buffer) -> tuple[list[RequestEvent], int]:
        """What `data` begins with that is known: heads, and plain chunks of bodies. Its
        events, and how many bytes it has."""
        events: list[RequestEvent] = []
        end = 0
        if self._unseen:
            end = self._took(*_find_chunks(data, 0), events)
        while end < len(data) and not (self._unseen or self.has_ended):
            start = end
            end = self._begin(data, start, events)
            if end == start:
                break
        return events, end

    def _begin(self, data: Buffer, start: int, events: list[RequestEvent]) -> int:
        """Take the message that begins at `start`; returns where what is known of it
        ends, `start` if it is not known at all."""
        line = _LINE.match(data, start)
        if line is None:
            return start
        method, target = line.groups()
        end = line.end()
        like = self._last
        if (
            like is None
            or like.method != method
            or bytes(data[end : end + len(like.raw)]) != like.raw
        ):
            like = self._recall(data, method, end)
            if like is None:
                return start
        end += len(like.raw)
        if end - start > self._longest:
            return start
        body = None
        if like.length is not None:
            head_end, end = end, end + like.length
            if end > len(data):
                return start  # one would have to count what is still to come
            body = bytes(data[head_end:end])
        elif like.is_chunked:
            pieces, body_end, is_over = _find_chunks(data, end)
            if not is_over or len(pieces) > 1:
                events.append(like.request(target, has_body=True))
                self._unseen = bytes(data[start:end])
                return self._took(pieces, body_end, is_over, events)
            body, end = pieces[0] if pieces else b"", body_end
        events.append(like.request(target, body))
        self.has_ended = not like.keep_alive
        return end

    def _recall(self, data: Buffer, method: bytes, start: int) -> Likeness | None:
        """What a head of `method` is like that goes on in `data` at `start`, if others
        have sent such."""
        text = bytes(data[start - len(_CRLF) : start + self._longest])
        end = text.find(_HEAD_END) + len(_HEAD_END)
        like = self._familiar.get(method, text[len(_CRLF) : end])
        if like is not None:
            self._last = like
        return like

    def _took(
        self,
        pieces: list[bytes],
        end: int,
        is_over: bool,  # noqa: FBT001
        events: list[RequestEvent],
    ) -> int:
        """`pieces` of the body that we are in have come; returns their `end`."""
        events += joined(pieces)
        if is_over:
            events.append(END)
            self._unseen = b""
        return end


def _find_chunks(data: Buffer, start: int) -> tuple[list[bytes], int, bool]:
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
