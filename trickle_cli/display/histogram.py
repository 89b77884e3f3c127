"""How long things took: many of them, in little memory, and as a picture of text."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from trickle_cli.display import formats

#: Times within so much of each other are told apart no more.
_STEP: Final = math.log(1.02)
#: Seconds below which all is the same.
_LEAST: Final = 1e-6
_WIDEST_BAR: Final = 40
#: Seconds from which the rows of a picture are counted, up and down.
_UNIT: Final = 1e-3
#: Rows of a picture: each of twice the time, until there are too many.
_MAX_ROWS: Final = 12


class Histogram:
    """Counts times, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.most = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """It took so long."""
        self.count += 1
        self.most = max(self.most, seconds)
        self._buckets[math.ceil(math.log(max(seconds, _LEAST) / _LEAST) / _STEP)] += 1

    def quantile(self, part: float) -> float | None:
        """The time in which so great a part of them was done, to 2 %; None if there
        are none."""
        wanted = math.ceil(part * self.count)
        for bucket, count in sorted(self._buckets.items()):
            wanted -= count
            if wanted <= 0:
                return min(self.most, _end_of(bucket))
        return None

    def record(self) -> dict[str, float | None]:
        """As an object of JSON, in seconds."""
        parts = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        found = {name: self.quantile(part) for name, part in parts.items()}
        found["max"] = self.most if self.count else None
        return {k: None if v is None else round(v, 6) for k, v in found.items()}

    def rows(self) -> list[tuple[float, int]]:
        """(seconds, how many took no longer, and longer than the row before): of twice
        the time, or four times …, from the first that is not empty."""
        if not self.count:
            return []
        low = math.floor(math.log2(_end_of(min(self._buckets)) / _UNIT))
        high = math.ceil(math.log2(_end_of(max(self._buckets)) / _UNIT))
        step = math.ceil((high - low + 1) / _MAX_ROWS)
        ends = [_UNIT * 2.0**power for power in range(low, high + step, step)]
        counts = [0] * len(ends)
        for bucket, count in self._buckets.items():
            index = next((i for i, e in enumerate(ends) if _end_of(bucket) <= e), -1)
            counts[index] += count
        rows = list(zip(ends, counts, strict=True))
        while rows and not rows[0][1]:
            del rows[0]
        while rows and not rows[-1][1]:
            del rows[-1]
        return rows

    def lines(self, *, unicode: bool) -> list[str]:
        """A bar for each row."""
        rows = self.rows()
        most = max((count for _, count in rows), default=1)
        mark = "█" if unicode else "#"
        return [
            f"  to {formats.seconds(end) if end >= 0.001 else _micro(end):>8}"
            f"  {count:>9}  {mark * math.ceil(_WIDEST_BAR * count / most)}".rstrip()
            for end, count in rows
        ]


def _end_of(bucket: int) -> float:
    return _LEAST * math.exp(bucket * _STEP)


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us"
