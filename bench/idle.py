"""What readers take that wait, and get nothing."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Final

from bench.measuring import KIB, Figure, Scale, cpu_of, memory_of
from bench.running import load, new_channel, server

#: Descriptors that a process needs besides its readers'.
_SPARE: Final = 200


def _room() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE


def measure(scale: Scale) -> Iterator[Figure]:
    seconds = scale.of(3, 1)
    counts = [(300, "")] if scale.quick else [(5_000, ""), (10_000, "-10000")]
    for count, suffix in counts:
        readers = min(count, _room())
        with server() as ours:
            empty = memory_of(ours.pid)
            options = {"channels": [new_channel()], "readers": readers}
            with load("loads", ours, load="idle", **options) as work:
                full = memory_of(ours.pid)
                before = cpu_of(ours.pid)
                time.sleep(seconds)
                spent = cpu_of(ours.pid) - before
                work.go()
        yield Figure(
            name=f"idle.memory{suffix}",
            about=f"{readers} subscribers that wait, each",
            unit="KiB",
            value=(full - empty) / readers / KIB,
            details={"CPU, % of a core": spent / seconds * 100},
        )
