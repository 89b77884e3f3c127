"""Publishing and subscribing from within the program that holds the hub.

The same publications, readers and rules that HTTP uses, without HTTP. A local
reader is never pushed to: its task parks until its segment has more.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable
from contextlib import ExitStack
from types import TracebackType

import trio

from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    SegmentNotFound,
    SegmentTooLarge,
    TrickleError,
)
from trickle_cli.protocol.names import DEFAULT_TYPE
from trickle_cli.protocol.sequence import NEXT
from trickle_cli.relay.channel import Channel
from trickle_cli.relay.flow import Hold
from trickle_cli.relay.hub import Hub
from trickle_cli.relay.publication import Publication, Verdict
from trickle_cli.relay.segment import Piece, Reader, Segment, push_on

#: Bytes of the label that tells a subscriber from others.
_LABEL_SIZE = 12
#: The most that one read returns, in bytes.
_READ_SIZE = 64 * 1024


class LocalPublisher:
    """Publishes to a channel of `hub`.

    Nothing happens until `create_channel` or the first write. The caller closes
    the channel with `close`, or leaves it open for others.
    """

    def __init__(self, hub: Hub, channel: str, type_: str = DEFAULT_TYPE) -> None:
        self._hub = hub
        self._name = channel
        self._type = type_

    def create_channel(self) -> Channel:
        """Make the channel unless it is there. BadAddress, LimitReached."""
        return self._hub.create(self._name, self._type)

    async def write(self, data: bytes | AsyncIterable[bytes]) -> int:
        """Publish `data` as the next segment, as it comes; return its seq.

        If there is no channel, it is made where the hub does so by itself
        (`autocreate`), else ChannelNotFound is raised. Raises ChannelClosed if it is
        closed meanwhile, SegmentTooLarge. If `data` raises, or the caller is cancelled,
        the segment is left open, and becomes incomplete if nobody continues it.
        """
        channel = self._channel()
        publication = Publication()
        channel.publish(publication, NEXT)
        try:
            if isinstance(data, bytes):
                await push_on(publication.write([data], end=True))
            else:
                async for chunk in data:
                    await push_on(publication.write([chunk]))
                    self._check(publication)
                    await self._until_there_is_room(channel, publication)
                await push_on(publication.write((), end=True))
            self._check(publication)
            await self._until_there_is_room(channel, publication)
        finally:
            publication.abandon()
        assert publication.segment is not None
        return publication.segment.seq

    async def _until_there_is_room(
        self, channel: Channel, publication: Publication
    ) -> None:
        """Where readers are to lose nothing, they hold us back."""
        if channel.flow is not None and not channel.has_room(publication.seq):
            await channel.flow.until(
                lambda: (
                    publication.verdict is not None or channel.has_room(publication.seq)
                ),
                publication.seq,
            )

    def _channel(self) -> Channel:
        if self._hub.autocreate:
            return self.create_channel()
        channel = self._hub.find(self._name)
        if channel.closed:
            raise ChannelNotFound(self._name)
        return channel

    def _check(self, publication: Publication) -> None:
        match publication.verdict:
            case Verdict.CLOSED:
                raise ChannelClosed(self._name)
            case Verdict.TOO_LARGE:
                raise SegmentTooLarge(publication.seq, self._hub.limits.segment_size)
            case Verdict.EVICTED:
                raise TrickleError(f"segment {publication.seq} fell out of the window")

    def close(self) -> None:
        """Close the channel. ChannelNotFound if it is not there, or is closed."""
        self._hub.close(self._name)


class LocalReader(Reader):
    """A reader whose task parks until there is more."""

    __slots__ = ("_lot", "instead", "released")

    def __init__(self, label: bytes = b"") -> None:
        super().__init__(label)
        self._lot = trio.lowlevel.ParkingLot()
        self.released = False
        self.instead: Segment | None = None

    def push(self, piece: Piece) -> bool:
        self.start_at(piece.index, piece.offset)
        return False

    def advance(self) -> bool:
        return False

    def wake(self) -> None:
        self._lot.unpark_all()

    def release(self, instead: Segment | None) -> None:
        self.released, self.instead = True, instead
        self.wake()

    async def park(self) -> None:
        """Wait until woken. Someone must be bound to wake us: we are live."""
        await self._lot.park()


class LocalSegment:
    """A segment being read: iterate it for its bytes as they come. `hold` is its
    reader's on a lossless channel.

    `seq` is its own; `latest` the head when it was found; `type` its MIME type.
    Close it (`async with`) unless it is read to its end.
    """

    def __init__(
        self,
        channel: Channel,
        segment: Segment,
        reader: LocalReader,
        hold: Hold | None,
    ) -> None:
        self._hold = hold
        self._channel = channel
        self._segment = segment
        self._reader = reader
        self.seq = segment.seq
        self.latest = channel.head
        self.type = channel.type

    @property
    def incomplete(self) -> bool:
        """Whether it ended before its publisher said so."""
        return self._segment.incomplete or self._reader.cut

    async def __aenter__(self) -> LocalSegment:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading."""
        self._channel.detach(self._reader)

    def __aiter__(self) -> LocalSegment:
        return self

    async def __anext__(self) -> bytes:
        reader, segment = self._reader, self._segment
        await trio.lowlevel.checkpoint()
        while reader.segment is segment and not reader.cut:
            views, count = reader.available(_READ_SIZE)
            if count:
                reader.move(count)
                return b"".join(views)
            if segment.ended:
                if self._hold is not None:
                    self._hold.is_done = True
                break
            segment.go_live(reader)
            await reader.park()
        self.close()
        raise StopAsyncIteration

    async def read(self) -> bytes:
        """All that is left of it."""
        return b"".join([chunk async for chunk in self])


