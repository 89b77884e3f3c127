"""Small segments: what the server takes for each that it delivers; with a data
directory too, where the floor is the same server without one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
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
    options = {"channels": [new_channel() for _ in range(channels)], "readers": readers}
    sizes = {"size": size, "segments": segments}
    with load("loads", peer, load="exchange", **options, **sizes) as work:
        before = cpu_of(peer.pid)
        work.go()
        spent = cpu_of(peer.pid) - before
    return spent * _MICROSECONDS / (readers * channels * segments)


def visit_cost(peer: Peer, visits: int, *, channels: int = 1) -> float:
    """Microseconds of processor time for each connection that gets one segment, which
    is there, and goes: from each of `channels` in turn."""
    options = {"channels": [new_channel() for _ in range(channels)], "visits": visits}
    with load("loads", peer, load="visits", size=SIZE, **options) as work:
        before = cpu_of(peer.pid)
        work.go()
        spent = cpu_of(peer.pid) - before
    return spent * _MICROSECONDS / visits


def measure(scale: Scale) -> Iterator[Figure]:
    shapes = (
        ("1-100", "1 → 100, 200 B segments", 100, scale.of(300, 30), 1),
        ("20x1-1", "20 × (1 → 1), 200 B segments", 1, scale.of(500, 50), 20),
    )
    for name, about, readers, segments, channels in shapes:
        with server() as ours, floor() as bare:
            costs = [
                partial(cost, peer, readers, segments, channels=channels)
                for peer in (ours, bare)
            ]
            value, least = alternate(scale.rounds, *costs)
        yield Figure(
            name=f"small.{name}",
            about=about,
            unit="µs/segment",
            value=value,
            floor=least,
        )
    with server() as ours, floor() as bare:
        costs = [
            partial(visit_cost, peer, scale.of(3_000, 100)) for peer in (ours, bare)
        ]
        value, least = alternate(scale.rounds, *costs)
    yield Figure(
        name="small.visits",
        about="a connection for each 200 B segment",
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
