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

What is sent is kept until the server has it: until it answers, or, within a segment,
says how far it has got, which it is asked when much is kept. When a connection breaks,
a task (`_mend`) asks where the server stands, and sends the rest again on another; the
caller waits meanwhile. Each request says who we are and at which byte its body begins,
so nothing gets there twice. A server that does not know of this is not sent anything
twice either: there, a segment that was broken off is given up, and counted as lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Final

import trio

from trickle_cli.client.backoff import CAP_IN_SEGMENT, Backoff, given_up
from trickle_cli.client.config import ClientConfig
from trickle_cli.client.connection import Connection, connect
from trickle_cli.client.control import Control, Head
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.lane import Lane
from trickle_cli.client.outgoing import Outgoing
from trickle_cli.client.refusals import PASSING, refusal
from trickle_cli.client.timing import SegmentTimes
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    NotLossless,
    ProtocolViolation,
    SegmentConflict,
    SegmentNotFound,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.http1 import LAST_CHUNK, chunk
from trickle_cli.protocol.names import DEFAULT_TYPE
from trickle_cli.protocol.requests import Publish, encode
from trickle_cli.protocol.responses import Answer, decode
from trickle_cli.protocol.sequence import OLDEST
from trickle_cli.statistics import PublisherStatistics

#: Seconds after which the next request is opened ahead of its segment.
_PRECONNECT_DELAY: Final = 0.02
#: Seconds between attempts to do so where the server cannot be reached.
_PRECONNECT_RETRY: Final = 1.0
#: Seconds after which a request that waits for its segment is given up and opened anew.
#: Servers give it up after 10, and then our first byte might cross their answer.
_RENEWAL: Final = 7.0
_RENEWAL_LOOK: Final = 1.0
#: Bytes that are kept at most. When half of that is, the server is asked what it has,
#: and again, seconds later, if it has not got on.
BUFFER: Final = 16 * 1024 * 1024
_ASK_PAUSE: Final = 0.1
#: Seconds in which a server is to let go of a segment that was abandoned.
_ABANDON_TIMEOUT: Final = 10.0
#: Seconds between looks at how many readers wait.
_READERS_PAUSE: Final = 0.1
#: Bytes of the secret by which a server knows us again.
_ID_SIZE: Final = 16
#: Seconds for which a server that has gone is tried again.
RETRY_FOR: Final = 60.0


