"""Where decoding can begin: what the first packet of a picture, or of sound, tells.

Whoever makes a transport stream may say so (random access indicator). Where nobody
does, the beginning of the coded picture shows it: by what only stands before such a
picture, or is one. ISO/IEC 13818-1, 2.4.3; ISO/IEC 14496-10 and 23008-2, 7.4.
"""

from __future__ import annotations

from typing import Final

_START: Final = b"\0\0\1"
#: A PES header: 6 bytes, 3 of flags and its own length, and what those say.
_PES_HEADER: Final = 9
#: Ticks of its clock in a second.
_CLOCK: Final = 90_000
#: Their number has so many values.
_TIMES: Final = 1 << 33


def _is_sequence(byte: int) -> bool:
    """MPEG-2: a sequence header."""
    return byte == 0xB3


def _is_h264_key(byte: int) -> bool:
    """H.264: an IDR picture, or parameters of a sequence."""
    return byte & 0x9F in {5, 7}


def _is_hevc_key(byte: int) -> bool:
    """HEVC: a picture at which decoding can begin, or video parameters."""
    kind = byte >> 1
    return 16 <= kind <= 21 or kind == 32


def _is_never(byte: int) -> bool:  # noqa: ARG001
    """What has no such sign that we know of."""
    return False


#: Stream types (ISO/IEC 13818-1, table 2-34) that are video: what a key's first packet
#: has after a start code.
KEYS: Final = {
    0x01: _is_sequence,
    0x02: _is_sequence,
    0x10: _is_never,  # MPEG-4, part 2
    0x1B: _is_h264_key,
    0x24: _is_hevc_key,
    0x33: _is_never,  # VVC
}
#: Those that are sound.
AUDIO: Final = frozenset({0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x87})


def is_key(packet: bytes, kind: int) -> bool:
    """Whether decoding can begin at this packet, the first of a PES packet of a stream
    of that type."""
    flags = packet[3]
    if flags & 0x20 and packet[4] and packet[5] & 0x40:
        return True
    pes = _pes(packet)
    is_sign = KEYS[kind]
    at = _PES_HEADER + pes[8] if len(pes) >= _PES_HEADER else len(pes)
    while (at := pes.find(_START, at) + 3) >= 3 and at < len(pes):
        if is_sign(pes[at]):
            return True
    return False


def ticks(packet: bytes) -> int | None:
    """When what begins in this packet is to be shown, if it tells."""
    pes = _pes(packet)
    if len(pes) < _PES_HEADER + 5 or not pes[7] & 0x80:
        return None
    high, middle, low = pes[9], pes[10] << 8 | pes[11], pes[12] << 8 | pes[13]
    return (high >> 1 & 7) << 30 | (middle >> 1) << 15 | low >> 1


def _pes(packet: bytes) -> bytes:
    """The beginning of the PES packet that begins here; b"" if none does."""
    flags = packet[3]
    if not flags & 0x10:
        return b""
    payload = packet[5 + packet[4] :] if flags & 0x20 else packet[4:]
    return payload if payload.startswith(_START) else b""


class Clock:
    """Seconds, out of ticks whose number begins anew when it has got too large."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._seconds = 0.0

    def read(self, ticks: int | None) -> float | None:
        """The time at `ticks`; it may go back."""
        if ticks is None:
            return None
        if self._last is not None:
            passed = (ticks - self._last + _TIMES // 2) % _TIMES - _TIMES // 2
            self._seconds += passed / _CLOCK
        self._last = ticks
        return self._seconds
