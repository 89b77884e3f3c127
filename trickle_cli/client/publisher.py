"""Publishing: one POST for each segment, the next one opened ahead of time.

Two connections take turns. While segment N is being sent on one, the request for
N + 1 waits on the other, head sent and body to come, so that the server knows of
it. A task for each connection awaits the answers, which may come before a body has
ended: then the channel is closed, or not there, and every call says so from then
on. Nothing waits for the answer to a segment before the next is sent, except that
a connection carries one request at a time.

The preconnected request goes out when the publisher has not come to the next
segment by itself for a moment (`_PRECONNECT_DELAY`). When segments are short and
quick, head, body and end thus leave in one call instead. One that has waited for long
is opened anew, before the server tires of it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final

import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.connection import Connection, connect
from trickle_cli.client.control import Control
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    FirstByteTimeout,
    LimitReached,
    NotAllowed,
    ProtocolViolation,
    SegmentConflict,
    SegmentTooLarge,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.http1 import LAST_CHUNK, chunk
from trickle_cli.protocol.names import DEFAULT_TYPE, FIRST_BYTE
from trickle_cli.protocol.requests import Publish, encode
from trickle_cli.protocol.responses import Answer, decode
from trickle_cli.statistics import PublisherStatistics

#: Seconds after which the next request is opened ahead of its segment.
_PRECONNECT_DELAY: Final = 0.02
#: Seconds between attempts to do so where the server cannot be reached.
_PRECONNECT_RETRY: Final = 1.0
#: Seconds after which a request that waits for its segment is given up and opened anew.
#: Servers give it up after 10, and then our first byte might cross their answer.
_RENEWAL: Final = 7.0
_RENEWAL_LOOK: Final = 1.0

_NOT_MADE: Final = "start the server with --autocreate, or without --no-create"


class _Lane:
    """One of the two connections, and the request on it.

    `seq` is None when it is free. `owed` is a head that is to go out with the
    first bytes of the body. `begun`: some of the body was sent, `ended`: all. `waits`
    is since when (trio's clock) the server knows of a request that has not begun.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.seq: int | None = None
        self.owed = b""
        self.begun = False
        self.ended = False
        self.is_opening = False
        self.waits: float | None = None

    def free(self) -> None:
        self.seq = None
        self.owed = b""
        self.begun = self.ended = False
        self.waits = None


class SegmentWriter:
    """A segment being published, from `Publisher.next`. `seq` is its number.

    All methods raise what has ended the publisher, see there.
    """

    def __init__(self, publisher: Publisher, lane: _Lane, seq: int) -> None:
        self.seq = seq
        self.size = 0
        self.is_open = True
        self.has_begun = False
        self._publisher = publisher
        self._lane = lane

    async def write(self, data: bytes) -> None:
        """Send `data` now. Waits while the server does not take it."""
        if data:
            await self._send(data, chunk(data))

    async def close(self, data: bytes = b"") -> None:
        """Send `data`, the last of it, and the end. Harmless if it has ended."""
        if self.is_open:
            self.is_open = False
            framed = chunk(data) if data else b""
            await self._send(data, framed + LAST_CHUNK)

    async def _send(self, data: bytes, framed: bytes) -> None:
        await self._publisher._send(self, self._lane, framed)  # noqa: SLF001
        self.size += len(data)


class Publisher:
    """Publishes to one channel. Use it as `async with`, from one task.

    Entering makes the channel, if `create` is set and the server lets us, and asks
    where it stands. Leaving drops the connections, and what they still carried;
    `flush` or `close` before that.

    Whatever ends it is raised by every call from then on: ChannelClosed,
    ChannelNotFound, SegmentTooLarge, SegmentConflict (somebody else ended our
    segment), LimitReached, NotAllowed, FirstByteTimeout, UnexpectedStatus, and
    ConnectionFailed if a connection broke with a segment on it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        type_: str = DEFAULT_TYPE,
        create: bool = True,
        config: ClientConfig | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.config = config or ClientConfig()
        self._type = type_
        self._create = create
        self._lanes = (_Lane(), _Lane())
        self._first_seq = self._next_seq = 0
        self._writer: SegmentWriter | None = None
        self._failure: TrickleError | None = None
        self._failed = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()
        self._wants_next = trio.Event()
        self._segments = 0
        self._size = 0
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> Publisher:
        async with Control(self.endpoint, self.config) as control:
            denied = await self._make(control) if self._create else None
            try:
                self._first_seq = self._next_seq = (await control.next()).seq
            except ChannelNotFound:
                if denied is not None:
                    raise denied from None
                # The first POST may make it, or else tells us.
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._nursery.start_soon(self._preconnect)
        self._nursery.start_soon(self._renew)
        return self

    async def _make(self, control: Control) -> NotAllowed | None:
        """Make the channel, if we may; what is there may be published to anyway."""
        try:
            await control.create(self._type)
        except NotAllowed as denied:
            return denied
        return None

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._nursery is not None
        # An error from the block is not told to the nursery, which would wrap it.
        self._nursery.cancel_scope.shield = True
        self._nursery.cancel_scope.cancel()
        await self._stack.aclose()  # noqa: ASYNC102 - it is cancelled

    def statistics(self) -> PublisherStatistics:
        """A snapshot, for showing."""
        writer = self._writer
        return PublisherStatistics(
            seq=None if writer is None else writer.seq,
            segment_size=0 if writer is None else writer.size,
            segments=self._segments,
            size=self._size + (0 if writer is None else writer.size),
        )

    async def failed(self) -> TrickleError:
        """Wait until something has ended the publisher, and return it. For those
        who have to wait for something else than a call of theirs meanwhile."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    # Segments.

    async def next(self) -> SegmentWriter:
        """Begin the next segment; ends the one before, if it is open."""
        if self._writer is not None:
            await self._writer.close()
            self._size += self._writer.size
            self._writer = None
        lane = self._lanes[self._next_seq % 2]
        while lane.seq != self._next_seq or lane.is_opening:
            self._check()
            if lane.seq is None:
                await self._open(lane, self._next_seq)
            else:
                await self._changed.park()
        self._writer = SegmentWriter(self, lane, self._next_seq)
        self._next_seq += 1
        self._segments += 1
        self._wants_next.set()
        return self._writer

    async def write(self, data: bytes) -> int:
        """Publish `data` as one whole segment; return its seq."""
        writer = await self.next()
        await writer.close(data)
        return writer.seq

    async def flush(self) -> None:
        """End the open segment, and wait until the server has taken all."""
        if self._writer is not None:
            await self._writer.close()
        while any(lane.ended for lane in self._lanes):
            self._check()
            await self._changed.park()
        self._check()

    async def close(self) -> None:
        """`flush`, and close the channel. Fine if somebody has closed it."""
        try:
            await self.flush()
        except ChannelClosed:
            return
        async with Control(self.endpoint, self.config) as control:
            with suppress(ChannelNotFound):
                await control.close()

    # What goes out.

    async def _send(self, writer: SegmentWriter, lane: _Lane, framed: bytes) -> None:
        self._check()
        if lane.seq is None and not writer.has_begun:
            await self._open(lane, writer.seq)  # the server has tired of waiting
        if lane.seq != writer.seq or lane.connection is None:
            await trio.lowlevel.checkpoint()  # all is gone when we are cancelled, too
            self._check()
            raise SegmentConflict(writer.seq, self._next_seq)
        framed, lane.owed = lane.owed + framed, b""
        lane.waits = None
        lane.begun = writer.has_begun = True
        lane.ended = not writer.is_open
        try:
            await lane.connection.send(framed)
        except ConnectionFailed as error:
            # If it broke because of an answer, that tells more than the breaking.
            await trio.lowlevel.checkpoint()
            self._fail(error)
            self._check()

    async def _open(self, lane: _Lane, seq: int, *, send: bool = False) -> None:
        """Put the request for segment `seq` on `lane`, which is free."""
        lane.seq = seq
        lane.is_opening = True
        wanted = Publish(
            self.endpoint.channel, seq, self._type, reset=seq == self._first_seq
        )
        host, base_path = self.endpoint.authority, self.endpoint.base_path
        fields = self.config.fields
        head = encode(wanted, host=host, base_path=base_path, fields=fields)
        try:
            if lane.connection is None:
                lane.connection = await connect(self.endpoint, self.config)
                assert self._nursery is not None
                self._nursery.start_soon(self._watch, lane, lane.connection)
            if send:
                await lane.connection.send(head)
                lane.waits = trio.current_time()
            else:
                lane.owed = head
        except BaseException:
            lane.free()
            raise
        finally:
            lane.is_opening = False
            self._changed.unpark_all()

    async def _preconnect(self) -> None:
        """Open the next request whenever its time has come."""
        while True:
            await self._wants_next.wait()
            await trio.sleep(_PRECONNECT_DELAY)
            self._wants_next = trio.Event()
            lane = self._lanes[self._next_seq % 2]
            if lane.seq is not None or self._failure is not None:
                continue  # when it is answered, we are called again
            try:
                await self._open(lane, self._next_seq, send=True)
            except (ConnectionFailed, ProtocolViolation):
                await trio.sleep(_PRECONNECT_RETRY)
                self._wants_next.set()

    async def _renew(self) -> None:
        """Open requests anew that have waited for long."""
        while True:
            await trio.sleep(_RENEWAL_LOOK)
            now = trio.current_time()
            for lane in self._lanes:
                connection = lane.connection
                if connection is None or lane.waits is None:
                    continue
                if now - lane.waits > _RENEWAL:
                    lane.free()  # before anything else can happen to it
                    lane.connection = None
                    self._wants_next.set()
                    await connection.aclose()

    # What comes in.

    async def _watch(self, lane: _Lane, connection: Connection) -> None:
        """Take the answers that come on `connection`, until it ends."""
        try:
            while True:
                answer = decode(await connection.response())
                self._answered(lane, answer, await connection.text())
                if not connection.is_reusable:
                    break
        except (ConnectionFailed, ProtocolViolation) as error:
            if lane.connection is connection:
                if lane.begun:
                    self._fail(ConnectionFailed(f"{error}, in segment {lane.seq}"))
                lane.free()
        finally:
            if lane.connection is connection:
                lane.connection = None
            self._wants_next.set()
            self._changed.unpark_all()
            await connection.aclose()

    def _answered(self, lane: _Lane, answer: Answer, text: str) -> None:
        seq, begun, ended = lane.seq, lane.begun, lane.ended
        lane.free()
        self._wants_next.set()
        self._changed.unpark_all()
        if seq is None or (answer.status == 408 and not begun):
            return  # it waited for too long: there will be another
        if answer.status != 200 or answer.closed or (begun and not ended):
            self._fail(self._explain(answer, text, seq))
        elif not begun and seq == self._next_seq:
            self._next_seq += 1  # somebody has ended it before we came to it

    def _explain(self, answer: Answer, text: str, seq: int) -> TrickleError:
        """What an answer means that ends the publisher."""
        channel, where = self.endpoint.channel, self.endpoint.server
        match answer.status:
            case 200 if answer.closed:
                return ChannelClosed(channel, where=where)
            case 200 | 409:
                return SegmentConflict(seq, answer.latest or self._next_seq)
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
                return UnexpectedStatus(status, text, what=str(self.endpoint))

    def _fail(self, error: TrickleError) -> None:
        if self._failure is None:
            self._failure = error
            self._failed.set()
            self._changed.unpark_all()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
