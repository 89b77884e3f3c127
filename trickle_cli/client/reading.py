"""A segment as a subscriber gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from trickle_cli.client.connection import Connection
from trickle_cli.errors import ConnectionFailed, ProtocolViolation, TrickleError
from trickle_cli.protocol.responses import Answer

#: How often in a row a segment may break at the same byte before it is given up, where
#: the server does not say of segments that they are incomplete.
_MAX_BREAKS: Final = 5

#: Goes on after a break, see `Subscriber._resume`.
Resume: TypeAlias = Callable[
    ["SegmentReader", TrickleError, float], Awaitable[Connection | None]
]


class SegmentReader:
    """A segment as it comes: iterate it for its bytes. From `Subscriber.read`.

    `seq` its number · `latest` the head when it was answered, if the server said ·
    `type` the channel's MIME type, and `lossless` whether that is so · `lost` the seqs
    that were missed before it · `restarted` the channel's numbering began anew with it
    · `size` the bytes read so far · `incomplete` it ended, or broke, before it was
    whole (known for good when it has been read).
    """

    def __init__(
        self,
        answer: Answer,
        connection: Connection,
        resume: Resume,
        *,
        seq: int,
        lost: range,
        restarted: bool,
    ) -> None:
        self.seq = seq
        self.latest = answer.latest
        self.type = answer.type
        self.epoch = answer.epoch
        self.lossless = answer.lossless
        self.lost = lost
        self.restarted = restarted
        self.incomplete = answer.incomplete
        self.size = 0
        self.is_open = True
        self.connection = connection  # the subscriber's, which uses it again
        self._resume = resume
        self._broke_at = -1
        self._breaks = 0
        self._stuck_since = 0.0

    def __aiter__(self) -> SegmentReader:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes; waits for them as long as the segment is open."""
        while self.is_open:
            try:
                data = await self.connection.data()
            except (ConnectionFailed, ProtocolViolation) as error:
                await self._mend(error)
                continue
            if data is not None:
                self.size += len(data)
                return data
            self.is_open = False
        raise StopAsyncIteration

    async def _mend(self, error: TrickleError) -> None:
        """Go on where the body broke off, or give up what is left of it."""
        if self._broke_at != self.size:
            self._broke_at, self._breaks = self.size, 0
            self._stuck_since = trio.current_time()
        self._breaks += 1
        connection = None
        await self.connection.aclose()
        if self.epoch or self._breaks <= _MAX_BREAKS:
            connection = await self._resume(self, error, self._stuck_since)
        if not self.is_open:
            return  # there was nothing left of it
        if connection is None:
            self.incomplete = True
            self.is_open = False
        else:
            self.connection = connection

    async def read(self) -> bytes:
        """All that is left of it."""
        return b"".join([data async for data in self])
