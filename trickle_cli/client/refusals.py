"""What a server means that does not take a segment."""

from __future__ import annotations

from typing import Final

from trickle_cli.client.endpoint import Endpoint
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    FirstByteTimeout,
    LimitReached,
    NotAllowed,
    SegmentConflict,
    SegmentTooLarge,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.names import FIRST_BYTE
from trickle_cli.protocol.responses import Answer

#: What stands in the way now and perhaps not later: too many of something, no room on
#: the server's disk, no byte in time, a proxy whose server is not there.
PASSING: Final = frozenset({408, 429, 502, 503, 504, 507})

_NOT_MADE: Final = "start the server with --autocreate, or without --no-create"


def refusal(
    answer: Answer, text: str, endpoint: Endpoint, seq: int, *, head: int
) -> TrickleError:
    """What `answer` to the POST of segment `seq` means, if that was not taken. `text`
    is its body, `head` where we take the channel to be."""
    channel, where = endpoint.channel, endpoint.server
    match answer.status:
        case 200 if answer.closed:
            return ChannelClosed(channel, where=where)
        case 200 | 409:
            return SegmentConflict(seq, answer.latest or head)
        case 401 | 403:
            return NotAllowed(f"{where} does not let us publish: {text}")
        case 404:
            return ChannelNotFound(channel, where=where, hint=_NOT_MADE)
        case 408 if answer.timeout == FIRST_BYTE:
            return FirstByteTimeout(seq, where=where)
        case 413:
            return SegmentTooLarge(seq)
        case 429 | 503:
            return LimitReached(text, retryable=answer.status == 503)
        case status:
            return UnexpectedStatus(status, text, what=str(endpoint))
