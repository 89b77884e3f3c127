"""How long segments take, for those who show it."""

from __future__ import annotations

import trio


class SegmentTimes:
    """`last_size` and `last_age` are those of the segment before the present one, None
    if there is none."""

    def __init__(self) -> None:
        self.last_size: int | None = None
        self.last_age: float | None = None
        self._began: float | None = None
        self._present: tuple[int, float] | None = None  # of the present one, once over

    def begin(self) -> None:
        """Another segment begins."""
        if self._present is not None:
            self.last_size, self.last_age = self._present
        self._began, self._present = trio.current_time(), None

    def end(self, size: int) -> None:
        """It is over, with `size` bytes. Harmless if it was."""
        if self._began is not None and self._present is None:
            self._present = size, trio.current_time() - self._began

    @property
    def age(self) -> float:
        """Seconds that the present segment has taken so far."""
        if self._present is not None:
            return self._present[1]
        return 0.0 if self._began is None else trio.current_time() - self._began
