"""What a stream is, told from its first bytes.

It is asked again with each read, and says nothing while a few bytes more would tell:
as few as can be, since they wait meanwhile. So text is text at once, though "GO" begins
as a packet of MPEG-TS does, and only what can still become something else waits.
"""

from __future__ import annotations

import codecs
import enum
import json
from dataclasses import dataclass
from typing import Final

from trickle_cli.splitters.fragments import FIRST
from trickle_cli.splitters.packets import PACKET, PROOF, SYNC, find_packets

_BINARY: Final = "application/octet-stream"
TEXT: Final = "text/plain"
TRANSPORT_STREAM: Final = "video/mp2t"
MP4: Final = "video/mp4"
#: Bytes that are always enough.
ENOUGH: Final = 64 * 1024

#: What begins so is that.
_BEGINNINGS: Final = {
    b"OggS": "application/ogg",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
    b"\xff\xf2": "audio/mpeg",
    b"\xff\xf1": "audio/aac",
    b"\xff\xf9": "audio/aac",
    b"FLV\1": "video/x-flv",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
    b"\x1f\x8b\x08": "application/gzip",
    b"(\xb5/\xfd": "application/zstd",
    b"BZh": "application/x-bzip2",
    b"\xfd7zXZ\0": "application/x-xz",
    b"PK\3\4": "application/zip",
}
_MATROSKA: Final = b"\x1a\x45\xdf\xa3"
_MATROSKA_HEAD: Final = 64  # bytes in which its kind is told
_BRAND_END: Final = 12  # that of RIFF, and of MP4
_RIFF: Final = {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}
#: MP4's relatives, by their brand.
_BRANDS: Final = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"heic": "image/heic",
}
#: Where text has a control character, it is none.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\f"))


class Kind(enum.Enum):
    """What can be cut in a way of its own."""

    BYTES = "bytes"
    TRANSPORT_STREAM = "transport stream"
    MP4 = "mp4"


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a stream is: its MIME type, and how to cut it."""

    type: str = _BINARY
    kind: Kind = Kind.BYTES


_TRANSPORT_STREAM: Final = Content(type=TRANSPORT_STREAM, kind=Kind.TRANSPORT_STREAM)
_KNOWN: Final = (*_BEGINNINGS, _MATROSKA, b"RIFF", b"\0\0")


def sniff(data: bytes, *, is_all: bool) -> Content | None:
    """What begins with `data`; None if a bit more would tell. Not if `is_all`, when it
    has to be told from that."""
    is_all = is_all or len(data) >= ENOUGH
    if not is_all and _is_too_short(data):
        return None
    found = (
        _sniff_packets(data)
        or _sniff_beginning(data)
        or _sniff_boxes(data)
        or _sniff_text(data, is_all=is_all)
    )
    if found is None and data.startswith(SYNC) and find_packets(data)[0] == 0:
        if not is_all:
            return None
        if len(data) >= PACKET:
            return _TRANSPORT_STREAM
    if found is None and not is_all and data.lstrip().startswith(b"{"):
        return None if _is_text(data) else Content()
    return found or Content()


def _is_too_short(data: bytes) -> bool:
    """Whether it may begin as something does that we know, and is not all of that."""
    if data.startswith(_MATROSKA):
        return len(data) < _MATROSKA_HEAD
    if data.startswith((b"RIFF", b"\0\0")):
        return len(data) < _BRAND_END
    return any(known.startswith(data) and data != known for known in _KNOWN)


def _sniff_packets(data: bytes) -> Content | None:
    """Enough of them, the first of which may have been cut off."""
    place, count = find_packets(data)
    return _TRANSPORT_STREAM if count == PROOF and place < PACKET else None


def _sniff_beginning(data: bytes) -> Content | None:
    if data.startswith(_MATROSKA):
        is_webm = b"webm" in data[:_MATROSKA_HEAD]
        return Content(type="video/webm" if is_webm else "video/x-matroska")
    if data.startswith(b"RIFF"):
        return Content(type=_RIFF.get(data[8:_BRAND_END], _BINARY))
    types = (type_ for known, type_ in _BEGINNINGS.items() if data.startswith(known))
    return next((Content(type=type_) for type_ in types), None)


def _sniff_boxes(data: bytes) -> Content | None:
    """MP4 and its relatives: a box, which is never very large where they begin."""
    kind = data[4:8]
    if not data.startswith(b"\0") or kind not in FIRST:
        return None
    brand = data[8:_BRAND_END] if kind == b"ftyp" else b""
    type_ = _BRANDS.get(brand, MP4)
    is_image = type_.startswith("image/")
    return Content(type=type_, kind=Kind.BYTES if is_image else Kind.MP4)


def _sniff_text(data: bytes, *, is_all: bool) -> Content | None:
    """Text; None as well if a line is still to show whether it is an object."""
    if not _is_text(data):
        return None
    if not data.lstrip().startswith(b"{"):
        return Content(type=TEXT)
    *lines, _ = data.split(b"\n")
    if not lines and not is_all:
        return None
    if (lines and all(map(_is_object, lines))) or (is_all and _is_object(data)):
        return Content(type="application/json")
    return Content(type=TEXT)


def _is_text(data: bytes) -> bool:
    if not data or len(data.translate(None, _CONTROLS)) < len(data):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # its end may be missing
    except UnicodeDecodeError:
        return False
    return True


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
