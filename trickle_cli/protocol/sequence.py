"""Sequence numbers, as they are written and what the negative ones mean.

A request may name a segment relative to the head ("next": the seq after the
newest that has begun): -1 is the head itself, which begins next; -2 the newest
that has begun; -N the one N - 1 before the head.
"""

from __future__ import annotations

import enum
from typing import Final

#: Seqs stay exact in JSON and in JavaScript, whose numbers are doubles.
MAX_SEQ: Final = 2**53 - 1


class SequenceStart(enum.IntEnum):
    """Where to begin in a channel, other than at a seq of one's own choice."""

    NEXT = -1  # the segment that begins next
    CURRENT = -2  # the newest that has begun
    OLDEST = -MAX_SEQ  # the oldest there is, however many there are


NEXT: Final = SequenceStart.NEXT
CURRENT: Final = SequenceStart.CURRENT
OLDEST: Final = SequenceStart.OLDEST
_MAX_DIGITS: Final = len(str(MAX_SEQ))


def parse_seq(text: bytes) -> int | None:
    """The seq that `text` writes, negative if relative; None if it is none.

    Decimal digits with at most one leading minus, within ±MAX_SEQ; nothing of
    what `int()` also takes (blanks, underscores, plus signs).
    """
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    seq = int(digits)
    if seq > MAX_SEQ:
        return None
    return seq if len(digits) == len(text) else -seq or None


def resolve(seq: int, *, head: int, oldest: int) -> int:
    """The absolute seq that `seq` names on a channel with this head.

    `oldest` is the lowest seq still held: -N is clamped to it. Where nothing has
    begun, -2 and beyond mean the first segment to come, the head.
    """
    if seq >= 0:
        return seq
    if seq == NEXT or head == 0:
        return head
    return max(oldest, head + seq + 1)
