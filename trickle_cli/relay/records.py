"""What a log consists of, as bytes: records, each with checksums of its own.

A record is a header and a payload. The header has a checksum of itself, so that its
length can be trusted, and one of the payload. Each record of data says where in its
segment it belongs. So a log that was cut off or damaged anywhere can be read: what is
whole is found again, and it is known of which segments something is missing.
"""

from __future__ import annotations

import enum
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from struct import Struct
from typing import Final, NamedTuple

_MAGIC: Final = b"Trk1"
# magic, kind, flags, seq, offset, length, checksum of the payload
_FIELDS: Final = Struct("<4sBBQQII")
_CHECKSUM: Final = Struct("<I")
HEADER_SIZE: Final = _FIELDS.size + _CHECKSUM.size


class Kind(enum.IntEnum):
    """What a record tells."""

    STATE = 1  # of the channel, from here on
    DATA = 2  # bytes of a segment
    CLOSE = 3  # the channel has ended


class Flag(enum.IntFlag):
    """What a record of data says of its segment."""

    FIRST = 1  # it begins with this
    LAST = 2  # it ends with this
    INCOMPLETE = 4  # and was not whole


class Record(NamedTuple):
    """One record. `payload` is None if its checksum is wrong."""

    kind: int
    flags: int
    seq: int
    offset: int
    payload: bytes | None


class Damage(NamedTuple):
    """`size` bytes from `at` on that are no record. `is_tail`: there is nothing after
    them, as when writing was cut off."""

    at: int
    size: int
    is_tail: bool


@dataclass(frozen=True, kw_only=True)
class State:
    """What there is to know of a channel besides its segments. `created` is in seconds
    since 1970; `owner` is the digest by which its publisher is known, in hex."""

    name: str
    type: str
    epoch: str
    head: int
    total: int
    created: float
    lossless: bool
    owner: str

    def encode(self) -> bytes:
        """As the payload of a record."""
        return json.dumps(asdict(self)).encode()


def decode_state(payload: bytes) -> State | None:
    """The state in a record's payload; None if it is none of ours."""
    try:
        return State(**json.loads(payload))
    except (ValueError, TypeError):
        return None


def encode(
    kind: Kind,
    chunks: Sequence[bytes] = (),
    *,
    flags: int = 0,
    seq: int = 0,
    offset: int = 0,
) -> tuple[bytes, int]:
    """The header of a record with `chunks` as its payload, and the size of both."""
    checksum = length = 0
    for chunk in chunks:
        checksum = zlib.crc32(chunk, checksum)
        length += len(chunk)
    fields = _FIELDS.pack(_MAGIC, kind, flags, seq, offset, length, checksum)
    return fields + _CHECKSUM.pack(zlib.crc32(fields)), HEADER_SIZE + length


def parse(data: bytes) -> Iterator[Record | Damage]:
    """The records in `data`, and what is none of them."""
    view = memoryview(data)
    at = 0
    while at < len(data):
        header = _header(data, at)
        if header is None:
            following = _next_header(data, at + 1)
            end = len(data) if following is None else following
            yield Damage(at, end - at, following is None)
            at = end
            continue
        _, kind, flags, seq, offset, length, checksum = header
        begin, end = at + HEADER_SIZE, at + HEADER_SIZE + length
        if end > len(data):
            # Cut off in here, unless whole records follow: then something is missing.
            following = _next_header(data, begin)
            end = len(data) if following is None else following
            yield Damage(at, end - at, following is None)
        else:
            payload: bytes | None = bytes(view[begin:end])
            if zlib.crc32(view[begin:end]) != checksum:
                payload = None
            yield Record(kind, flags, seq, offset, payload)
        at = end


def _header(data: bytes, at: int) -> tuple[bytes, int, int, int, int, int, int] | None:
    """The fields of the header there; None if there is none that is whole."""
    if at + HEADER_SIZE > len(data) or not data.startswith(_MAGIC, at):
        return None
    fields = data[at : at + _FIELDS.size]
    (checksum,) = _CHECKSUM.unpack_from(data, at + _FIELDS.size)
    if zlib.crc32(fields) != checksum:
        return None
    return _FIELDS.unpack(fields)


def _next_header(data: bytes, at: int) -> int | None:
    while (at := data.find(_MAGIC, at)) >= 0:
        if _header(data, at) is not None:
            return at
        at += 1
    return None
