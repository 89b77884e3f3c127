"""What a boundary is, and the table of those there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from trickle_cli.splitters.newline import Newline


class Boundary(Protocol):
    """Places between bytes where a segment may end."""

    def first(self, data: bytes, start: int) -> int:
        """The first such place after `start`, as an index into `data`; -1 if
        there is none."""

    def last(self, data: bytes, start: int, end: int) -> int:
        """The last such place after `start` and not after `end`; -1 if none."""


#: By the name of the option that chooses it.
BOUNDARIES: Final[Mapping[str, Boundary]] = {"newline": Newline()}
