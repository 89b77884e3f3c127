"""The readers without a label that come from one address.

Most of them use several connections in turn, and many of them a new one for each
segment, or one out of a pool. So it cannot be said which connections are one reader's,
and requests are counted instead: of as many as have asked for segment N, as many are at
N still as have not *gone on* to N + 1. When more holds than that are there, some are of
connections that were left behind.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, Protocol

#: Segments that are counted for, beyond which all are looked through for old ones.
_PRUNE_AT: Final = 1024


class Member(Protocol):
    """A hold, as far as it is counted here."""

    @property
    def position(self) -> int:
        """The segment at which it is."""

    @property
    def is_over(self) -> bool:
        """Whether it holds nothing any more."""


class Crowd:
    """Those from `peer`. `size` is how many holds there are."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.size = 0
        # For each segment: how many holds are at it; how many readers have asked for
        # it, which was the last of them, and how many came from the one before.
        self._at: Counter[int] = Counter()
        self._asked: Counter[int] = Counter()
        self._last: dict[int, Member] = {}
        self._gone_on: Counter[int] = Counter()
        self._prune_at = _PRUNE_AT

    def enter(self, seq: int) -> None:
        """One hold more is at segment `seq`."""
        self.size += 1
        self._at[seq] += 1

    def leave(self, seq: int) -> None:
        """One less."""
        self.size -= 1
        self._at[seq] -= 1
        if not self._at[seq]:
            del self._at[seq]

    def count(self, member: Member, *, is_new: bool) -> None:
        """A reader has asked for the segment at which `member` is; `is_new`: it only
        begins with that."""
        seq = member.position
        self._last[seq] = member
        self._asked[seq] += 1
        if not is_new:
            self._gone_on[seq] += 1

    def discount(self, seq: int) -> None:
        """One that was counted at `seq` was none."""
        self._asked[seq] -= 1
        self._gone_on[seq] = max(0, self._gone_on[seq] - 1)

    def depart(self, seq: int, *, is_counted: bool) -> None:
        """A reader that was at `seq`, and was counted there or not yet, is from
        elsewhere now."""
        if is_counted:
            self._asked[seq] -= 1
        elif seq - 1 in self._asked:
            self._gone_on[seq] += 1

    def is_left_behind(self, seq: int) -> bool:
        """Whether there are more holds at `seq` than readers."""
        return self._at[seq] > self._asked[seq] - self._gone_on[seq + 1]

    def asks_again(self, member: Member, *, is_counted: bool) -> bool:
        """Whether the reader of `member`, which did not get its segment, seems to have
        asked for that on another connection since."""
        seq = member.position
        if seq - 1 not in self._asked or self._gone_on[seq] <= self._asked[seq - 1]:
            return False  # no more have come than there were, as far as is known
        last = self._last.get(seq, member) if is_counted else member
        return last is not member and not last.is_over and last.position == seq

    def forget_before(self, floor: int) -> None:
        """Nothing is asked of what is below `floor` any more."""
        _prune(self._asked, floor)
        _prune(self._last, floor)
        # What is below is forgotten, so nobody has gone on from there, either.
        _prune(self._gone_on, floor + 1)
        if len(self._asked) > self._prune_at:  # not all came in order
            self._prune_at = 2 * len(self._asked)
            for seq in [seq for seq in self._asked if seq < floor]:
                for table in (self._asked, self._last, self._gone_on):
                    table.pop(seq, None)

    def restart(self) -> None:
        """The numbering begins anew: nobody has asked for anything."""
        self._asked.clear()
        self._gone_on.clear()
        self._last.clear()


def _prune(table: dict[int, Any], below: int) -> None:
    """Remove the first entries of `table`, as far as they are for segments below."""
    while table and (first := next(iter(table))) < below:
        del table[first]
