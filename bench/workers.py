"""Many channels with one process, and with two workers; and a model of what more cores
would bring. Left out where `trickle serve` has no `--workers`.

The generator of the load takes its part of the machine's cores, so wall time on few of
them says more of it than of the server. The model is made of processor time instead:

    segments a second with N workers = the lesser of
        N / (imbalance × (work + hand-over))     the busiest worker has no time left
        1 / undivided                            what does not divide has none left

`work` is what a segment costs with two workers, wherever that is done; `hand-over` what
a connection costs that came to the wrong worker, N - 1 of N of them, shared by the
segments that it carries; `imbalance` how much more than its share the busiest worker
has, where names are dealt out by chance; `undivided` what the supervisor, of which
there is one, takes for a segment. Not in it: what the kernel's own locks, and the
memory's bandwidth, take from many cores at once. So it is the most to be hoped for.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Final

from bench import small
from bench.measuring import Figure, Scale, alternate, cpu_of
from bench.running import TRICKLE, Peer, environment, load, new_channel, server

_TWO: Final = ("--workers", "2")
_SIZE: Final = 200
#: Channels that are visited in turn.
_VISITED: Final = 16
#: Cores that are modelled.
_CORES: Final = (1, 2, 4, 8, 16, 32, 64)
#: Channels in the model, and how often they are dealt out.
_NAMES: Final = 10_000
_DEALS: Final = 20
#: Segments that a connection carries in the model: few, as those of a camera that is
#: looked at for a minute.
_CARRIED: Final = 60
_MICROSECONDS: Final = 1e6


def is_there() -> bool:
    """Whether this server can have workers."""
    command = (*TRICKLE, "serve", "--help")
    shown = subprocess.run(
        command, env=environment(), check=True, capture_output=True, text=True
    )
    return "--workers" in shown.stdout


def imbalance(names: int, workers: int) -> float:
    """The share of the busiest of `workers` that `names` are dealt out to, over that of
    all."""
    chance = random.Random(workers)
    most = median(
        max(Counter(chance.choices(range(workers), k=names)).values())
        for _ in range(_DEALS)
    )
    return most * workers / names


def modelled(cores: int, *, work: float, handover: float, undivided: float) -> float:
    """Segments a second with as many workers as cores. All costs are in seconds."""
    wrong = (cores - 1) / cores * handover / _CARRIED
    divided = cores / (imbalance(_NAMES, cores) * (work + wrong))
    return min(divided, 1 / undivided) if undivided > 0 else divided


class _Seen:
    """What the rounds brought: segments a second, and seconds of processor time for
    each, of all processes and of the first alone."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.costs: list[float] = []
        self.firsts: list[float] = []

    def take(self, peer: Peer, channels: int, segments: int) -> None:
        """One round, from two processes that make the load, as the server has two."""
        names = [new_channel() for _ in range(channels)]
        options = {"load": "exchange", "readers": 1, "size": _SIZE}
        with ExitStack() as stack:
            works = [
                stack.enter_context(
                    load("loads", peer, channels=half, segments=segments, **options)
                )
                for half in (names[::2], names[1::2])
            ]
            first, everything = cpu_of(peer.pid, alone=True), cpu_of(peer.pid)
            for work in works:
                work.begin()
            took = max(work.says()["seconds"] for work in works)
            count = channels * segments
            self.rates.append(count / took)
            self.costs.append((cpu_of(peer.pid) - everything) / count)
            self.firsts.append((cpu_of(peer.pid, alone=True) - first) / count)


def measure(scale: Scale) -> Iterator[Figure]:
    if not is_there():
        return
    channels, segments = scale.of(100, 10), scale.of(100, 10)
    visits = scale.of(2_000, 100)
    one, two = _Seen(), _Seen()
    with server() as single, server(*_TWO) as double:
        for _ in range(scale.rounds):
            one.take(single, channels, segments)
            two.take(double, channels, segments)
        alone, shared = alternate(
            scale.rounds,
            partial(small.visit_cost, single, visits, channels=_VISITED),
            partial(small.visit_cost, double, visits, channels=_VISITED),
        )
    about = f"{channels} × (1 → 1), 200 B segments, 2 workers"
    yield Figure(
        name="workers.throughput",
        about=f"{about} on 2 cores, the load on them too",
        unit="segments/s",
        value=median(two.rates),
        floor=median(one.rates),
        floor_is="one process",
    )
    work, undivided = median(two.costs), median(two.firsts)
    yield Figure(
        name="workers.cpu",
        about=f"{about}: all processes",
        unit="µs/segment",
        value=work * _MICROSECONDS,
        floor=median(one.costs) * _MICROSECONDS,
        floor_is="one process",
        details={"the supervisor alone": undivided * _MICROSECONDS},
    )
    # With two workers, every other connection comes to the wrong one.
    handover = max(0.0, 2 * (shared - alone))
    yield Figure(
        name="workers.handover",
        about="a connection for one segment, 2 workers, half of them handed over",
        unit="µs/connection",
        value=shared,
        floor=alone,
        floor_is="one process",
        details={"for each handed over": handover},
    )
    at = partial(
        modelled,
        work=work - undivided,
        handover=handover / _MICROSECONDS,
        undivided=undivided,
    )
    points = tuple((float(cores), at(cores)) for cores in _CORES)
    yield Figure(
        name="workers.model",
        about=f"modelled, not measured: 64 workers on 64 cores, {_NAMES:,} channels,"
        f" {_CARRIED} segments of 200 B for each connection",
        unit="segments/s",
        value=points[-1][1],
        details={
            "times one process": points[-1][1] * median(one.costs),
            "2 workers on 2 cores, times one process": at(2) * median(one.costs),
            "busiest worker, of its share": imbalance(_NAMES, _CORES[-1]),
        },
        series=points,
    )
