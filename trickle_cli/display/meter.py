"""Throughput, from totals that are looked at now and then."""

from __future__ import annotations

from collections import deque
from typing import Final

#: Seconds over which "now" is averaged.
WINDOW: Final = 5.0


class Meter:
    """Totals over time. `now` is any clock that does not go back, in seconds."""

    def __init__(self, now: float) -> None:
        self._start = now
        self._looks: deque[tuple[float, int]] = deque([(now, 0)])

    def look(self, total: int, now: float) -> None:
        """The total is `total` by now."""
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
