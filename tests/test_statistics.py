"""Snapshots: what was true when they were taken."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from trickle_cli.statistics import (
    ChannelStatistics,
    PublisherStatistics,
    ServerStatistics,
    SubscriberStatistics,
)

PUBLISHER = PublisherStatistics(
    seq=3,
    segment_size=10,
    segment_age=0.5,
    last_size=None,
    last_age=None,
    segments=3,
    size=40,
    lost=0,
    reconnects=0,
    waiting="",
)
SUBSCRIBER = SubscriberStatistics(
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
CHANNEL = ChannelStatistics(
    name="cam",
    type="video/mp2t",
    epoch="e",
    head=4,
    oldest=0,
    segments=4,
    bytes=40,
    total_bytes=40,
    readers=1,
    publishers=1,
    rate=8.0,
    created="2026-01-01T00:00:00.000Z",
    written="2026-01-01T00:00:05.000Z",
    closed=False,
    lossless=False,
)
SERVER = ServerStatistics(connections=2, memory=2280, channels=(CHANNEL,))

Statistics = (
    PublisherStatistics | SubscriberStatistics | ChannelStatistics | ServerStatistics
)
every_kind = pytest.mark.parametrize(
    "snapshot",
    [PUBLISHER, SUBSCRIBER, CHANNEL, SERVER],
    ids=lambda snapshot: type(snapshot).__name__,
)


@every_kind
def test_a_snapshot_cannot_be_changed(snapshot: Statistics) -> None:
    for field in fields(snapshot):
        with pytest.raises(FrozenInstanceError):
            setattr(snapshot, field.name, None)


@every_kind
def test_snapshots_of_the_same_state_are_equal(snapshot: Statistics) -> None:
    assert replace(snapshot) == snapshot
    assert len({snapshot, replace(snapshot)}) == 1
