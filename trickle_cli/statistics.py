"""Frozen snapshots of what is going on, for whoever shows it: the live view,
plain lines, JSON. Polled; nothing calls back. Sizes are in bytes, times in seconds
of the monotonic clock of trio.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublisherStatistics:
    """`seq` is the segment that is being sent, or was last, None before the first;
    `segment_size` is what it has so far, `segment_age` how long it has taken so far;
    `last_size` and `last_age` are those of the one before, None if there is none.
    `lost` counts segments of which something may not have arrived; `waiting` tells what
    holds it up, "" if nothing does."""

    seq: int | None
    segment_size: int
    segment_age: float
    last_size: int | None
    last_age: float | None
    segments: int
    size: int
    lost: int
    reconnects: int
    waiting: str


@dataclass(frozen=True, kw_only=True)
class SubscriberStatistics:
    """`seq` is the segment that is being read, or was last, None before the first;
    `segment_size` is what has come of it, `segment_age` how long that took so far;
    `last_size` and `last_age` are those of the one before, None if there is none.
    `head` is what the server said last; `lost` counts segments that could not be had;
    `waiting` tells what holds it up, "" if nothing does."""

    seq: int | None
    head: int | None
    segment_size: int
    segment_age: float
    last_size: int | None
    last_age: float | None
    segments: int
    size: int
    lost: int
    incomplete: int
    reconnects: int
    waiting: str


@dataclass(frozen=True, kw_only=True)
class ChannelStatistics:
    """One channel of a server, in the shape in which its pages tell of it.

    `oldest` is the lowest seq it holds, None if none is; `segments` and `bytes` what it
    holds, `total_bytes` all it ever got, `rate` bytes a second over the last five.
    `created` and `written` (last, None if never) are RFC 3339, in UTC. A `closed`
    channel drains. A `lossless` one has let go of `let_go` readers that took nothing.
    """

    name: str
    type: str
    epoch: str
    head: int
    oldest: int | None
    segments: int
    bytes: int
    total_bytes: int
    readers: int
    publishers: int
    rate: float
    created: str
    written: str | None
    closed: bool
    lossless: bool
    let_go: int = 0


@dataclass(frozen=True, kw_only=True)
class ServerStatistics:
    """A server, and its channels by name. `memory` is what it takes to hold all of
    their segments."""

    connections: int
    memory: int
    channels: tuple[ChannelStatistics, ...]
