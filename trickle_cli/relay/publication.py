"""The writing end of a segment: one open POST, or a local writer.

A publication may be open long before its first byte ("preconnected"), so it is
bound to a segment when it opens, or, if it asked for the head (-1), at its first
byte. The channel moves its head only when something begins.

Others can end what it writes to: the channel is closed, the segment deleted, a
second publisher ends it first. Then `verdict` tells how its request is to be
answered, `judged` is called once, and whatever it still writes is dropped.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from trickle_cli.relay.segment import Reader, Segment


class Verdict(enum.Enum):
    """Why a publication is over before its publisher ended it."""

    ENDED = "ended"  # somebody else ended the segment: it is as if we had
    CLOSED = "closed"  # the channel is closed
    TOO_LARGE = "too large"  # the segment reached its limit and is incomplete
    EVICTED = "evicted"  # the segment fell out of the window while open
    SUPERSEDED = "superseded"  # its publisher has come again, by another way


class Writable(Protocol):
    """What a publication asks of its channel."""

    head: int
    epoch: str
    written: float

    def write(
        self, publication: Publication, chunks: Sequence[bytes], *, end: bool
    ) -> Sequence[Reader]:
        """See `Publication.write`."""

    def leave(self, publication: Publication) -> None:
        """See `Publication.abandon`."""


class Publication:
    """Opened by `Channel.publish`; `write` until the end, `abandon` otherwise.

    Subclasses say what a verdict means to them. `segment` is None until it is
    known; `channel` is None until it is open.

    `owner` is what its publisher is known by when it comes again, b"" if by nothing.
    Such a one says at which byte of the segment it begins (`offset`), and what is
    there already is passed over: `skip` is how many bytes of that are still to come,
    `repeats` that all of it is.
    """

    __slots__ = ("channel", "offset", "owner", "repeats", "segment", "skip", "verdict")

    def __init__(self, owner: bytes = b"", offset: int = 0) -> None:
        self.owner = owner
        self.offset = offset
        self.skip = 0
        self.repeats = False
        self.channel: Writable | None = None
        self.segment: Segment | None = None
        self.verdict: Verdict | None = None

    @property
    def seq(self) -> int:
        """Where it writes to, or would if it began now."""
        assert self.channel is not None
        return self.channel.head if self.segment is None else self.segment.seq

    def write(self, chunks: Sequence[bytes], *, end: bool = False) -> Sequence[Reader]:
        """Add `chunks` to the segment, and end the segment if `end` is set.

        Returns readers still to be served, as `Segment.append` does. Writes
        nothing once there is a verdict. If the segment was over before this
        publication opened, the channel restarts with it, or, if somebody else is
        publishing, SegmentConflict is raised.
        """
        if self.verdict is not None:
            return ()
        assert self.channel is not None
        return self.channel.write(self, chunks, end=end)

    def pass_over(self, chunks: Sequence[bytes]) -> Sequence[bytes]:
        """`chunks` without what was to be skipped of them."""
        rest = []
        for chunk in chunks:
            skipped = min(self.skip, len(chunk))
            self.skip -= skipped
            if skipped < len(chunk):
                rest.append(chunk[skipped:])
        return rest

    def abandon(self) -> None:
        """The publisher is gone. A segment that it began stays open for others
        to continue, and becomes incomplete if none does for a while."""
        if self.channel is not None:
            self.channel.leave(self)

    def judge(self, verdict: Verdict) -> None:
        """End it from outside. The first verdict stands."""
        if self.verdict is None:
            self.verdict = verdict
            self.judged()

    def judged(self) -> None:
        """Called once, in the middle of what the channel is doing: take note, and
        act later."""
