"""The splitter's rules once more, and how to run one through its paces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from trickle_cli.splitters import CUT, Cut, Delimiter, Splitter

#: What is fed and when; b"" stands for a tick.
Step: TypeAlias = tuple[float, bytes]
Output: TypeAlias = list[bytes | Cut]


@dataclass(frozen=True)
class Parameters:
    delimiter: bytes  # b"": cut anywhere
    every: int | None
    size: int | None
    seconds: float | None

    def splitter(self) -> Splitter:
        return Splitter(
            boundary=Delimiter(self.delimiter) if self.delimiter else None,
            every=self.every if self.delimiter else None,
            size=self.size,
            seconds=self.seconds,
        )


def take(splitter: Splitter, step: Step) -> Output:
    now, data = step
    if data:
        return list(splitter.feed(data, now))
    return [CUT] if splitter.tick(now) else []


def run(splitter: Splitter, steps: Iterable[Step]) -> Output:
    return [piece for step in steps for piece in take(splitter, step)]


def feed(splitter: Splitter, *feeds: bytes) -> Output:
    return run(splitter, [(0.0, data) for data in feeds])


def segments(output: Output) -> list[bytes]:
    """What is between the cuts; the last is the open one, which may be empty."""
    found = [b""]
    for piece in output:
        if isinstance(piece, Cut):
            found.append(b"")
        else:
            found[-1] += piece
    return found


class Rules:
    """The splitter's docstring once more, on whole strings and lists of places."""

    def __init__(self, parameters: Parameters) -> None:
        self.delimiter = parameters.delimiter
        self.every = parameters.every if self.delimiter else None
        self.size = parameters.size
        self.seconds = parameters.seconds
        if self.delimiter and {self.every, self.size, self.seconds} == {None}:
            self.every = 1
        self.done: list[bytes] = []
        self.open = b""
        self.began = 0.0  # when the open one got its first byte
        self.is_overdue = False

    def segments(self, steps: Iterable[Step]) -> list[bytes]:
        for now, data in steps:
            self._expire(now)
            if not self.open:
                self.began = now
            self.open += data
            fresh = len(data)
            while (place := self._due_place(fresh)) is not None:
                self._cut(place)
                self.began = now
                fresh = min(fresh, len(self.open))
        return [*self.done, self.open]

    def _expire(self, now: float) -> None:
        if self.seconds is None or not self.open or now < self.began + self.seconds:
            return
        if self.open.endswith(self.delimiter):
            self._cut(len(self.open))
        else:
            self.is_overdue = True

    def _due_place(self, fresh: int) -> int | None:
        """Where to cut `open`, of which the last `fresh` bytes have just come: what
        came before is gone, and can be cut off only as a whole."""
        gone = len(self.open) - fresh
        places = [
            place
            for place in range(1, len(self.open) + 1)
            if self.open[:place].endswith(self.delimiter)
        ]
        at_hand = [place for place in places if place >= gone]
        if self.is_overdue:
            return min((place for place in at_hand if place > gone), default=None)
        if self.every is not None and len(places) >= self.every:
            full = places[self.every - 1]
            if self.size is None or full <= self.size:
                return full
        if self.size is None or len(self.open) < self.size:
            return None
        small = [place for place in at_hand if place <= self.size]
        return max(small) if small else min(at_hand, default=None)

    def _cut(self, place: int) -> None:
        self.done.append(self.open[:place])
        self.open = self.open[place:]
        self.is_overdue = False
