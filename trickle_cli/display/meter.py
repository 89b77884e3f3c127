"""Throughput, from totals that are looked at now and then."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Final

#: Seconds over which "now" is averaged.
WINDOW: Final = 5.0
#: Seconds of which is known what came in each.
HISTORY: Final = 60


class Meter:
    """Totals over time. `now` is any clock that does not go back, in seconds."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._looks: deque[tuple[float, int]] = deque([(now, 0)])
        # The totals at the ends of seconds; the last one is not over.
        self._seconds: deque[int] = deque([0, 0], maxlen=HISTORY + 2)
        self._second = 0

    def look(self, total: int, now: float) -> None:
        """The total is `total` by now."""
        second = int(now - self._start)
        if passed := second - self._second:
            # What came since the look before is spread over the seconds since.
            before = self._seconds[-1]
            for step in range(max(1, passed - HISTORY), passed + 1):
                self._seconds.append(before + (total - before) * step // passed)
            self._second = second
        self._seconds[-1] = total
        looks = self._looks
        looks.append((now, total))
        while len(looks) > 2 and looks[1][0] <= now - WINDOW:
            looks.popleft()

    @property
    def rate(self) -> float:
        """Per second, over the last seconds."""
        (since, before), (now, total) = self._looks[0], self._looks[-1]
        return (total - before) / (now - since) if now > since else 0.0

    @property
    def mean(self) -> float:
        """Per second, from the start."""
        now, total = self._looks[-1]
        return total / (now - self._start) if now > self._start else 0.0

    def history(self, count: int) -> list[float]:
        """What came in the last minute, per second, in `count` parts of it at most; the
        newest last."""
        steps = [max(0, new - old) for old, new in pairwise(self._seconds)]
        steps = steps[:-1] or steps
        width = -(-HISTORY // count)
        first = len(steps) % width
        parts = [steps[:first]] if first else []
        parts += [steps[i : i + width] for i in range(first, len(steps), width)]
        return [sum(part) / len(part) for part in parts]
