"""Small segments: what the server takes for each that it delivers; with a data
directory too, where the floor is the same server without one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from bench.measuring import Figure, Scale, alternate, cpu_of
from bench.running import Peer, floor, load, new_channel, server

SIZE: Final = 200
_LINE: Final = 40
_MICROSECONDS: Final = 1e6


def cost(
    peer: Peer, readers: int, segments: int, *, channels: int = 1, size: int = SIZE
) -> float:
    """Microseconds of processor time for each segment delivered."""
    sizes = {"readers": readers, "segments": segments, "size": size}
    return _spent(peer, "exchange", channels, sizes) / (readers * channels * segments)


def visit_cost(peer: Peer, visits: int, *, channels: int = 1) -> float:
    """Microseconds of processor time for each connection that gets one segment, which
    is there, and goes: from each of `channels` in turn."""
    return _spent(peer, "visits", channels, {"visits": visits, "size": SIZE}) / visits


def _spent(peer: Peer, kind: str, channels: int, options: dict[str, int]) -> float:
    """Microseconds of processor time that a load on so many channels takes."""
    names = [new_channel() for _ in range(channels)]
    with load("loads", peer, load=kind, channels=names, **options) as work:
        before = cpu_of(peer.pid)
        work.go()
        return (cpu_of(peer.pid) - before) * _MICROSECONDS


def loads(scale: Scale) -> Iterator[tuple[str, str, Callable[[Peer], float]]]:
    """A name, what it is, and what it costs a server."""
    many = partial(cost, readers=100, segments=scale.of(300, 30))
    yield "1-100", "1 → 100, 200 B segments", many
    few = partial(cost, readers=1, segments=scale.of(500, 50), channels=20)
    yield "20x1-1", "20 × (1 → 1), 200 B segments", few
    visits = partial(visit_cost, visits=scale.of(3_000, 100))
    yield "visits", "a connection for each 200 B segment", visits


def measure(scale: Scale) -> Iterator[Figure]:
    for name, about, takes in loads(scale):
        with server() as ours, floor() as bare:
            costs = partial(takes, ours), partial(takes, bare)
            value, least = alternate(scale.rounds, *costs)
        yield Figure(
            name=f"small.{name}",
            about=about,
            unit="µs/segment",
            value=value,
            floor=least,
        )


def measure_kept(scale: Scale) -> Iterator[Figure]:
    segments = scale.of(20_000, 500)
    with (
        tempfile.TemporaryDirectory() as folder,
        server("--data-dir", folder) as ours,
        server() as forgetful,
    ):
        value, least = alternate(
            scale.rounds,
            lambda: cost(ours, 1, segments, size=_LINE),
            lambda: cost(forgetful, 1, segments, size=_LINE),
        )
    yield Figure(
        name="small.data-dir",
        about=f"1 → 1, {segments} one-line segments with --data-dir",
        unit="µs/segment",
        value=value,
        floor=least,
        floor_is="the same in memory",
    )
