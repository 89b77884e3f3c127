"""How long a segment takes from its publisher's send to each of 200 readers."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from bench.measuring import Figure, Scale, percentile
from bench.running import Peer, floor, load, new_channel, server

_READERS: Final = 200
_SIZE: Final = 10_000
_INTERVAL: Final = 0.016
_SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
_MILLISECONDS: Final = 1e3


def _delays(peer: Peer, segments: int) -> list[float]:
    options = {"channels": [new_channel()], "readers": _READERS, "segments": segments}
    sizes = {"size": _SIZE, "interval": _INTERVAL}
    with load("loads", peer, load="exchange", **options, **sizes) as work:
        delays: list[float] = work.go()["delays"]
        return delays


def measure(scale: Scale) -> Iterator[Figure]:
    segments = scale.of(300, 20)
    ours_seen, bare_seen = [], []
    with server() as ours, floor() as bare:
        for _ in range(scale.rounds):
            ours_seen.append(_delays(ours, segments))
            bare_seen.append(_delays(bare, segments))
    for name, share in _SHARES.items():
        value, least = (
            median(percentile(delays, share) for delays in seen) * _MILLISECONDS
            for seen in (ours_seen, bare_seen)
        )
        yield Figure(
            name=f"latency.{name}",
            about=f"{_READERS} readers, 10 kB every 16 ms, {name}",
            unit="ms",
            value=value,
            floor=least,
        )
