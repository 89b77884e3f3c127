"""How much a server keeps, and how much it lets anyone ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a channel retains. The oldest segments go when any bound is passed.

    `segments` a count · `size` bytes · `seconds` since a segment was complete
    · `floor` so many of the newest are kept whatever the other bounds say.
    """

    segments: int = 50_000
    size: int = 64 * 1024 * 1024
    seconds: float = 120
    floor: int = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a hub's tables, and the times after which it gives up waiting.

    `memory` bytes that all channels hold together, what it takes to keep them
    included: when it is more, the channels that hold most lose their oldest segments,
    whatever their windows say. `channels` on the hub; `readers` and `publications`
    (open POSTs) per channel. `segment_size` bytes of one segment. All times are in
    seconds: `linger` a
    closed channel is still served, after its end and after it was last read;
    `resume` a segment whose publisher vanished stays open; `skip` a seq that the
    head has passed is still waited for; `lease` a lossless channel keeps what a reader
    does not take.
    """

    window: Window = field(default_factory=Window)
    memory: int = 1024 * 1024 * 1024
    channels: int = 10_000
    readers: int = 10_000
    publications: int = 64
    segment_size: int = 32 * 1024 * 1024
    linger: float = 60
    resume: float = 5
    skip: float = 1
    lease: float = 10
