"""What a changefeed says.

It comes from a server, and is believed as far as a channel can be called so: the names
become requests, files and lines.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from trickle_cli.errors import BadAddress, ProtocolViolation
from trickle_cli.protocol.names import check_channel_name

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader, Subscriber

#: Bytes that a change may have: more than any server lets a segment have by default.
_MOST: Final = 64 * 1024 * 1024


class Change(NamedTuple):
    """The names that were added, and those that were removed."""

    added: list[str]
    removed: list[str]


async def follow(
    subscriber: Subscriber, see: Callable[[SegmentReader], object] = lambda _: None
) -> AsyncIterator[Change]:
    """What a changefeed says: first what exists by now, as one change that the changes
    so far add up to; then each change. `see` gets every segment first."""
    existing: dict[str, None] | None = {}
    now = None
    async for segment in subscriber:
        see(segment)
        now = segment.latest if now is None else now
        change = await _read(segment)
        if existing is None:
            yield change
            continue
        existing.update(dict.fromkeys(change.added))
        for name in change.removed:
            existing.pop(name, None)
        if now is None or segment.seq >= now - 1:
            yield Change(added=list(existing), removed=[])
            existing = None


async def _read(segment: SegmentReader) -> Change:
    """What `segment` says. ProtocolViolation if it does not come to an end."""
    data = bytearray()
    async for piece in segment:
        data += piece
        if len(data) > _MOST:
            raise ProtocolViolation(f"a change has more than {_MOST} bytes")
    return parse_change(data)


def parse_change(data: bytes | bytearray) -> Change:
    """What `data` says; nothing, if it is no change."""
    try:
        change = json.loads(data)
    except (ValueError, RecursionError):
        change = None
    if not isinstance(change, dict):
        change = {}
    return Change(*(list(_names(change.get(key))) for key in Change._fields))


def _names(names: object) -> Iterator[str]:
    for name in names if isinstance(names, list) else []:
        try:
            yield check_channel_name(str(name))
        except BadAddress:
            continue
