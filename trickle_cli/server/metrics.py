"""How the server fares, for Prometheus: `GET /_/metrics`.

Of the channels, those that got most bytes are told of by name; the others are one
together, so that strangers who make channels make no time series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from trickle_cli.protocol.responses import Answer
from trickle_cli.relay import Channel
from trickle_cli.version import __version__

#: Channels with a label of their own, and the label of all others together: no channel
#: of anybody's is called so.
MAX_LABELS: Final = 100
OTHERS: Final = "_others"
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Figures(NamedTuple):
    """What is told of one channel; `bytes` and `segments` are those that it holds."""

    name: str
    head: int
    segments: int
    bytes: int
    published_bytes: int
    readers: int
    publishers: int


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What is told of the whole server: open `connections` and `channels`, `memory`
    that all segments take, `delivered` bytes of them, answers by their `statuses`."""

    connections: int
    channels: int
    memory: int
    delivered: int
    statuses: Mapping[int, int]


class _Collector:
    """All that there is to tell."""

    def __init__(self, sums: Sums, channels: Sequence[Figures]) -> None:
        self._sums = sums
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        sums = self._sums
        yield GaugeMetricFamily(
            "trickle_connections", "Open connections.", sums.connections
        )
        yield GaugeMetricFamily(
            "trickle_memory_bytes", "What it takes to hold all segments.", sums.memory
        )
        yield GaugeMetricFamily(
            "trickle_channels", "Channels that are not closed.", sums.channels
        )
        yield CounterMetricFamily(
            "trickle_delivered_bytes",
            "Bytes of segments in answers that came to their end.",
            sums.delivered,
        )
        responses = CounterMetricFamily(
            "trickle_responses", "Answers, by status.", labels=["status"]
        )
        for status, count in sorted(sums.statuses.items()):
            responses.add_metric([str(status)], count)
        yield responses
        info = GaugeMetricFamily("trickle_info", "The version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._collect_channels()

    def _collect_channels(self) -> Iterator[Metric]:
        channels = sorted(self._channels, key=lambda c: (-c.published_bytes, c.name))
        groups = [(c.name, [c]) for c in channels[:MAX_LABELS]]
        if len(channels) > MAX_LABELS:
            groups.append((OTHERS, channels[MAX_LABELS:]))
        for index, (name, help_) in enumerate(_PER_CHANNEL, 1):
            gauge = GaugeMetricFamily(
                f"trickle_channel_{name}", help_, labels=["channel"]
            )
            for label, members in groups:
                gauge.add_metric([label], sum(member[index] for member in members))  # type: ignore[misc]
            yield gauge


#: In the order of Figures.
_PER_CHANNEL: Final = (
    ("head", "The seq that begins next."),
    ("segments", "Segments held."),
    ("bytes", "Bytes held."),
    ("published_bytes", "Bytes that it ever got."),
    ("readers", "Readers."),
    ("publishers", "Publishers, as far as they can be told apart."),
)


def figures_of(channel: Channel) -> Figures:
    """Those of a channel of ours."""
    return Figures(
        channel.name,
        channel.head,
        len(channel),
        channel.size,
        channel.total,
        channel.readers,
        channel.publishers,
    )


def show_metrics(sums: Sums, channels: Sequence[Figures]) -> Answer:
    """The page, with these `channels`."""
    registry = CollectorRegistry()
    registry.register(_Collector(sums, channels))
    return Answer(type=_TYPE, body=generate_latest(registry))
