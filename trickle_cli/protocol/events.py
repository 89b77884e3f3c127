"""What messages are made of: the events that parsers return, in both directions."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
Field: TypeAlias = tuple[bytes, bytes]

#: Pieces of a body that are larger than this, on average, are not joined: to send
#: them on together costs less than to copy them.
LARGE_PIECE: Final = 8 * 1024


class End(enum.Enum):
    """The end of a message's body."""

    END = "end"


END: Final = End.END


class Malformed(NamedTuple):
    """What was fed breaks the rules: answer with `status`, then close."""

    status: int
    reason: str


class Request(NamedTuple):
    """A request's head. Field names are in lower case, in the order of arrival.

    `has_body`: events of its body follow · `body` is all of it where, instead, it was
    found to be whole together with the head · `like` is what it has in common with
    others that came before, if that was seen.
    """

    method: bytes
    target: bytes
    fields: Sequence[Field]
    http10: bool
    keep_alive: bool
    has_body: bool
    body: bytes | None = None
    like: Likeness | None = None

    def field(self, name: bytes) -> bytes | None:
        """The value of the first field called `name` (lower case)."""
        return find_field(self.fields, name)


class Likeness:
    """What requests have in common with the `request` that they are like: all but the
    path, and the body. `raw` is their head after the first line. A body follows if it
    `is_chunked`, or has a `length`. `meaning` is for others to keep what they have
    found out about such requests, whoever sends them."""

    __slots__ = (
        "fields",
        "is_chunked",
        "keep_alive",
        "length",
        "meaning",
        "method",
        "raw",
    )

    def __init__(self, request: Request, raw: bytes) -> None:
        self.method = request.method
        self.fields = request.fields
        self.keep_alive = request.keep_alive
        self.raw = raw
        self.is_chunked = False
        self.length: int | None = None
        for name, value in self.fields:  # accepted: there is one of them at most
            if name == b"transfer-encoding":
                self.is_chunked = True
            elif name == b"content-length":
                self.length = int(value)
        self.meaning: Any = None

    def request(
        self, target: bytes, body: bytes | None = None, *, has_body: bool = False
    ) -> Request:
        """Such a request for `target`."""
        return Request(
            self.method,
            target,
            self.fields,
            False,
            self.keep_alive,
            has_body,
            body,
            self,
        )


class Response(NamedTuple):
    """A response's head. `until_close`: the body ends with the connection."""

    status: int
    fields: Sequence[Field]
    keep_alive: bool
    until_close: bool

    def field(self, name: bytes) -> bytes | None:
        """The value of the first field called `name` (lower case)."""
        return find_field(self.fields, name)


RequestEvent: TypeAlias = Request | bytes | End | Malformed
ResponseEvent: TypeAlias = Response | bytes | End | Malformed


def find_field(fields: Sequence[Field], name: bytes) -> bytes | None:
    """The value of the first of `fields` called `name` (lower case)."""
    for key, value in fields:
        if key == name:
            return value
    return None


def joined(pieces: list[bytes]) -> list[bytes]:
    """`pieces` of a body; in one, where that costs less than to send on so many."""
    if len(pieces) <= 1 or sum(map(len, pieces)) > LARGE_PIECE * len(pieces):
        return pieces
    return [b"".join(pieces)]
