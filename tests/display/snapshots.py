"""Statistics, of which a test gives only what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trickle_cli.statistics import (
    ChannelStatistics,
    PublisherStatistics,
    ServerStatistics,
    SubscriberStatistics,
)

_CHANNEL = ChannelStatistics(
    name="",
    type="text/plain",
    epoch="one",
    head=0,
    oldest=None,
    segments=0,
    bytes=0,
    total_bytes=0,
    readers=0,
    publishers=0,
    rate=0.0,
    created="2026-01-01T00:00:00.000Z",
    written=None,
    closed=False,
    lossless=False,
)
_PUBLISHER = PublisherStatistics(
    seq=None,
    segment_size=0,
    segment_age=0.0,
    last_size=None,
    last_age=None,
    segments=0,
    size=0,
    lost=0,
    reconnects=0,
    waiting="",
)
_SUBSCRIBER = SubscriberStatistics(
    seq=None,
    head=None,
    segment_size=0,
    segment_age=0.0,
    last_size=None,
    last_age=None,
    segments=0,
    size=0,
    lost=0,
    incomplete=0,
    reconnects=0,
    waiting="",
)


def channel(name: str, **fields: Any) -> ChannelStatistics:
    return replace(_CHANNEL, name=name, **fields)


def server(*channels: ChannelStatistics, connections: int = 0) -> ServerStatistics:
    return ServerStatistics(connections=connections, memory=0, channels=channels)


def publisher(**fields: Any) -> PublisherStatistics:
    return replace(_PUBLISHER, **fields)


def subscriber(**fields: Any) -> SubscriberStatistics:
    return replace(_SUBSCRIBER, **fields)
