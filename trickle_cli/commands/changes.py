"""What a segment of the changefeed says.

It comes from a server, and is believed as far as a channel can be called so: the names
become requests, files and lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from trickle_cli.errors import BadAddress, ProtocolViolation
from trickle_cli.protocol.names import check_channel_name

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader

#: Bytes that a change may have: more than any server lets a segment have by default.
_MOST: Final = 64 * 1024 * 1024


class Change(NamedTuple):
    """The names that were added, and those that were removed."""

    added: list[str]
    removed: list[str]


async def read_change(segment: SegmentReader) -> Change:
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
