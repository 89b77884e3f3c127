"""Making a fragment of MP4 independent of where in its file it stood.

In an old manner that ffmpeg still has unless it is told `default_base_moof`, a fragment
tells where its data is by its own place in the file (ISO/IEC 14496-12, 8.8.7), and so
can only be read there. The new manner counts from the fragment: a flag instead of the
place. What that saves is filled with an empty box, so that nothing else moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_HEADER: Final = 8
#: Within a `tfhd`: flags, the track, and, if the flags say so, the place.
_FLAGS: Final = slice(9, 12)
_PLACE: Final = slice(16, 24)
_HAS_PLACE: Final = 0x000001
_FROM_HERE: Final = 0x020000
_EMPTY_BOX: Final = (8).to_bytes(4) + b"free"


def make_movable(moof: bytes, place: int) -> bytes:
    """`moof`, which stood at `place`, with as many bytes, but independent of that."""
    made = bytearray(moof)
    for kind, start, end in _boxes(moof, 0, len(moof)):
        if kind == b"moof":
            for kind_, start_, end_ in _boxes(moof, start + _HEADER, end):
                if kind_ == b"traf":
                    _change(made, moof, start_ + _HEADER, end_, place)
    return bytes(made)


def _change(made: bytearray, moof: bytes, start: int, end: int, place: int) -> None:
    """Change the `tfhd` of a track, if it has that place."""
    for kind, at, stop in _boxes(moof, start, end):
        box = moof[at:stop]
        flags = int.from_bytes(box[_FLAGS])
        if kind != b"tfhd" or not flags & _HAS_PLACE or len(box) < _PLACE.stop:
            continue
        if int.from_bytes(box[_PLACE]) == place:
            flags = flags & ~_HAS_PLACE | _FROM_HERE
            size = len(box) - len(_EMPTY_BOX)
            made[at:stop] = (
                size.to_bytes(4)
                + box[4 : _FLAGS.start]
                + flags.to_bytes(3)
                + box[_FLAGS.stop : _PLACE.start]
                + box[_PLACE.stop :]
                + _EMPTY_BOX
            )


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two places, each with where it begins and ends."""
    while start + _HEADER <= end:
        size = int.from_bytes(data[start : start + 4])
        if not _HEADER <= size <= end - start:
            return
        yield data[start + 4 : start + _HEADER], start, start + size
        start += size
