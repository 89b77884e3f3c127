"""Many channels, each with a publisher, a reader and a segment a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from bench.measuring import KIB, Figure, Scale, cpu_of, memory_of
from bench.running import load, server

_SIZE: Final = 200
#: Seconds between sweeps where they are measured; the usual ones do not come to it.
_SWEEP: Final = 0.1
_PERCENT: Final = 100


def tick(channels: int, seconds: int) -> tuple[float, float]:
    """CPU in seconds for each second, and bytes for each channel."""
    names = [f"c{number}" for number in range(channels)]
    with server() as ours:
        empty = memory_of(ours.pid)
        options = {"channels": names, "readers": 1, "size": _SIZE, "seconds": seconds}
        with load("loads", ours, load="ticking", **options) as work:
            full = memory_of(ours.pid)
            before = cpu_of(ours.pid)
            took = work.go()["seconds"]
            spent = cpu_of(ours.pid) - before
    return spent / took, (full - empty) / channels


def _sweeping(channels: int, interval: float, seconds: float) -> float:
    """CPU in seconds for each second, while nothing happens but sweeps."""
    names = [f"c{number}" for number in range(channels)]
    options = {"channels": names, "readers": 0, "size": _SIZE, "seconds": 0}
    with (
        server("--sweep-interval", f"{interval}s") as ours,
        load("loads", ours, load="ticking", **options),
    ):
        before = cpu_of(ours.pid)
        time.sleep(seconds)
        return (cpu_of(ours.pid) - before) / seconds


def measure(scale: Scale) -> Iterator[Figure]:
    channels, seconds = scale.of(2_000, 100), scale.of(5, 1)
    share, memory = tick(channels, seconds)
    about = f"{channels} channels, 1 → 1, a segment a second each"
    yield Figure(
        name="channels.cpu", about=about, unit="% of a core", value=share * _PERCENT
    )
    yield Figure(
        name="channels.memory",
        about=f"{about}: a channel with its two connections",
        unit="KiB",
        value=memory / KIB,
    )
    often, seldom = (
        _sweeping(channels, interval, seconds) for interval in (_SWEEP, 60)
    )
    yield Figure(
        name="channels.sweep",
        about=f"a sweep over {channels} channels",
        unit="ms",
        value=max(often - seldom, 0) * _SWEEP * 1e3,
    )
