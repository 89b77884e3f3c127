"""The segments that a channel holds, within its window, and those on their way out.

A segment is evicted from the front, when the window is full or it is too old. Who reads
it then may finish, as long as what is kept for such readers is no more than the window
itself: those segments are *leaving*.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator

from trickle_cli.relay.limits import Window
from trickle_cli.relay.memory import SEGMENT_COST, Memory
from trickle_cli.relay.segment import Segment


class Held:
    """Of one channel, by seq. `size` is what they have in bytes, without those that are
    leaving; all of it is counted in `memory`. `evicted` is called of each that goes,
    before anything else is done with it."""

    def __init__(
        self, window: Window, memory: Memory, evicted: Callable[[Segment], None]
    ) -> None:
        self.size = 0
        self.window = window
        self._memory = memory
        self._evicted = evicted
        self._segments: dict[int, Segment] = {}
        self._order: deque[int] = deque()  # their seqs, ascending
        self._leaving: dict[Segment, None] = {}
        self._leaving_size = 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Segment]:
        """All that are held, and those that are leaving."""
        yield from self._segments.values()
        yield from self._leaving

    def get(self, seq: int) -> Segment | None:
        """The one with that seq."""
        return self._segments.get(seq)

    @property
    def oldest(self) -> int | None:
        """The lowest seq; None if there are none."""
        return self._order[0] if self._order else None

    @property
    def end(self) -> int:
        """The seq after the highest."""
        return self._order[-1] + 1 if self._order else 0

    @property
    def memory(self) -> int:
        """Bytes that it takes to hold them."""
        count = len(self._order) + len(self._leaving)
        return self.size + self._leaving_size + SEGMENT_COST * count

    @property
    def is_beyond_window(self) -> bool:
        """Whether they are more than the window."""
        window = self.window
        return self.size > window.size or len(self._order) > window.segments

    def following(self, seq: int) -> Segment | None:
        """The oldest after `seq`."""
        index = bisect_left(self._order, seq)
        if index == len(self._order):
            return None
        return self._segments[self._order[index]]

    def add(self, segment: Segment) -> None:
        """One more, with what it has."""
        seq = segment.seq
        self._segments[seq] = segment
        if not self._order or seq > self._order[-1]:
            self._order.append(seq)
        else:
            insort(self._order, seq)
        self.size += segment.held
        self._memory.used += segment.held + SEGMENT_COST

    def grow(self, size: int) -> None:
        """One of them has `size` bytes more, or less."""
        self.size += size
        self._memory.used += size

    # Going.

    def trim(self, now: float, floor: float) -> None:
        """Evict what is beyond the window at the time `now`, but nothing from segment
        `floor` on."""
        order, window = self._order, self.window
        while len(order) > window.floor and order[0] < floor:
            oldest = self._segments[order[0]]
            is_old = oldest.ended and now - oldest.touched > window.seconds
            if not (is_old or self.is_beyond_window):
                return
            self._evict_oldest()

    def evict_all(self) -> None:
        """Nothing is held any more."""
        while self._order:
            self._evict_oldest()

    def shed(self, amount: int, floor: float) -> None:
        """Let go of `amount` bytes of memory, oldest first, whatever the window says
        and whoever reads; but of nothing from segment `floor` on."""
        before = self.memory
        while self.memory > before - amount:
            if self._leaving:
                self._cut_off_oldest()
            elif self._order and self._order[0] < floor:
                self._evict_oldest()
            else:
                return

    def _evict_oldest(self) -> None:
        segment = self._segments.pop(self._order.popleft())
        self.size -= segment.held
        self._memory.used -= segment.held + SEGMENT_COST
        self._evicted(segment)
        if segment.readers:
            self._leaving[segment] = None
            self._leaving_size += segment.held
            self._memory.used += segment.held + SEGMENT_COST
        while self._leaving_size > self.window.size:
            self._cut_off_oldest()

    def let_leave(self, segment: Segment) -> None:
        """Nobody reads it any more: if it was leaving, it is gone."""
        if segment in self._leaving:
            del self._leaving[segment]
            self._leaving_size -= segment.held
            self._memory.used -= segment.held + SEGMENT_COST

    def _cut_off_oldest(self) -> None:
        """Let go of what has left the window, though somebody still reads it."""
        oldest = next(iter(self._leaving))
        self.let_leave(oldest)
        oldest.forget()

    def clear(self) -> None:
        """Forget all of them, and break their readers off."""
        self._memory.used -= self.memory
        for segment in self:
            if segment.readers:
                segment.forget()
        self._segments.clear()
        self._order.clear()
        self._leaving.clear()
        self.size = self._leaving_size = 0
