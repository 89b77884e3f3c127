"""Parts of a segment: Range and Content-Range (RFC 9110, 14), and RFC 8673 for a
segment that is still growing.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: What stands for the end of something that has none yet (RFC 8673, 2).
LIVE_END: Final = 2**53 - 1

_RANGE: Final = re.compile(rb"(?i)\s*bytes\s*=\s*(\d{1,16})-(\d{1,16})?\s*")
_CONTENT_RANGE: Final = re.compile(
    rb"(?i)\s*bytes\s+(?:(\d{1,16})-(\d{1,16})|\*)/(?:(\d{1,16})|\*)\s*"
)


class ByteRange(NamedTuple):
    """Bytes `first` to `last`, both of them included; None: to the end."""

    first: int
    last: int | None = None

    def encode(self) -> bytes:
        """As the value of Range."""
        last = b"" if self.last is None else b"%d" % self.last
        return b"bytes=%d-%b" % (self.first, last)


def parse_range(value: bytes) -> ByteRange | None:
    """What a Range asks for. None for what we do not serve and, as RFC 9110 allows,
    take for no Range at all: suffixes, several ranges, other units, nonsense."""
    match = _RANGE.fullmatch(value)
    if match is None:
        return None
    first = int(match[1])
    last = int(match[2]) if match[2] is not None else LIVE_END
    if last < first:
        return None
    return ByteRange(first, None if last >= LIVE_END else last)


class ContentRange(NamedTuple):
    """What a 206 holds, or, with `first` None, what a 416 has to offer. `total` is
    None while it is not known."""

    first: int | None
    last: int | None
    total: int | None

    def encode(self) -> bytes:
        """As the value of Content-Range."""
        total = b"*" if self.total is None else b"%d" % self.total
        if self.first is None:
            return b"bytes */" + total
        last = LIVE_END if self.last is None else self.last
        return b"bytes %d-%d/%b" % (self.first, last, total)


def parse_content_range(value: bytes) -> ContentRange | None:
    """What a Content-Range says; None if it is none."""
    match = _CONTENT_RANGE.fullmatch(value)
    if match is None:
        return None
    first, last, total = (
        int(part) if part is not None else None for part in match.groups()
    )
    return ContentRange(first, None if last == LIVE_END else last, total)
