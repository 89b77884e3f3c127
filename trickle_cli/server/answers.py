"""The answers that more than one handler gives."""

from __future__ import annotations

from typing import Final

from trickle_cli.errors import ChannelNotFound, LimitReached, SegmentNotFound
from trickle_cli.protocol.names import SEGMENT_MISSING
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.relay import Channel

#: What a server that is full advises, in seconds.
RETRY_AFTER: Final = 5


def not_found(name: str) -> Answer:
    """There is no channel `name`."""
    return problem(404, str(ChannelNotFound(name)))


def missing(error: SegmentNotFound, channel: Channel) -> Answer:
    """`channel` is there, the segment is not."""
    answer = problem(SEGMENT_MISSING, str(error))
    return answer._replace(seq=error.seq, latest=error.latest, epoch=channel.epoch)


def ended(channel: Channel) -> Answer:
    """`channel` is closed, and there is nothing more at its head."""
    return Answer(
        seq=channel.head, latest=channel.head, closed=True, epoch=channel.epoch
    )


def full(error: LimitReached) -> Answer:
    """A table is full."""
    status = 503 if error.retryable else 429
    return problem(status, str(error), retry_after=RETRY_AFTER)
