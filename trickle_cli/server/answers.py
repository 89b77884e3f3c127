"""The answers that more than one handler gives."""

from __future__ import annotations

from typing import Final

from trickle_cli.errors import (
    ChannelNotFound,
    LimitReached,
    SegmentConflict,
    SegmentNotFound,
    StorageFailed,
)
from trickle_cli.protocol.names import SEGMENT_MISSING, WAIT
from trickle_cli.protocol.ranges import ContentRange
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.relay import Channel, Segment

#: What a server that is full advises, in seconds.
RETRY_AFTER: Final = 5


def not_found(name: str) -> Answer:
    """There is no channel `name`."""
    return problem(404, str(ChannelNotFound(name)))


def missing(error: SegmentNotFound, channel: Channel) -> Answer:
    """`channel` is there, the segment is not."""
    answer = problem(SEGMENT_MISSING, str(error))
    return answer._replace(
        seq=error.seq,
        latest=error.latest,
        epoch=channel.epoch,
        lossless=channel.lossless,
    )


def ended(channel: Channel) -> Answer:
    """`channel` is closed, and there is nothing more at its head."""
    return Answer(
        seq=channel.head, latest=channel.head, closed=True, epoch=channel.epoch
    )


def full(error: LimitReached) -> Answer:
    """A table is full."""
    status = 503 if error.retryable else 429
    return problem(status, str(error), retry_after=RETRY_AFTER)


def conflicting(conflict: SegmentConflict) -> Answer:
    """What is published does not fit what is there."""
    return problem(409, str(conflict))._replace(
        seq=conflict.seq, latest=conflict.latest, size=conflict.size
    )


def not_stored(error: StorageFailed) -> Answer:
    """The disk does not take it."""
    return problem(507, str(error), retry_after=RETRY_AFTER)


#: Seconds for which caches may answer in our place. A segment that is complete does not
#: change, but in another epoch its seq means another.
_MAX_AGE: Final = 60


def is_lasting(segment: Segment, asked: int) -> bool:
    """Whether what `asked` stands for will never be anything else than it is now."""
    return segment.ended and asked >= 0 and not segment.incomplete


def cache_of(*, private: bool) -> str:
    """What caches may do with a segment that is complete, asked for by its number.
    `private`: not everybody may read it."""
    return f"private, max-age={_MAX_AGE}" if private else f"max-age={_MAX_AGE}"


def etag_of(channel: Channel, segment: Segment) -> bytes:
    """What tells a complete segment from any other that ever had its seq."""
    return b'"%b-%d"' % (channel.epoch.encode("ascii"), segment.seq)


def not_modified(channel: Channel, segment: Segment, *, private: bool) -> Answer:
    """The peer has `segment` already."""
    return about(channel, segment)._replace(
        status=304, etag=etag_of(channel, segment), cache=cache_of(private=private)
    )


def about(channel: Channel, segment: Segment) -> Answer:
    """What there is to say of `segment`, without its content."""
    return Answer(
        seq=segment.seq,
        latest=channel.head,
        epoch=channel.epoch,
        type=channel.type,
        size=segment.size,
        incomplete=segment.incomplete and segment.ended,
        lossless=channel.lossless,
        let_go=let_go(channel),
    )


def let_go(channel: Channel) -> int | None:
    """How many readers of a lossless channel were let go; None for another."""
    return None if channel.flow is None else channel.flow.let_go


def not_in_range(channel: Channel, segment: Segment) -> Answer:
    """`segment` has ended before the part that was asked for."""
    text = f"segment {segment.seq} has {segment.size} bytes"
    return problem(416, text)._replace(
        seq=segment.seq,
        latest=channel.head,
        epoch=channel.epoch,
        size=segment.size,
        incomplete=segment.incomplete,
        range=ContentRange(None, None, segment.size).encode(),
    )


def not_in_time(channel: Channel) -> Answer:
    """What was waited for has not begun."""
    text = "nothing has begun in the time that you would wait; ask again"
    return problem(408, text)._replace(
        latest=channel.head, epoch=channel.epoch, timeout=WAIT
    )
