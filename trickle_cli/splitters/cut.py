"""What comes out of whatever cuts, and how it is driven."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final, Protocol


class Cut(enum.Enum):
    """Between the last byte of a segment and the first of the next."""

    CUT = "cut"


CUT: Final = Cut.CUT


class Cutter(Protocol):
    """Cuts one stream. `now` is any clock that does not go back, in seconds."""

    @property
    def due(self) -> float | None:
        """When to `feed` it, be it nothing, if no bytes come before."""

    def feed(self, data: bytes, now: float) -> Iterator[bytes | Cut]:
        """`data`, but for what must be held back, with the cuts in it. BadContent."""

    def finish(self, now: float) -> Iterator[bytes | Cut]:
        """What was held back, for that is all. BadContent."""
