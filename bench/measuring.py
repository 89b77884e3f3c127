"""How figures are taken: processor time from the operating system, in rounds that
alternate between what is measured and its floor, of which the medians count.

Wall time says how busy the machine was; processor time says what the work took. Of a
server it is read from outside, so nothing is added to what is measured.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

_PROC: Final = Path("/proc")
_NANOSECONDS: Final = 1e9
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
KIB: Final = 1024
GB: Final = 1e9


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is done: `rounds` of each figure; `quick` for a look at whether all of
    it works, of which the figures say little. `reference` is the command of another
    server to be held against, if there is one."""

    rounds: int
    quick: bool
    reference: str = ""

    def of(self, full: int, quick: int) -> int:
        return quick if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One result. `value` is in `unit`; `floor` is what the same took without us, of
    which `floor_is` tells what it was; `beside` are others that did the same; `details`
    what else was seen. `series` holds points (work, cost) for a plot."""

    name: str
    about: str
    unit: str
    value: float
    floor: float | None = None
    floor_is: str = "bare sockets"
    beside: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, float] = field(default_factory=dict)
    series: tuple[tuple[float, float], ...] = ()

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None


def family(pid: int) -> set[int]:
    """`pid` and all that it started, and they."""
    parents: dict[int, list[int]] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, new = set(), [pid]
    while new:
        found.add(new[-1])
        new += parents.get(new.pop(), [])
    return found


def cpu_of(pid: int, *, alone: bool = False) -> float:
    """Seconds of processor time that a process has had, and its children, if it is not
    meant `alone`.

    From schedstat, which counts nanoseconds, where stat counts ticks of 10 ms.
    """
    total = 0
    for member in {pid} if alone else family(pid):
        for task in (_PROC / str(member) / "task").glob("*/schedstat"):
            with suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / _NANOSECONDS


def memory_of(pid: int) -> float:
    """Bytes in memory of a process and its children."""
    pages = 0
    for member in family(pid):
        with suppress(OSError):
            pages += int((_PROC / str(member) / "statm").read_text().split()[1])
    return float(pages * _PAGE)


def alternate(rounds: int, *takes: Callable[[], float]) -> tuple[float, ...]:
    """The medians of what each of `takes` measures, when they take turns."""
    seen = [[take() for take in takes] for _ in range(rounds)]
    return tuple(median(column) for column in zip(*seen, strict=True))


def exponent(points: tuple[tuple[float, float], ...]) -> float:
    """How cost grows with work, by least squares on logarithms: 1.0 is linear."""
    xs = [math.log(work) for work, _ in points]
    ys = [math.log(cost) for _, cost in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return over / sum((x - x_mean) ** 2 for x in xs)


def percentile(ordered: list[float], share: float) -> float:
    """Of values in ascending order, the one below which `share` of them lie."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


Measure = Callable[[Scale], Iterator[Figure]]
