"""A delivery to readers that go astray when a segment comes too quickly.

The reference's client asks for the next segment in a goroutine of its own when the head
of an answer has come. If the body has come with it, the client may have read that, and
come back for the next, before the goroutine has run: then it asks twice, and keeps one
of the two connections for ever. Over thousands of short segments it runs out of
descriptors, and gives up. So these readers get the head first, and the content a moment
later. Only a lossless channel has to wait for such a reader; on others, what it falls
behind with is gone soon, and speed matters more.
"""

from __future__ import annotations

from typing import Final

import trio

from trickle_cli.relay import Piece, Segment
from trickle_cli.server.delivery import CHUNKED, Batch, Delivery

#: Seconds between head and content. A goroutine that is ready runs much earlier.
_PAUSE: Final = 0.002


class StepwiseDelivery(Delivery):
    """Delivers the head of a segment before its content."""

    __slots__ = ()

    def _is_short(self, segment: Segment) -> bool:  # noqa: ARG002
        return False

    def push(self, piece: Piece) -> bool:
        if self._state >= CHUNKED:
            return super().push(piece)
        self.start_at(piece.index, piece.offset)
        return False

    def advance(self) -> bool:
        return self._state >= CHUNKED and super().advance()

    async def _catch_up(self) -> None:
        segment = self.segment
        if self.late and self._state < CHUNKED and segment is not None:
            head = self._announce(segment)
            if head is not None:
                batch = Batch(head, [], 0, b"", last=False)
                while not self._settle(
                    batch, await self._transport.sendv([batch.lead])
                ):
                    batch = batch._replace(lead=self._owed)
                await trio.sleep(_PAUSE)
                if self.segment is None:
                    return  # the peer has gone meanwhile
        await super()._catch_up()
