"""How the server fares, for Prometheus: `GET /_/metrics`.

Of the channels, those that got most bytes are told of by name; the others are one
together, so that strangers who make channels make no time series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)

from trickle_cli.access import Caller
from trickle_cli.protocol.responses import Answer
from trickle_cli.relay import Channel, Hub
from trickle_cli.server.ledger import Ledger
from trickle_cli.server.pages import visible_channels
from trickle_cli.version import __version__

#: Channels with a label of their own, and the label of all others together: no channel
#: of anybody's is called so.
MAX_LABELS: Final = 100
OTHERS: Final = "_others"
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class _Collector:
    """What there is to tell `caller`."""

    def __init__(
        self, hub: Hub, ledger: Ledger, connections: int, caller: Caller
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._connections = connections
        self._caller = caller

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "trickle_connections", "Open connections.", self._connections
        )
        yield GaugeMetricFamily(
            "trickle_memory_bytes",
            "What it takes to hold all segments.",
            self._hub.memory.used,
        )
        yield GaugeMetricFamily(
            "trickle_channels", "Channels that are not closed.", len(self._hub)
        )
        yield CounterMetricFamily(
            "trickle_delivered_bytes",
            "Bytes of segments in answers that came to their end.",
            self._ledger.delivered,
        )
        responses = CounterMetricFamily(
            "trickle_responses", "Answers, by status.", labels=["status"]
        )
        for status, count in sorted(self._ledger.statuses.items()):
            responses.add_metric([str(status)], count)
        yield responses
        info = GaugeMetricFamily("trickle_info", "The version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from self._collect_channels()

    def _collect_channels(self) -> Iterator[Metric]:
        channels = visible_channels(self._hub, self._caller)
        channels.sort(key=lambda channel: -channel.total)
        groups = [(c.name, [c]) for c in channels[:MAX_LABELS]]
        if len(channels) > MAX_LABELS:
            groups.append((OTHERS, channels[MAX_LABELS:]))
        for name, help_, value in _PER_CHANNEL:
            gauge = GaugeMetricFamily(
                f"trickle_channel_{name}", help_, labels=["channel"]
            )
            for label, members in groups:
                gauge.add_metric([label], sum(map(value, members)))
            yield gauge


_PER_CHANNEL: Final[tuple[tuple[str, str, Callable[[Channel], int]], ...]] = (
    ("head", "The seq that begins next.", lambda c: c.head),
    ("segments", "Segments held.", len),
    ("bytes", "Bytes held.", lambda c: c.size),
    ("published_bytes", "Bytes that it ever got.", lambda c: c.total),
    ("readers", "Readers.", lambda c: c.readers),
    (
        "publishers",
        "Publishers, as far as they can be told apart.",
        lambda c: c.publishers,
    ),
)


def show_metrics(hub: Hub, ledger: Ledger, connections: int, caller: Caller) -> Answer:
    """The page, as `caller` may see it."""
    registry = CollectorRegistry()
    registry.register(_Collector(hub, ledger, connections, caller))
    return Answer(type=_TYPE, body=generate_latest(registry))
