"""How fast a channel has got bytes, of late."""

from __future__ import annotations

from collections import deque
from typing import Final

#: Seconds over which it is taken, and the samples that this needs, one a second.
SPAN: Final = 5.0
_SAMPLES: Final = 7


class Rate:
    """Of a total that is `total` at `now`, when this begins."""

    __slots__ = ("_samples", "_since")

    def __init__(self, now: float, total: int = 0) -> None:
        self._since = now
        self._samples = deque([(now, total)], maxlen=_SAMPLES)

    def sample(self, now: float, total: int) -> None:
        """Take note of what it is; once a second."""
        if self._samples[-1][1] != total:
            self._samples.append((now, total))

    def of(self, now: float, total: int) -> float:
        """A second, now that it is `total`."""
        base = self._samples[0][1]
        for when, sampled in self._samples:
            if when > now - SPAN:
                break
            base = sampled
        return (total - base) / max(1.0, min(SPAN, now - self._since))
