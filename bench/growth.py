"""How cost grows with the work: the same at 1, 2, 4 and 8 times as much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Final

from bench import channels, fanout, small
from bench.measuring import Figure, Scale, exponent
from bench.running import server

_TIMES: Final = (1, 2, 4, 8)


def _figure(
    name: str, about: str, scale: Scale, total: Callable[[int], float], base: int
) -> Figure:
    """`total` is what so much work costs, all together. Each round does it all: what
    the machine does besides is to fall on all of it alike."""
    sizes = [base * times for times in _TIMES[: scale.of(4, 2)]]
    rounds = [[total(size) for size in sizes] for _ in range(scale.rounds)]
    costs = map(median, zip(*rounds, strict=True))
    points = tuple(zip(sizes, costs, strict=True))
    return Figure(
        name=f"growth.{name}",
        about=about,
        unit="",
        value=exponent(points),
        series=points,
    )


def measure(scale: Scale) -> Iterator[Figure]:
    segments = scale.of(8, 1)
    with server() as ours:
        yield _figure(
            "fanout",
            "exponent: 1 → 10, 20, 40, 80 readers of 64 KiB chunks",
            scale,
            lambda readers: fanout.cost(ours, readers, segments) * readers,
            10,
        )
    repeats = scale.of(200, 20)
    with server() as ours:
        yield _figure(
            "small",
            "exponent: 1 → 50, 100, 200, 400 readers of 200 B segments",
            scale,
            lambda readers: small.cost(ours, readers, repeats) * readers,
            50,
        )
    yield _figure(
        "channels",
        "exponent: 250, 500, 1000, 2000 channels with a segment a second each",
        scale,
        lambda count: channels.tick(count, scale.of(4, 1))[0],
        scale.of(250, 20),
    )