class SegmentWriter:
    """A segment being published, from `Publisher.next`. `seq` is its number, `size`
    the bytes written, `is_lost` whether something of it may not have arrived, for good:
    then nothing more of it is sent.

    All methods raise what has ended the publisher, see there.
    """

    def __init__(self, publisher: Publisher, lane: Lane, outgoing: Outgoing) -> None:
        self.is_open = True
        self._publisher = publisher
        self._lane = lane
        self._outgoing = outgoing

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
            await self._publisher._send(self._lane, self._outgoing, data)  # noqa: SLF001

    async def close(self, data: bytes = b"") -> None:
        """Send `data`, the last of it, and the end. Harmless if it has ended."""
        if self.is_open:
            self.is_open = False
            await self._publisher._send(  # noqa: SLF001
                self._lane, self._outgoing, data, end=True
            )

    async def abandon(self) -> None:
        """Leave it as it is, and let the server know that it is not whole. Waits for
        all that was written to arrive. Harmless if it has ended."""
        if self.is_open:
            self.is_open = False
            await self._publisher._abandon(self._lane, self._outgoing)  # noqa: SLF001


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
        self.lost: list[int] = []
        self._type = type_
        self._create = create
        self._lossless = lossless
        self.let_go = self.restarts = 0
        self._retry_for = retry_for
        self._id = secrets.token_hex(_ID_SIZE).encode()
        self._epoch = ""
        self._old_epoch = ""  # of the numbering that is to begin anew
        self._resumes: bool | None = None  # whether the server knows us again
        self._is_met = False  # whether it has taken a segment
        self._lanes = (Lane(), Lane())
        self._start = start
        self._first_seq = self._next_seq = start or 0
        self._writer: SegmentWriter | None = None
        self._kept: list[Outgoing] = []  # what is not answered yet
        self._failure: TrickleError | None = None
        self._failed = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()
        self._wants_next = trio.Event()
        self._wants_room = trio.Event()
        self._segments = 0
        self._size = 0
        self._times = SegmentTimes()
        self._last: tuple[int | None, int] = None, 0  # the segment before: seq, size
        self._ending = 0  # segments that were given up, and are to be ended
        self._reconnects = 0
        self._waiting = ""
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery | None = None
        self._control: Control | None = None

    async def __aenter__(self) -> Publisher:
        async with Control(self.endpoint, self.config) as control:
            denied = await self._make(control) if self._create else None
            try:
                head = await control.next()
            except ChannelNotFound:
                if denied is not None:
                    raise denied from None
                # The first POST may make it, or else tells us.
            else:
                self._epoch, self._resumes = head.epoch, bool(head.epoch)
                if self._start is None:
                    self._first_seq = self._next_seq = head.seq
                elif self._start < head.seq:
                    self._epoch, self._old_epoch = "", head.epoch
                self._require_lossless(is_so=head.lossless)
                self._note_let_go(head.let_go)
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._nursery.start_soon(self._preconnect)
        self._nursery.start_soon(self._renew)
        self._nursery.start_soon(self._make_room)
        return self

    async def _make(self, control: Control) -> NotAllowed | None:
        """Make the channel, if we may; what is there may be published to anyway."""
        try:
            await control.create(self._type, lossless=self._lossless)
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
        if self._control is not None:
            await self._control.aclose()  # noqa: ASYNC102 - it shields itself

    def _require_lossless(self, *, is_so: bool) -> None:
        if self._lossless and not is_so:
            raise NotLossless(self.endpoint.channel, where=self.endpoint.server)

    def _note_let_go(self, count: int | None) -> None:
        self.let_go = max(self.let_go, count or 0)

    async def wait_for_readers(self, count: int) -> None:
        """Wait until so many subscribers wait for the next segment. UnexpectedStatus
        if the server does not tell how many do."""
        control = await self._asking()
        readers = -1
        while readers < count:
            if readers >= 0:
                await trio.sleep(_READERS_PAUSE)
            try:
                head = await control.next()
            except ChannelNotFound:
                head = None  # the first segment makes it
            if head is not None and head.closed:
                raise ChannelClosed(self.endpoint.channel, where=self.endpoint.server)
            if head is not None and head.readers is None:
                text = "it does not tell how many readers wait"
                raise UnexpectedStatus(200, text, what=self.endpoint.server)
            readers = 0 if head is None else head.readers or 0

    def statistics(self) -> PublisherStatistics:
        """A snapshot, for showing."""
        writer = self._writer
        shown, shown_size = (writer.seq, writer.size) if writer else self._last
        return PublisherStatistics(
            seq=shown,
            segment_size=shown_size,
            segment_age=self._times.age,
            last_size=self._times.last_size,
            last_age=self._times.last_age,
            segments=self._segments,
            size=self._size + (0 if writer is None else writer.size),
            lost=len(self.lost),
            reconnects=self._reconnects,
            waiting=self._waiting,
        )

    @property
    def has_delivered(self) -> bool:
        """Whether the server has taken a segment."""
        return self._is_met

    async def failed(self) -> TrickleError:
        """Wait until something has ended the publisher, and return it. For those
        who have to wait for something else than a call of theirs meanwhile."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    # Segments.

    @property
    def next_seq(self) -> int:
        """The number of the segment that `next` would begin."""
        return self._next_seq

    async def next(self, seq: int | None = None) -> SegmentWriter:
        """Begin the next segment, or `seq` if that comes later, so that those before it
        are missing; ends the one before, if it is open. SegmentConflict if `seq` has
        been passed: that ends nothing."""
        if seq is not None and seq < self._next_seq:
            await trio.lowlevel.checkpoint()
            raise SegmentConflict(seq, self._next_seq, reason="has been passed")
        if self._writer is not None:
            await self._writer.close()
            self._size += self._writer.size
            self._last = self._writer.seq, self._writer.size
            self._writer = None
        if seq is not None and seq > self._next_seq:
            await self._pass_over(seq)
        lane = self._lanes[self._next_seq % 2]
        while lane.seq != self._next_seq or lane.is_opening:
            self._check()
            if lane.seq is None:
                await self._patiently(partial(self._open, lane, self._next_seq))
            else:
                await self._changed.park()
        outgoing = Outgoing(self._next_seq, keeps=self._resumes is not False)
        self._writer = SegmentWriter(self, lane, outgoing)
        self._times.begin()
        self._next_seq += 1
        self._segments += 1
        self._wants_next.set()
        return self._writer

    async def _pass_over(self, seq: int) -> None:
        """Go on with `seq`: nothing is to come of the request for the one before."""
        is_first = self._next_seq == self._first_seq
        await self._drop_next(seq, first=seq if is_first else self._first_seq)

    async def _drop_next(self, seq: int, *, first: int | None = None) -> None:
        """Take back the request for the next segment, if there is one. The next is
        `seq` then, and the request for `first`, or that, ends all before it."""
        while (lane := self._lanes[self._next_seq % 2]).is_opening:
            await self._changed.park()
        self._check()
        is_waiting = lane.seq == self._next_seq and lane.outgoing is None
        self._next_seq = max(seq, self._next_seq)
        self._first_seq = self._next_seq if first is None else first
        if is_waiting:
            await self._take_back(lane)

    async def _take_back(self, lane: Lane) -> None:
        """Break the request on `lane` off, which has not begun."""
        connection = lane.connection
        lane.free()  # before anything else can happen to it
        lane.connection = None
        self._changed.unpark_all()
        if connection is not None:
            await connection.aclose()

    async def _abandon(self, lane: Lane, outgoing: Outgoing) -> None:
        """Let the request for the next segment end `outgoing`, which is what a reset
        does: as soon as it is there, with what has arrived of it."""
        if lane.outgoing is None and lane.seq == outgoing.seq:
            await self._take_back(lane)  # it never began
        while lane.outgoing is outgoing:
            self._check()
            is_alone = all(o is outgoing for o in self._kept) and not lane.is_mending
            if is_alone and await self._has_arrived(outgoing):
                break
            await trio.sleep(_ASK_PAUSE)
        if lane.outgoing is not outgoing:
            return  # it is over already
        outgoing.ended = outgoing.abandoned = True
        await self._drop_next(self._next_seq)
        following = self._lanes[self._next_seq % 2]
        await self._patiently(partial(self._open, following, self._next_seq, send=True))
        with trio.move_on_after(_ABANDON_TIMEOUT):
            while lane.outgoing is outgoing:
                self._check()
                await self._changed.park()
            return
        if lane.outgoing is outgoing and lane.connection is not None:
            connection = lane.connection  # a server that does not know of resets
            self._arrived(lane, outgoing)
            lane.connection = None
            await connection.aclose()

    async def _has_arrived(self, outgoing: Outgoing) -> bool:
        """Whether the server has all that was written; if it can tell."""
        if not self._resumes:
            return True
        try:
            info = await (await self._asking()).inspect(outgoing.seq)
        except (ConnectionFailed, SegmentNotFound, UnexpectedStatus):
            return False
        return info.size is None or info.size >= outgoing.size

    async def write(self, data: bytes) -> int:
        """Publish `data` as one whole segment; return its seq."""
        writer = await self.next()
        await writer.close(data)
        return writer.seq

    async def flush(self) -> None:
        """End the open segment, and wait until the server has taken all."""
        if self._writer is not None:
            await self._writer.close()
        while self._ending or any(lane.outgoing is not None for lane in self._lanes):
            self._check()
            await self._changed.park()
        self._check()

    async def close(self) -> None:
        """`flush`, and close the channel. Fine if somebody has closed it."""
        try:
            await self.flush()
        except ChannelClosed:
            return
        await self._patiently(self._close)

    async def _close(self) -> None:
        async with Control(self.endpoint, self.config) as control:
            with suppress(ChannelNotFound):
                if self._lossless:
                    self._note_let_go((await control.next()).let_go)
                await control.close()

    # What goes out.

    async def _send(
        self, lane: Lane, outgoing: Outgoing, data: bytes, *, end: bool = False
    ) -> None:
        """Add `data` to the segment, and its end, and send that."""
        self._check()
        await self._until_there_is_room()
        if lane.outgoing is None:
            await self._until_it_may_begin(lane, outgoing)
        if outgoing.lost:
            outgoing.add(data)
            await trio.lowlevel.checkpoint()
            return
        if lane.seq != outgoing.seq:
            await trio.lowlevel.checkpoint()  # all is gone when we are cancelled, too
            self._check()
            raise SegmentConflict(outgoing.seq, self._next_seq)
        if lane.outgoing is None:
            lane.outgoing = outgoing
            lane.waits = None
            self._kept.append(outgoing)
        outgoing.add(data)
        outgoing.ended = end
        if end:
            self._times.end(outgoing.size)
        if lane.is_mending or lane.connection is None:
            await self._until_mended(lane, outgoing)
            return
        framed, lane.owed = lane.owed + (chunk(data) if data else b""), b""
        connection = lane.connection
        try:
            await connection.send(framed + LAST_CHUNK if end else framed)
        except ConnectionFailed:
            # `_watch` finds out why: an answer tells more than the breaking.
            await trio.lowlevel.checkpoint()
            await self._until_mended(lane, outgoing)
        except trio.Cancelled:
            # Nobody knows how much of it went out: another connection has to go on.
            await connection.aclose()
            raise

    async def _until_it_may_begin(self, lane: Lane, outgoing: Outgoing) -> None:
        """Wait for the request on `lane`, and until nothing before it is broken off:
        it would overtake that, and readers pass over what is overtaken. Where the
        server is of another make, nothing before it may be under way at all."""
        while not outgoing.lost:
            self._check()
            if lane.is_opening or any(map(self._is_ahead, self._lanes)):
                await self._changed.park()
            elif lane.seq is None:  # the server has tired of waiting
                await self._patiently(partial(self._open, lane, outgoing.seq))
            else:
                return

    def _is_ahead(self, lane: Lane) -> bool:
        """Whether what `lane` carries must arrive before another segment begins."""
        return lane.is_mending or (not self._resumes and lane.outgoing is not None)

    async def _until_mended(self, lane: Lane, outgoing: Outgoing) -> None:
        self._check()
        while lane.outgoing is outgoing and lane.is_mending:
            await self._changed.park()
            self._check()

    async def _until_there_is_room(self) -> None:
        while (kept := sum([out.kept for out in self._kept])) >= BUFFER:
            self._check()
            self._wants_room.set()
            await self._changed.park()
        if kept >= BUFFER // 2:
            self._wants_room.set()

    async def _make_room(self) -> None:
        """Ask the server what it has, whenever much is kept."""
        while True:
            await self._wants_room.wait()
            self._wants_room = trio.Event()
            for outgoing in list(self._kept):
                with suppress(TrickleError):  # whoever sends will notice it, too
                    control = await self._asking()
                    info = await control.inspect(outgoing.seq)
                    if not self._epoch and info.epoch != self._old_epoch:
                        self._note_epoch(info.epoch)
                    # What is being sent again goes on from where it stood when asked.
                    is_safe = not self._is_mended(outgoing) and bool(self._resumes)
                    if is_safe and info.epoch == self._epoch:
                        outgoing.drop_before(info.size or 0)
            self._changed.unpark_all()
            await trio.sleep(_ASK_PAUSE)

    async def _asking(self) -> Control:
        """For questions, once they come up."""
        if self._control is None:
            self._control = Control(self.endpoint, self.config)
        return self._control

    async def _open(self, lane: Lane, seq: int, *, send: bool = False) -> None:
        """Put the request for segment `seq` on `lane`, unless it is taken by now."""
        if lane.seq is not None:
            return
        lane.seq = seq
        lane.is_opening = True
        head = self._head(seq)
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

    def _head(self, seq: int, offset: int = 0) -> bytes:
        endpoint = self.endpoint
        wanted = Publish(
            endpoint.channel,
            seq,
            self._type,
            reset=seq == self._first_seq and not offset,
            publisher=self._id if self._resumes is not False else b"",
            offset=offset,
            lossless=self._lossless,
        )
        return encode(
            wanted,
            host=endpoint.authority,
            base_path=endpoint.base_path,
            fields=self.config.fields,
        )

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
                    self._wants_next.set()
                    await self._take_back(lane)

    async def _patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """`attempt` it, again and again if the server cannot be reached."""
        backoff = Backoff(CAP_IN_SEGMENT)
        since = trio.current_time()
        while True:
            try:
                await attempt()
            except ConnectionFailed as error:
                tried = trio.current_time() - since
                if tried >= self._retry_for:
                    self._fail(given_up(error, tried))
                    raise
                self._waiting = str(error)
                self._reconnects += 1
                await backoff.pause()
            else:
                self._waiting = ""
                return

    # What comes in.

    async def _watch(self, lane: Lane, connection: Connection) -> None:
        """Take the answers that come on `connection`, until it ends."""
        try:
            while True:
                answer = decode(await connection.response())
                text = await connection.text()
                if lane.connection is not connection:
                    break
                self._answered(lane, answer, text)
                if lane.connection is not connection or not connection.is_reusable:
                    break
        except ProtocolViolation as error:
            if lane.connection is connection and lane.outgoing is not None:
                self._fail(ConnectionFailed(f"{error}, in segment {lane.seq}"))
        except ConnectionFailed as error:
            if lane.connection is connection and lane.outgoing is not None:
                self._interrupted(lane, lane.outgoing, error)
        finally:
            if lane.connection is connection:
                lane.connection = None
                if lane.outgoing is None:
                    lane.free()
            self._wants_next.set()
            self._changed.unpark_all()
            await connection.aclose()

    def _answered(self, lane: Lane, answer: Answer, text: str) -> None:
        seq, outgoing = lane.seq, lane.outgoing
        self._changed.unpark_all()
        if seq is None:
            return
        if outgoing is None:
            lane.free()
            self._answered_early(answer, text, seq)
        elif answer.status == 200 and outgoing.ended and not answer.closed:
            self._note_epoch(answer.epoch)
            self._is_met = True
            self._note_let_go(answer.let_go)
            self._arrived(lane, outgoing)
            try:
                self._require_lossless(is_so=answer.lossless)
            except NotLossless as error:
                self._fail(error)
        elif self._resumes and self._is_passing(answer):
            self._interrupted(lane, outgoing, self._refusal(answer, text, seq))
        else:
            self._fail(self._refusal(answer, text, seq))

    def _answered_early(self, answer: Answer, text: str, seq: int) -> None:
        """The answer to a request that has not begun."""
        if answer.status == 404 and self._resumes and self._is_met:
            assert self._nursery is not None
            self._nursery.start_soon(self._revive)
            return
        self._wants_next.set()
        if answer.status == 408:
            return  # it waited for too long: there will be another
        if answer.status != 200 or answer.closed:
            self._fail(self._refusal(answer, text, seq))
        elif seq == self._next_seq:
            self._next_seq += 1  # somebody has ended it before we came to it
        else:
            self._fail(self._refusal(answer, text, seq))

    def _is_passing(self, answer: Answer) -> bool:
        """Whether it makes sense to ask where the segment stands, and to go on."""
        if answer.status == 404:
            return self._is_met
        return answer.status in PASSING or (answer.status == 409 and self._is_met)

    def _note_epoch(self, epoch: str) -> None:
        # Ours, on what it has not taken yet, is no surprise.
        self.restarts += self._is_met and bool(epoch) and epoch != self._epoch
        self._epoch = epoch
        self._resumes = bool(epoch)

    def _arrived(self, lane: Lane, outgoing: Outgoing) -> None:
        """The server has all of it."""
        self._kept.remove(outgoing)
        lane.free()
        self._wants_next.set()
        self._changed.unpark_all()

    def _give_up(self, lane: Lane, outgoing: Outgoing) -> None:
        """The server may or may not have some of it, and cannot be told the rest."""
        outgoing.give_up()
        self.lost.append(outgoing.seq)
        self._arrived(lane, outgoing)
        assert self._nursery is not None
        self._ending += 1
        self._nursery.start_soon(self._end, outgoing.seq)

    async def _end(self, seq: int) -> None:
        """Let nobody wait for the rest of a segment that was given up."""
        with suppress(TrickleError):
            await (await self._asking()).end_segment(seq)
        self._ending -= 1
        self._changed.unpark_all()

    def _refusal(self, answer: Answer, text: str, seq: int) -> TrickleError:
        return refusal(answer, text, self.endpoint, seq, head=self._next_seq)

    def _fail(self, error: TrickleError) -> None:
        if self._failure is None:
            self._failure = error
            self._failed.set()
            self._changed.unpark_all()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    # Broken off.

    def _interrupted(self, lane: Lane, outgoing: Outgoing, error: TrickleError) -> None:
        """The request for `outgoing` came to nothing, because of `error`."""
        lane.connection = None
        if lane.is_mending:
            return  # who mends will see
        if self._resumes is False:
            self._give_up(lane, outgoing)
            return
        lane.is_mending = True
        lane.owed = b""
        assert self._nursery is not None
        self._nursery.start_soon(self._mend, lane, outgoing, error)

    async def _mend(self, lane: Lane, outgoing: Outgoing, error: TrickleError) -> None:
        """Bring the rest of `outgoing` to the server, on another connection, when what
        is before it is there."""
        backoff = Backoff(CAP_IN_SEGMENT)
        since = trio.current_time()
        while lane.outgoing is outgoing and lane.is_mending:
            tried = trio.current_time() - since
            if tried >= self._retry_for:
                self._fail(given_up(error, tried))
                return
            self._waiting = str(error)
            await backoff.pause()
            while self._is_any_broken_before(outgoing.seq):
                await self._changed.park()
            self._reconnects += 1
            try:
                await self._mend_once(lane, outgoing)
            except (ConnectionFailed, ProtocolViolation, UnexpectedStatus) as failure:
                error = failure
            except TrickleError as failure:
                self._fail(failure)
                return
        self._waiting = ""

    def _is_any_broken_before(self, seq: int) -> bool:
        return self._failure is None and any(
            lane.is_mending and lane.outgoing is not None and lane.outgoing.seq < seq
            for lane in self._lanes
        )

    def _is_mended(self, outgoing: Outgoing) -> bool:
        return any(
            lane.is_mending and lane.outgoing is outgoing for lane in self._lanes
        )

    async def _mend_once(self, lane: Lane, outgoing: Outgoing) -> None:
        position = await self._standing(outgoing)
        if lane.outgoing is not outgoing:
            return
        if position is None and outgoing.abandoned:
            self._arrived(lane, outgoing)
            return
        if position is None or position < outgoing.start:
            self._give_up(lane, outgoing)
            return
        connection = await connect(self.endpoint, self.config)
        lane.connection = connection
        assert self._nursery is not None
        self._nursery.start_soon(self._watch, lane, connection)
        try:
            await connection.send(self._head(outgoing.seq, position))
            while data := outgoing.after(position):
                await connection.send(chunk(data))
                position += len(data)
            if outgoing.ended and not outgoing.abandoned:
                await connection.send(LAST_CHUNK)
        except BaseException:
            await connection.aclose()
            raise
        if lane.outgoing is outgoing and lane.connection is connection:
            lane.is_mending = False  # what is new, its writer sends
            self._changed.unpark_all()

    async def _standing(self, outgoing: Outgoing) -> int | None:
        """How many bytes of it the server has. None if it cannot be gone on with."""
        head = await self._stand()
        if head is None or outgoing.seq >= head.seq:
            return 0
        if not self._resumes:
            return None
        control = await self._asking()
        try:
            info = await control.inspect(outgoing.seq)
        except SegmentNotFound:
            # It was overtaken, and can still be filled, or it is out of the window.
            oldest = await control.inspect(OLDEST)
            return 0 if outgoing.seq > oldest.seq else None
        if info.is_incomplete or info.size is None:
            return None
        if info.is_complete and not (outgoing.ended and info.size >= outgoing.size):
            raise SegmentConflict(outgoing.seq, info.latest or self._next_seq)
        outgoing.drop_before(info.size)
        return min(info.size, outgoing.size)

    async def _stand(self) -> Head | None:
        """Where the channel stands. None if the server has forgotten it: then it is
        made again, if we may."""
        control = await self._asking()
        try:
            head = await control.next()
        except ChannelNotFound:
            if self._create:
                await self._make(control)
            return None
        if head.closed:
            raise ChannelClosed(self.endpoint.channel, where=self.endpoint.server)
        self._note_epoch(head.epoch)
        self._require_lossless(is_so=head.lossless)
        self._note_let_go(head.let_go)
        return head

    async def _revive(self) -> None:
        """The server knows the channel no more: it has lost its memory."""
        try:
            await self._patiently(self._make_again)
        except TrickleError as error:
            self._fail(error)
        self._wants_next.set()

    async def _make_again(self) -> None:
        if await self._stand() is None:
            await (await self._asking()).next()
