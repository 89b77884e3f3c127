"""What a changefeed says.

It comes from a server, and is believed as far as a channel can be called so: the names
become requests, files and lines.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from trickle_cli.errors import BadAddress, ProtocolViolation, TrickleError
from trickle_cli.protocol.names import check_channel_name
from trickle_cli.protocol.sequence import OLDEST

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader, Subscriber

#: Bytes that a change may have: more than any server lets a segment have by default.
_MOST: Final = 64 * 1024 * 1024
#: Seconds after which there is another changefeed, if a server goes on.
_ANOTHER: Final = 0.2


class Change(NamedTuple):
    """The names that were added, and those that were removed."""

    added: list[str]
    removed: list[str]


async def follow(
    subscriber: Subscriber, see: Callable[[SegmentReader], object] = lambda _: None
) -> AsyncIterator[Change]:
    """What a changefeed says: first what exists by now, as one change that the changes
    so far add up to; then each change. So it is again where a server has begun another
    feed, but for what is known by then. `see` gets every segment first."""
    known: dict[str, None] = {}
    while True:
        existing: dict[str, None] | None = {}
        now = None
        async for segment in subscriber:
            see(segment)
            if segment.restarted:
                existing, now = {}, None
            now = segment.latest if now is None else now
            change = await _read(segment)
            if existing is None:
                _apply(change, known)
                yield change
                continue
            _apply(change, existing)
            if now is None or segment.seq >= now - 1:
                added = [name for name in existing if name not in known]
                removed = [name for name in known if name not in existing]
                known, existing = existing, None
                yield Change(added, removed)
        if not await goes_on(subscriber):
            return


def _apply(change: Change, names: dict[str, None]) -> None:
    names.update(dict.fromkeys(change.added))
    for name in change.removed:
        names.pop(name, None)


async def goes_on(feed: Subscriber) -> bool:
    """Whether there is another changefeed where that of `feed` has ended: that of a
    server that was restarted while it ran. `feed` reads that one from now on."""
    from trickle_cli.client import Control

    await trio.sleep(_ANOTHER)
    try:
        async with Control(feed.endpoint, feed.config) as control:
            head = await control.next()
    except TrickleError:
        return False
    if head.closed or not head.epoch or head.epoch == feed.epoch:
        return False
    await feed.aclose()  # those connections are to the one that ends
    feed.set_seq(OLDEST)
    return True


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
