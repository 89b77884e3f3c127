"""Whether an answer goes on where the one before it broke off.

A segment that is asked for again may have become another: the channel began anew, the
segment left the window, the server is not the one it was.
"""

from __future__ import annotations

from typing import Protocol

from trickle_cli.client.connection import Connection
from trickle_cli.errors import TrickleError
from trickle_cli.protocol.ranges import parse_content_range
from trickle_cli.protocol.responses import Answer


class Begun(Protocol):
    """What has come of a segment: `size` bytes of segment `seq`."""

    seq: int
    epoch: str
    size: int


class TryLater(TrickleError):
    """The server is there, but cannot serve for now."""


def require_service(answer: Answer, connection: Connection) -> None:
    if answer.status == 429 or answer.status >= 500:
        raise TryLater(f"{connection.where} answers {answer.status}")


def continues(begun: Begun, answer: Answer) -> bool:
    """Whether `answer` is the same segment as `begun` has begun, from its beginning
    or from a byte on that is not too late."""
    if answer.status == 206 and not 0 <= first_of(answer) <= begun.size:
        return False
    return (
        answer.status in {200, 206}
        and not answer.closed
        and answer.seq in {None, begun.seq}
        and _is_same_epoch(begun, answer)
    )


def _is_same_epoch(begun: Begun, answer: Answer) -> bool:
    return not (answer.epoch and begun.epoch) or answer.epoch == begun.epoch


def first_of(answer: Answer) -> int:
    """The byte that a part begins with; -1 if it does not say."""
    content_range = parse_content_range(answer.range)
    if content_range is None or content_range.first is None:
        return -1
    return content_range.first


def has_all(begun: Begun, answer: Answer) -> bool:
    """Whether `answer` says that there is nothing beyond what `begun` has got."""
    content_range = parse_content_range(answer.range)
    return (
        answer.status == 416
        and content_range is not None
        and content_range.total == begun.size
        and answer.seq in {None, begun.seq}
        and _is_same_epoch(begun, answer)
    )
