"""Publishing: one POST for each segment, without waiting for the answers.

What a program writes to. How it gets to the server is `sending.py`, what happens when a
connection breaks `mending.py`, and what both share `traffic.py`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final

import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.lane import Lane
from trickle_cli.client.outgoing import Outgoing
from trickle_cli.client.sending import Sender
from trickle_cli.client.timing import SegmentTimes
from trickle_cli.client.traffic import Traffic
from trickle_cli.client.upstream import Upstream
from trickle_cli.errors import ChannelClosed, SegmentConflict, TrickleError
from trickle_cli.protocol.names import DEFAULT_TYPE
from trickle_cli.statistics import PublisherStatistics

#: Seconds for which a server that has gone is tried again.
RETRY_FOR: Final = 60.0


class SegmentWriter:
    """A segment being published, from `Publisher.next`. `seq` is its number, `size`
    the bytes written, `is_lost` whether something of it may not have arrived, for good:
    then nothing more of it is sent.

    All methods raise what has ended the publisher, see there.
    """

    __slots__ = ("_lane", "_outgoing", "_sender", "_times", "is_open")

    def __init__(
        self, sender: Sender, lane: Lane, outgoing: Outgoing, times: SegmentTimes
    ) -> None:
        self.is_open = True
        self._sender = sender
        self._lane = lane
        self._outgoing = outgoing
        self._times = times

    @property
    def seq(self) -> int:
        return self._outgoing.seq

    @property
    def size(self) -> int:
        return self._outgoing.size

    @property
    def is_lost(self) -> bool:
        return self._outgoing.lost

    async def write(self, data: bytes) -> None:
        """Send `data` now. Waits while the server does not take it."""
        if data:
            await self._sender.send(self._lane, self._outgoing, data)

    async def close(self, data: bytes = b"") -> None:
        """Send `data`, the last of it, and the end. Harmless if it has ended."""
        if self.is_open:
            self.is_open = False
            self._times.end(self._outgoing.size + len(data))
            await self._sender.send(self._lane, self._outgoing, data, end=True)

    async def abandon(self) -> None:
        """Leave it as it is, and let the server know that it is not whole. Waits for
        all that was written to arrive. Harmless if it has ended."""
        if self.is_open:
            self.is_open = False
            await self._sender.abandon(self._lane, self._outgoing)


class Publisher:
    """Publishes to one channel. Use it as `async with`, from one task.

    Entering makes the channel, if `create` is set and the server lets us, and asks
    where it stands. Leaving drops the connections, and what they still carried;
    `flush` or `close` before that.

    With `lossless` the channel is to be so: what its readers have not taken is kept,
    and we are held back when that is more than it keeps; NotLossless if it is not.
    `let_go` counts readers that took nothing for so long that the server let them go.
    `restarts` counts how often the numbering began anew while we published: another
    publisher did that, or the server has lost its memory.

    With `start` it begins there, wherever the channel stands: if that segment is over,
    the channel's numbering begins anew with it.

    A server that has gone is tried again for `retry_for` seconds, and nothing is lost
    by that. `lost` are the segments of which something is, or may be: those broken off
    where the server does not know publishers again, or has forgotten what it had.

    Whatever ends it is raised by every call from then on: ChannelClosed,
    ChannelNotFound, SegmentTooLarge, SegmentConflict (somebody else ended our
    segment), LimitReached, NotAllowed, FirstByteTimeout, UnexpectedStatus, and
    ConnectionFailed if the server does not come back.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        type_: str = DEFAULT_TYPE,
        create: bool = True,
        lossless: bool = False,
        start: int | None = None,
        config: ClientConfig | None = None,
        retry_for: float = RETRY_FOR,
    ) -> None:
        self.endpoint = endpoint
        self.config = config or ClientConfig()
        self._upstream = Upstream(
            endpoint, self.config, type_=type_, create=create, lossless=lossless
        )
        self._traffic = Traffic(self._upstream, start or 0)
        self._start = start
        self._retry_for = retry_for
        self._writer: SegmentWriter | None = None
        self._segments = 0
        self._size = 0
        self._times = SegmentTimes()
        self._last: tuple[int | None, int] = None, 0  # the segment before: seq, size
        self._stack = AsyncExitStack()
        self._scope: trio.CancelScope | None = None
        self._sender: Sender | None = None

    async def __aenter__(self) -> Publisher:
        seq = await self._upstream.enter(self._start)
        self._traffic.enter(seq)
        nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._scope = nursery.cancel_scope
        self._sender = Sender(self._traffic, nursery, self._retry_for)
        self._sender.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._scope is not None
        # An error from the block is not told to the nursery, which would wrap it.
        self._scope.shield = True
        self._scope.cancel()
        await self._stack.aclose()  # noqa: ASYNC102 - it is cancelled
        await self._upstream.aclose()  # noqa: ASYNC102 - it shields itself

    async def wait_for_readers(self, count: int) -> None:
        """Wait until so many subscribers wait for the next segment. UnexpectedStatus
        if the server does not tell how many do."""
        await self._upstream.wait_for_readers(count)

    # What there is to know.

    @property
    def lost(self) -> list[int]:
        return self._traffic.lost

    @property
    def let_go(self) -> int:
        return self._upstream.let_go

    @property
    def restarts(self) -> int:
        return self._upstream.restarts

    @property
    def has_delivered(self) -> bool:
        """Whether the server has taken a segment."""
        return self._upstream.is_met

    @property
    def next_seq(self) -> int:
        """The number of the segment that `next` would begin."""
        return self._traffic.next_seq

    def statistics(self) -> PublisherStatistics:
        """A snapshot, for showing."""
        writer, traffic = self._writer, self._traffic
        shown, shown_size = (writer.seq, writer.size) if writer else self._last
        return PublisherStatistics(
            seq=shown,
            segment_size=shown_size,
            segment_age=self._times.age,
            last_size=self._times.last_size,
            last_age=self._times.last_age,
            segments=self._segments,
            size=self._size + (0 if writer is None else writer.size),
            lost=len(traffic.lost),
            reconnects=traffic.reconnects,
            waiting=traffic.waiting,
        )

    async def failed(self) -> TrickleError:
        """Wait until something has ended the publisher, and return it. For those
        who have to wait for something else than a call of theirs meanwhile."""
        await self._traffic.failed.wait()
        assert self._traffic.failure is not None
        return self._traffic.failure

    # Segments.

    async def next(self, seq: int | None = None) -> SegmentWriter:
        """Begin the next segment, or `seq` if that comes later, so that those before it
        are missing; ends the one before, if it is open. SegmentConflict if `seq` has
        been passed: that ends nothing."""
        assert self._sender is not None
        if seq is not None and seq < self.next_seq:
            await trio.lowlevel.checkpoint()
            raise SegmentConflict(seq, self.next_seq, reason="has been passed")
        if self._writer is not None:
            await self._writer.close()
            self._size += self._writer.size
            self._last = self._writer.seq, self._writer.size
            self._writer = None
        if seq is not None and seq > self.next_seq:
            await self._pass_over(seq)
        lane, outgoing = await self._sender.begin()
        self._writer = SegmentWriter(self._sender, lane, outgoing, self._times)
        self._times.begin()
        self._segments += 1
        return self._writer

    async def _pass_over(self, seq: int) -> None:
        """Go on with `seq`: nothing is to come of the request for the one before."""
        assert self._sender is not None
        traffic = self._traffic
        is_first = traffic.next_seq == traffic.first_seq
        first = seq if is_first else traffic.first_seq
        await self._sender.drop_next(seq, first=first)

    async def write(self, data: bytes) -> int:
        """Publish `data` as one whole segment; return its seq."""
        writer = await self.next()
        await writer.close(data)
        return writer.seq

    async def flush(self) -> None:
        """End the open segment, and wait until the server has taken all."""
        assert self._sender is not None
        if self._writer is not None:
            await self._writer.close()
        await self._sender.flush()

    async def close(self) -> None:
        """`flush`, and close the channel. Fine if somebody has closed it."""
        assert self._sender is not None
        try:
            await self.flush()
        except ChannelClosed:
            return
        await self._sender.patiently(self._upstream.close)