class LocalSubscriber:
    """Reads a channel of `hub`, segment after segment.

    `seq` is the one to be read next: absolute, or relative to the head. A lossless
    channel holds its publisher back until we have read, for the lease at most; `close`
    tells that we do not want to.
    """

    peer = ""  # it is known by its label

    def __init__(self, hub: Hub, channel: str, seq: int = NEXT) -> None:
        self._hub = hub
        self._name = channel
        self._hold: Hold | None = None
        self._label = secrets.token_bytes(_LABEL_SIZE)
        self.seq = seq

    def unacknowledged(self) -> int:
        """Nothing is ever under way to us."""
        return 0

    def close(self) -> None:
        """Read no more."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.flow.drop(hold)

    def set_seq(self, seq: int) -> None:
        """Read `seq` next."""
        self.seq = seq

    async def read(self) -> LocalSegment:
        """Wait until the next segment has begun, and return it.

        Raises ChannelNotFound, SegmentNotFound (`latest` tells where to go on)
        and, when there is nothing more, ChannelClosed.
        """
        await trio.lowlevel.checkpoint()
        channel = self._hub.find(self._name)
        if self._hold is not None:
            self._hold.took()
        segment = channel.find(self.seq)
        if channel.flow is not None:
            self._hold = channel.follow(self._hold, self, self._label, segment.seq)
        reader = LocalReader(self._label)
        channel.attach(reader, segment)
        if self._hold is not None:
            self._hold.begin(reader, segment.seq)
        with ExitStack() as undo:
            undo.callback(channel.detach, reader)
            segment = await self._until_begun(channel, segment, reader)
            undo.pop_all()
        self.seq = segment.seq + 1
        return LocalSegment(channel, segment, reader, self._hold)

    async def _until_begun(
        self, channel: Channel, segment: Segment, reader: LocalReader
    ) -> Segment:
        while not segment.has_begun:
            await reader.park()
            if reader.released:
                if reader.instead is None:
                    raise ChannelClosed(self._name)
                segment = reader.instead
                channel.attach(reader, segment)
                if self._hold is not None:
                    self._hold.begin(reader, segment.seq)
        return segment

    def __aiter__(self) -> LocalSubscriber:
        return self

    async def __anext__(self) -> LocalSegment:
        """The next segment, until the channel has ended. What fell out of the
        window is passed over: compare the seqs."""
        while True:
            try:
                return await self.read()
            except (ChannelClosed, ChannelNotFound):
                raise StopAsyncIteration from None
            except SegmentNotFound as missing:
                if missing.latest is None or missing.latest < missing.seq:
                    raise
                self.seq = self._hub.find(self._name).oldest
