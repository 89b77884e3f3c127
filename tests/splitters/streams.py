"""Streams of video made by hand, of as few bytes as there can be."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

from trickle_cli.splitters import CUT, Cutter

PMT: Final = 0x100
VIDEO: Final = 0x101
AUDIO: Final = 0x102
H264: Final = 0x1B
HEVC: Final = 0x24
MPEG2: Final = 0x02
AAC: Final = 0x0F
PRIVATE: Final = 0x06

_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def packet(
    pid: int,
    payload: bytes = b"",
    *,
    begins: bool = False,
    random_access: bool = False,
    fill: int = 0xFF,
) -> bytes:
    """One packet; what is free in it is an adaptation field."""
    free = 184 - len(payload)
    assert free >= 0
    field = b""
    if free or random_access:
        flags = bytes([0x40 if random_access else 0])
        assert free >= 2 or not random_access
        field = bytes([free - 1]) + (flags.ljust(free - 1, bytes([fill])))[: free - 1]
    control = (0x20 if field else 0) | (0x10 if payload else 0)
    head = bytes([0x47, (0x40 if begins else 0) | pid >> 8, pid & 0xFF, control])
    made = head + field + payload
    assert len(made) == 188
    return made


def crc(data: bytes) -> bytes:
    value = zlib.crc32(data.translate(_REVERSED)) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2).to_bytes(4)


def section(table: int, number: int, content: bytes, version: int = 0) -> bytes:
    size = len(content) + 9
    made = bytes([table, 0xB0 | size >> 8, size & 0xFF, number >> 8, number & 0xFF])
    made += bytes([0xC1 | version << 1, 0, 0]) + content
    return made + crc(made)


def table(pid: int, data: bytes) -> bytes:
    """The packets of a section."""
    data = b"\0" + data
    parts = [data[at : at + 184] for at in range(0, len(data), 184)]
    return b"".join(
        packet(pid, part.ljust(184, b"\xff"), begins=number == 0)
        for number, part in enumerate(parts)
    )


def pat(*pmts: int) -> bytes:
    entries = (
        number.to_bytes(2) + (0xE000 | pid).to_bytes(2)
        for number, pid in enumerate(pmts or [PMT], 1)
    )
    return table(0, section(0, 1, b"".join(entries)))


def pmt(*streams: tuple[int, int], pid: int = PMT, about: int = 0) -> bytes:
    """What a program is made of; `about` bytes tell more of it."""
    content = (0xE000 | VIDEO).to_bytes(2) + (0xF000 | about).to_bytes(2)
    content += b"\x05" * about
    for kind, stream in streams or [(H264, VIDEO)]:
        content += bytes([kind]) + (0xE000 | stream).to_bytes(2) + b"\xf0\0"
    return table(pid, section(2, 1, content))


def pes(content: bytes, seconds: float | None = None, kind: int = 0xE0) -> bytes:
    head = b"\0\0\1" + bytes([kind]) + b"\0\0\x80"
    if seconds is None:
        return head + b"\0\0" + content
    ticks = round(seconds * 90_000) % (1 << 33)
    times = bytes([0x21 | ticks >> 29 & 0x0E, ticks >> 22 & 0xFF])
    times += bytes([ticks >> 14 & 0xFE | 1, ticks >> 7 & 0xFF, ticks << 1 & 0xFE | 1])
    return head + b"\x80\x05" + times + content


def key(seconds: float | None = None, *, pid: int = VIDEO, name: bytes = b"") -> bytes:
    """A picture at which decoding can begin, and says so."""
    return packet(pid, pes(name, seconds), begins=True, random_access=True)


def picture(name: bytes = b"", *, pid: int = VIDEO, packets: int = 2) -> bytes:
    """One at which it cannot."""
    first = packet(pid, pes(name), begins=True)
    return first + packet(pid, name.ljust(184, b"."), begins=False) * (packets - 1)


def sound(seconds: float, pid: int = AUDIO) -> bytes:
    return packet(pid, pes(b"", seconds, 0xC0), begins=True, random_access=True)


def box(kind: bytes, content: bytes = b"", *, long: bool = False) -> bytes:
    if long:
        return b"\0\0\0\1" + kind + (16 + len(content)).to_bytes(8) + content
    return (8 + len(content)).to_bytes(4) + kind + content


def cut(cutter: Cutter, feeds: Iterable[bytes], now: float = 0.0) -> list[bytes]:
    """The segments of all that is fed."""
    found = [b""]
    for data in feeds:
        for piece in cutter.feed(data, now):
            if piece is CUT:
                found.append(b"")
            else:
                assert isinstance(piece, bytes)
                assert piece
                found[-1] += piece
    for piece in cutter.finish(now):
        if piece is CUT:
            found.append(b"")
        else:
            assert isinstance(piece, bytes)
            found[-1] += piece
    return found


def chunks(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data`, in parts that end at those places."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


PLACES: Final = st.lists(st.integers(0, 1 << 20), max_size=30)
