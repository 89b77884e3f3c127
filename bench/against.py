"""Another server, as the Go reference, under the same loads as ours, which take turns.
Left out where no command for one is given (`--reference`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final

from bench import fanout, idle, latency, small
from bench.measuring import KIB, Figure, Scale, alternate, percentile
from bench.running import Peer, load, new_channel, reference, server

#: What a figure's floor is here.
OTHER: Final = "the other server"
_INTERVAL: Final = 0.002
_SIZE: Final = 10_000


def _lost(peer: Peer, readers: int, segments: int) -> float:
    options = {"channels": [new_channel()], "readers": readers, "segments": segments}
    sizes = {"size": _SIZE, "interval": _INTERVAL}
    with load("loads", peer, load="freely", **options, **sizes) as work:
        return float(work.go()["lost"])


def _latency(scale: Scale, ours: Peer, other: Peer) -> Iterator[Figure]:
    segments = scale.of(300, 20)
    seen: list[list[list[float]]] = [[], []]
    for _ in range(scale.rounds):
        for peer, delays in zip((ours, other), seen, strict=True):
            delays.append(latency.delays(peer, segments))
    for name in ("p50", "p99"):
        share = latency.SHARES[name]
        value, others = (median(percentile(d, share) for d in ds) for ds in seen)
        about = f"{latency.READERS} readers, 10 kB every 16 ms, {name}"
        yield _figure(f"latency-{name}", about, "ms", value * 1e3, others * 1e3)


def _figure(name: str, about: str, unit: str, value: float, other: float) -> Figure:
    return Figure(
        name=f"against.{name}",
        about=about,
        unit=unit,
        value=value,
        floor=other,
        floor_is=OTHER,
    )


#: What is measured of a server in one way.
_Cost = Callable[[Peer], float]


def _loads(scale: Scale) -> Iterator[tuple[str, str, str, _Cost]]:
    """Those that give one number: a name, what it is, its unit, and how to get it."""
    chunks = "1 MiB segments in 64 KiB chunks"
    for readers, segments in ((50, scale.of(16, 2)), (1, scale.of(200, 10))):
        # Not every server goes on as well in the middle of a channel.
        cost = partial(fanout.cost, readers=readers, segments=segments, before=0)
        yield f"fanout-1-{readers}", f"1 → {readers}, {chunks}", "s/GB", cost
    for name, about, takes in small.loads(scale):
        yield f"small-{name}", about, "µs/segment", takes
    readers, segments = scale.of(50, 10), scale.of(2_000, 100)
    about = (
        f"1 → {readers}, 10 kB every 2 ms, whether taken or not: lost"
        f" of {segments * readers:,}"
    )
    lost = partial(_lost, readers=readers, segments=segments)
    yield "lost", about, "segments", lost


def measure(scale: Scale) -> Iterator[Figure]:
    if not scale.reference:
        return
    with server() as ours, reference(scale.reference) as other:
        for name, about, unit, cost in _loads(scale):
            takes = partial(cost, ours), partial(cost, other)
            yield _figure(name, about, unit, *alternate(scale.rounds, *takes))
        yield from _latency(scale, ours, other)
    # Of memory, what was there before must not count: each has a new process.
    readers = min(scale.of(5_000, 300), idle.room())
    with server() as ours, reference(scale.reference) as other:
        memory, others = (
            idle.cost(peer, readers, 0.0001)[0] / KIB for peer in (ours, other)
        )
    about = f"{readers} subscribers that wait, each"
    yield _figure("idle-memory", about, "KiB", memory, others)
