"""What readers take that wait, and get nothing."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Final

from bench.measuring import KIB, Figure, Scale, cpu_of, memory_of
from bench.running import Peer, load, new_channel, server

#: Descriptors that a process needs besides its readers'.
_SPARE: Final = 200


def room() -> int:
    """How many readers a process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE


def cost(peer: Peer, readers: int, seconds: float) -> tuple[float, float]:
    """Bytes for each reader, and seconds of processor time in each second."""
    empty = memory_of(peer.pid)
    options = {"channels": [new_channel()], "readers": readers}
    with load("loads", peer, load="idle", **options) as work:
        full = memory_of(peer.pid)
        before = cpu_of(peer.pid)
        time.sleep(seconds)
        spent = cpu_of(peer.pid) - before
        work.go()
    return (full - empty) / readers, spent / seconds


def measure(scale: Scale) -> Iterator[Figure]:
    counts = [(300, "")] if scale.quick else [(5_000, ""), (10_000, "-10000")]
    for count, suffix in counts:
        readers = min(count, room())
        with server() as ours:
            memory, share = cost(ours, readers, scale.of(3, 1))
        yield Figure(
            name=f"idle.memory{suffix}",
            about=f"{readers} subscribers that wait, each",
            unit="KiB",
            value=memory / KIB,
            details={"CPU, % of a core": share * 100},
        )
