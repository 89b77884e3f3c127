"""The changefeed, for those who may not know of every channel.

Each of its segments is there for them, so that the seqs are the same for all; the
names that a caller may not subscribe to are left out.
"""

from __future__ import annotations

import json
from typing import Any

from trickle_cli.access import Caller, Right
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.protocol.responses import Answer
from trickle_cli.relay import Channel, Piece, Segment
from trickle_cli.server.delivery import Delivery


def sees_all(caller: Caller) -> bool:
    """Whether there is nothing to be left out for `caller`."""
    return any(
        Right.SUBSCRIBE in grant.rights and "*" in grant.channels
        for grant in caller.grants
    )


def is_visible(name: str, caller: Caller) -> bool:
    """Whether `caller` may know of the channel. Who may read the changefeed knows
    that it is there."""
    return name == CHANGEFEED or caller.may(Right.SUBSCRIBE, name)


def visible_change(content: bytes, caller: Caller) -> bytes:
    """What `caller` gets to see of one segment of the changefeed."""
    change: dict[str, list[str]] = json.loads(content)
    shown: dict[str, Any] = {}
    for key, names in change.items():
        if visible := [name for name in names if is_visible(name, caller)]:
            shown[key] = visible
    return json.dumps(shown, separators=(",", ":"), ensure_ascii=False).encode()


def content_of(segment: Segment) -> bytes:
    """All of a segment that is complete."""
    return b"".join(segment.read(0, 0, segment.size)[0])


class ChangesDelivery(Delivery):
    """Delivers a segment of the changefeed, which is written in one go."""

    __slots__ = ()

    def _is_short(self, segment: Segment) -> bool:  # noqa: ARG002
        return False

    def push(self, piece: Piece) -> bool:
        self.start_at(piece.index, piece.offset)
        return False

    def advance(self) -> bool:
        return False

    async def _catch_up(self) -> None:
        segment = self.segment
        if segment is None or not self.late:
            return
        if not segment.ended:
            segment.go_live(self)
            return
        self._channel.detach(self)
        if segment.cut:
            self._connection.close()
            return
        self._connection.answer(
            visible_answer(self._channel, segment, self._connection.caller)
        )


def visible_answer(channel: Channel, segment: Segment, caller: Caller) -> Answer:
    """The whole answer with what `caller` gets to see of `segment`."""
    body = visible_change(content_of(segment), caller)
    return Answer(
        seq=segment.seq,
        latest=channel.head,
        epoch=channel.epoch,
        type=channel.type,
        body=body,
        size=len(body),
    )
