"""Where the packets of an MPEG transport stream are.

They are 188 bytes each and begin with the same byte, which others may be, too: several
of them at that distance show it. What stands before, or between, is garbage, as from
joining in the middle: it is put up with, but not for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trickle_cli.errors import BadContent

PACKET: Final = 188
SYNC: Final = b"\x47"
#: Packets in a row that show where they are. By chance, that is one in 2**40.
PROOF: Final = 5
#: Bytes of garbage in a row that are put up with.
_GARBAGE: Final = 64 * 1024


def find_packets(data: bytes, start: int = 0) -> tuple[int, int]:
    """The first place from `start` at which packets stand as far as `data` goes, and
    how many begin there, up to `PROOF`; the end of `data` if there is none."""
    while (start := data.find(SYNC, start)) >= 0:
        seen = data[start : start + (PROOF - 1) * PACKET + 1 : PACKET]
        if seen == SYNC * len(seen):
            return start, len(seen)
        start += 1
    return len(data), 0


class Packets:
    """Finds them in one stream."""

    def __init__(self) -> None:
        self.rest = b""  # what was not given out
        self.is_found = False  # there have been packets
        self._is_synced = False  # `rest` begins with one
        self._looked = 0  # where in `rest` to look for them
        self._garbage = 0

    def take(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """`data` in parts, each with whether it is whole packets, or garbage.
        BadContent if there is too much of that."""
        self.rest += data
        while True:
            if not self._is_synced:
                yield from self._search()
                if not self._is_synced:
                    return
            count = len(self.rest) // PACKET
            syncs = self.rest[: count * PACKET : PACKET]
            whole = count - len(syncs.lstrip(SYNC))
            if whole:
                yield self._pass_on(whole * PACKET), True
            if whole == count:
                return
            self._is_synced = False

    def finish(self) -> Iterator[tuple[bytes, bool]]:
        """As much as there is left, which is enough if it looks like packets."""
        if not self._is_synced and self.rest:
            place, count = find_packets(self.rest)
            if len(self.rest) - place >= PACKET and (place == 0 or count > 1):
                self._begin(place)
                yield from self.take(b"")
        if not self.is_found:
            return
        if self.rest:
            yield self._pass_on(len(self.rest)), False

    def _search(self) -> Iterator[tuple[bytes, bool]]:
        place, count = find_packets(self.rest, self._looked)
        self._garbage += place - self._looked
        self._looked = place
        if self._garbage > _GARBAGE:
            raise BadContent("this is no MPEG-TS")
        if count == PROOF:
            self._begin(place)
        if self._looked and self.is_found:
            yield self._pass_on(self._looked), False

    def _begin(self, place: int) -> None:
        self.is_found = self._is_synced = True
        self._looked = place
        self._garbage = 0

    def _pass_on(self, size: int) -> bytes:
        data, self.rest, self._looked = self.rest[:size], self.rest[size:], 0
        return data
