"""What all channels hold together, counted as it comes and goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: What a segment takes besides its bytes: objects, tables, and the rounding of the
#: allocator. Measured with segments of one byte; chunks beyond the first are at least
#: half a SMALL_CHUNK, so what they add is little.
SEGMENT_COST: Final = 400


class Memory:
    """`used` is in bytes; when it grows beyond `limit`, `relieve` is to be called."""

    __slots__ = ("limit", "relieve", "used")

    def __init__(self, limit: int, relieve: Callable[[], None]) -> None:
        self.used = 0
        self.limit = limit
        self.relieve = relieve
