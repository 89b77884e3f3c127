"""Whose a channel is.

A new one belongs to a worker of the present generation, by a hash of its name that
every process computes alike. After a graceful restart the workers of the generations
before keep the channels that they have: they announce them, and say when one has gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.relay import directory_of


class Owners:
    """`present` are the seats of the present generation, in their order."""

    def __init__(self, present: Sequence[int]) -> None:
        self.present = tuple(present)
        self._kept: dict[str, int] = {}  # by those of earlier generations

    def owner(self, name: str) -> int:
        """The seat of the worker that has channel `name`, or is to make it."""
        if self._kept and (seat := self._kept.get(name)) is not None:
            return seat
        return self.heir(name)

    def heir(self, name: str) -> int:
        """The seat whose worker is to make the channel if nobody has it."""
        if name == CHANGEFEED:
            return self.present[0]
        return self.present[place_of(directory_of(name), len(self.present))]

    def keeps(self, seat: int, names: Iterable[str]) -> None:
        """The worker there, of an earlier generation, has these."""
        self._kept.update(dict.fromkeys(names, seat))

    def forget(self, seat: int, name: str) -> None:
        """It has not, any more."""
        if self._kept.get(name) == seat:
            del self._kept[name]

    def lose(self, seat: int) -> list[str]:
        """Nobody sits there any more. The names of what was kept there."""
        lost = [name for name, keeper in self._kept.items() if keeper == seat]
        for name in lost:
            del self._kept[name]
        return lost


@lru_cache(maxsize=8192)
def place_of(directory: str, count: int) -> int:
    """Which of `count` workers has the channel whose directory, if it is kept on disk,
    is called so."""
    digest = blake2b(directory.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % count
