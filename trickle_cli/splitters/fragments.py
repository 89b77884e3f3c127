"""Fragmented MP4 (ISO/IEC 14496-12), cut before fragments.

A file is boxes: size, type, content. What stands before the first `moof` is the init,
without which nothing can be decoded: a segment by itself, or repeated in front of every
one. A fragment is a `moof` and all up to the next, where boxes that belong to it may
stand before it: they are held back until it is known that a `moof` follows. Of the
others nothing is held back but a header that is not whole, and, where the init is
repeated, the `moof`, which is made independent of its place in the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trickle_cli.errors import BadContent
from trickle_cli.splitters.marking import Mark, Place
from trickle_cli.splitters.moving import make_movable

#: Bytes of an init that is kept for repetition.
MAX_INIT: Final = 4 * 1024 * 1024
#: Bytes of boxes that are held back before a `moof`, and of that.
_MAX_RUN: Final = 64 * 1024
_MAX_MOOF: Final = 1024 * 1024
_HEADER: Final = 8
_LONG_HEADER: Final = 16
#: What belongs to the fragment, if one follows.
_LEADING: Final = frozenset(
    {b"styp", b"sidx", b"ssix", b"emsg", b"prft", b"free", b"skip"}
)
#: What a file may begin with.
FIRST: Final = _LEADING | {
    b"ftyp",
    b"moov",
    b"moof",
    b"mdat",
    b"wide",
    b"pdin",
    b"uuid",
    b"meta",
}
_END: Final = -1  # as many bytes as there will be

_NO_MP4: Final = (
    "this is no MP4, which --fragment cuts — leave --fragment out, or convert it"
    " (ffmpeg … -f mp4 -movflags +frag_keyframe+empty_moov+default_base_moof -)"
)
_NOT_FRAGMENTED: Final = (
    "this MP4 is not fragmented, so it cannot be cut — leave --fragment out, or make it"
    " with ffmpeg's -movflags +frag_keyframe+empty_moov+default_base_moof"
)
_TOO_LARGE: Final = (
    f"the init is larger than {MAX_INIT} bytes — leave --repeat-init out"
)


class Fragments:
    """Reads one file. With `repeat_init`, marks carry the init. BadContent if it is no
    MP4, or is not fragmented."""

    def __init__(self, *, repeat_init: bool = False) -> None:
        self._repeat_init = repeat_init
        self._data = b""  # what is not passed on
        self._here = 0  # how far that was read
        self._left = 0  # bytes of the present box that are to come
        self._is_run = False  # `data` begins with boxes that may belong to a `moof`
        self._moof: int | None = None  # where in `data` one begins that is held back
        self._place = 0  # of `data` in the file
        self._is_begun = self._has_moof = False
        self._init: list[bytes] = []
        self._init_size = 0

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """`data` with marks, but for what must be held back. BadContent."""
        self._data += data
        while self._skip() and (header := self._header()) is not None:
            kind, size = header
            self._move()
            yield from self._begin(kind)
            self._left = size
        if self._left == 0:
            self._move()
        if self._is_run and self._here > _MAX_RUN:
            self._is_run = False
        if self._moof is not None and self._here - self._moof > _MAX_MOOF:
            self._moof = None
        if not self._is_run and self._moof is None:
            yield from self._pass_on()

    def finish(self) -> Iterator[bytes | Mark]:
        """What was held back. BadContent, if it was no file."""
        if self._data and not self._is_begun:
            raise BadContent(_NO_MP4)
        if self._data:
            yield self.rest()

    def rest(self) -> bytes:
        """What was held back."""
        data, self._data, self._here = self._data, b"", 0
        return data

    def _move(self) -> None:
        """Make a `moof` that has become whole independent of its place."""
        if self._moof is None:
            return
        at, self._moof = self._moof, None
        moof = make_movable(self._data[at : self._here], self._place + at)
        self._data = self._data[:at] + moof + self._data[self._here :]

    def _skip(self) -> bool:
        """Go on to the end of the present box; whether that is at hand."""
        there = len(self._data) - self._here
        if self._left == _END:
            self._here += there
            return False
        step = min(self._left, there)
        self._here += step
        self._left -= step
        return self._left == 0

    def _header(self) -> tuple[bytes, int] | None:
        """The type of the next box and its size, if its header is at hand."""
        header = self._data[self._here : self._here + _LONG_HEADER]
        kind = header[4:_HEADER]
        if len(header) < _HEADER:
            return None
        if not self._is_begun and kind not in FIRST:
            raise BadContent(_NO_MP4)
        size, least = int.from_bytes(header[:4]), _HEADER
        if size == 1:
            if len(header) < _LONG_HEADER:
                return None
            size, least = int.from_bytes(header[_HEADER:]), _LONG_HEADER
        elif size == 0:
            return kind, _END
        if size < least:
            raise BadContent(_NO_MP4)
        return kind, size

    def _begin(self, kind: bytes) -> Iterator[bytes | Mark]:
        """What is to be passed on before a box, and said of the place before it."""
        self._is_begun = True
        if kind in _LEADING:
            if not self._is_run:
                yield from self._pass_on()
            self._is_run = True
            return
        if kind == b"moof":
            if not self._is_run:
                yield from self._pass_on()
            yield self._fragment()
            self._moof = self._here if self._repeat_init else None
        elif kind == b"mdat" and not self._has_moof:
            raise BadContent(_NOT_FRAGMENTED)
        elif self._has_moof and kind in {b"ftyp", b"moov"}:
            yield from self._pass_on()
            yield Mark(place=Place.MUST)
            self._has_moof = False
            self._init, self._init_size = [], 0
            self._place = 0
        self._is_run = False

    def _fragment(self) -> Mark:
        is_first, self._has_moof = not self._has_moof, True
        if not self._repeat_init:
            return Mark(place=Place.MUST if is_first else Place.GOOD)
        place = Place.BEGINNING if is_first else Place.GOOD
        return Mark(place=place, prefix=b"".join(self._init))

    def _pass_on(self) -> Iterator[bytes]:
        """All that was read."""
        data = self._data[: self._here]
        if not data:
            return
        if self._repeat_init and not self._has_moof:
            self._init.append(data)
            self._init_size += len(data)
            if self._init_size > MAX_INIT:
                raise BadContent(_TOO_LARGE)
        self._data, self._here = self._data[self._here :], 0
        self._place += len(data)
        yield data
