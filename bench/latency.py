"""How long a segment takes from its publisher's send to each of 200 readers."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from bench.measuring import Figure, Scale, percentile
from bench.running import Peer, floor, load, new_channel, server

READERS: Final = 200
_SIZE: Final = 10_000
_INTERVAL: Final = 0.016
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
_MILLISECONDS: Final = 1e3


def delays(peer: Peer, segments: int) -> list[float]:
    """Of every segment to every reader, in seconds, ascending."""
    options = {"channels": [new_channel()], "readers": READERS, "segments": segments}
    sizes = {"size": _SIZE, "interval": _INTERVAL}
    with load("loads", peer, load="exchange", **options, **sizes) as work:
        seen: list[float] = work.go()["delays"]
        return seen


def measure(scale: Scale) -> Iterator[Figure]:
    segments = scale.of(300, 20)
    ours_seen, bare_seen = [], []
    with server() as ours, floor() as bare:
        for _ in range(scale.rounds):
            ours_seen.append(delays(ours, segments))
            bare_seen.append(delays(bare, segments))
    for name, share in SHARES.items():
        value, least = (
            median(percentile(each, share) for each in seen) * _MILLISECONDS
            for seen in (ours_seen, bare_seen)
        )
        yield Figure(
            name=f"latency.{name}",
            about=f"{READERS} readers, 10 kB every 16 ms, {name}",
            unit="ms",
            value=value,
            floor=least,
        )
