"""Segments of a line each over a distance of 50 ms there and back: as many in a second
as our clients publish, and get of a channel that is full. Wall time, for once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final

from bench.clients import filled
from bench.measuring import Figure, Scale, alternate
from bench.running import Peer, delayed, load, new_channel, server

_DELAY: Final = 0.025
_LINE: Final = 40
#: More than could come in the time.
_PLENTY: Final = 30_000
_ENDLESS: Final = 10_000_000
#: Seconds that a publisher goes on longer than it is listened to.
_MARGIN: Final = 1.0


def _rate(peer: Peer, client: str, side: str, seconds: float, channel: str) -> float:
    options = {"client": client, "side": side, "segments": _PLENTY, "size": _LINE}
    channel = channel or new_channel()
    with load("client_work", peer, channel=channel, seconds=seconds, **options) as work:
        told = work.go()
        return float(told["segments"] / told["seconds"])


def _live(near: Peer, far: Peer, seconds: float) -> dict[str, float]:
    """What a subscriber gets over the distance while a publisher, which is near to the
    server, sends as fast as it can."""
    options = {"client": "ours", "size": _LINE, "channel": new_channel()}
    with (
        load(
            "client_work",
            near,
            **options,
            side="publish",
            segments=_ENDLESS,
            seconds=seconds + _MARGIN,
        ) as giving,
        load(
            "client_work",
            far,
            **options,
            side="subscribe",
            segments=_ENDLESS,
            seconds=seconds,
        ) as taking,
    ):
        giving.begin()
        taken = taking.go()
        given = giving.says()
    return {
        "received": taken["segments"] / taken["seconds"],
        "published": given["segments"] / given["seconds"],
        "lost": taken["lost"],
    }


def _measure_live(scale: Scale, near: Peer, far: Peer) -> Figure:
    seconds = scale.of(4, 1)
    rounds = scale.of(min(scale.rounds, 3), 1)
    seen = [_live(near, far, seconds) for _ in range(rounds)]
    middle = {name: median(each[name] for each in seen) for name in seen[0]}
    return Figure(
        name="distance.live",
        about="subscribe to a publisher at full speed on the far side, lines, 50 ms",
        unit="segments/s",
        value=middle["received"],
        details={"published": middle["published"], "lost": middle["lost"]},
    )


def measure(scale: Scale) -> Iterator[Figure]:
    seconds = scale.of(4, 1)
    with (
        server("--autocreate", "--keep-seconds", "1h") as near,
        delayed(near, _DELAY) as far,
    ):
        full = filled(near, _PLENTY if not scale.quick else 4_000, _LINE)
        for side, channel in (("publish", ""), ("subscribe", full)):
            takes: list[Callable[[], float]] = [
                partial(_rate, far, client, side, seconds, channel)
                for client in ("ours", "aiohttp")
            ]
            value, other = alternate(scale.of(min(scale.rounds, 3), 1), *takes)
            yield Figure(
                name=f"distance.{side}",
                about=f"{side} segments of a line each, 50 ms there and back",
                unit="segments/s",
                value=value,
                beside={"aiohttp": other},
            )
        yield _measure_live(scale, near, far)
