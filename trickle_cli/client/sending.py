"""Segments on their way out, over two lanes, and the answers to them.

The request for a segment goes out with its first bytes, behind the one before it on the
same connection, as long as not too many are under way (`depth.py`). When the publisher
has not come to the next segment by itself for a moment (`_PRECONNECT_DELAY`), its
request is opened on the other lane, head sent and body to come, so that the server
knows of it. One that has waited for long is opened anew, before the server tires of it.

A task for each connection awaits the answers, which may come before a body has ended:
then the channel is closed, or not there, and every call says so from then on. What is
sent is kept until the server has it: until it answers, or, within a segment, says how
far it has got, which it is asked when much is kept. `mending.py` sees to connections
that break.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from trickle_cli.client.backoff import CAP_IN_SEGMENT, Backoff, given_up
from trickle_cli.client.connection import Connection, connect
from trickle_cli.client.lane import Lane
from trickle_cli.client.mending import Mender
from trickle_cli.client.outgoing import Outgoing
from trickle_cli.client.traffic import Traffic
from trickle_cli.errors import (
    ConnectionFailed,
    NotLossless,
    ProtocolViolation,
    SegmentConflict,
    TrickleError,
)
from trickle_cli.protocol.http1 import LAST_CHUNK, chunk
from trickle_cli.protocol.responses import Answer, decode

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


class Sender:
    """Sends what is in `traffic`. Its tasks are in `nursery`."""

    def __init__(
        self, traffic: Traffic, nursery: trio.Nursery, retry_for: float
    ) -> None:
        self._traffic = traffic
        self._upstream = traffic.upstream
        self._nursery = nursery
        self._retry_for = retry_for
        self._mender = Mender(traffic, self._connect, nursery, retry_for)
        self._wants_room = trio.Event()

    def start(self) -> None:
        """Begin with what goes on by itself."""
        for task in (self._preconnect, self._renew, self._make_room, self._end_lost):
            self._nursery.start_soon(task)

    # Requests.

    async def begin(self) -> tuple[Lane, Outgoing]:
        """The next segment, and a lane with a request for it. Waits while too many are
        under way."""
        traffic = self._traffic
        while True:
            traffic.check()
            seq = traffic.next_seq
            lane = traffic.lane_with(seq)
            if lane is None:
                lane = traffic.free_lane()
                if lane is None:
                    await traffic.changed.park()
                    continue
                await self.patiently(partial(self.open, lane, seq))
            elif lane.is_opening:
                await traffic.changed.park()
            else:
                break
        return lane, traffic.take(lane)

    async def open(self, lane: Lane, seq: int, *, send: bool = False) -> None:
        """Put the request for segment `seq` on `lane`, unless there is one by now."""
        if lane.seq is not None:
            return
        lane.seq = seq
        head = self._upstream.head_of(seq, reset=seq == self._traffic.first_seq)
        if lane.connection is not None and not send:
            lane.owed = head
            return
        lane.is_opening = True
        is_open = False
        try:
            if lane.connection is None:
                await self._connect(lane)
            if send and lane.connection is not None:
                await lane.connection.send(head)
                lane.waits = trio.current_time()
            else:
                lane.owed = head
            is_open = True
        finally:
            if not is_open:
                lane.withdraw()
            lane.is_opening = False
            self._traffic.changed.unpark_all()

    async def _connect(self, lane: Lane) -> Connection:
        connection = await connect(self._upstream.endpoint, self._upstream.config)
        lane.use(connection)
        self._nursery.start_soon(self._watch, lane, connection)
        return connection

    async def _preconnect(self) -> None:
        """Open the next request whenever its time has come."""
        traffic = self._traffic
        while True:
            await traffic.wants_next.wait()
            await trio.sleep(_PRECONNECT_DELAY)
            traffic.wants_next = trio.Event()
            lane = traffic.lane_ahead()
            if lane is None or traffic.failure is not None:
                continue  # when something is answered, we are called again
            try:
                await self.open(lane, traffic.next_seq, send=True)
            except (ConnectionFailed, ProtocolViolation):
                await trio.sleep(_PRECONNECT_RETRY)
                traffic.wants_next.set()

    async def _renew(self) -> None:
        """Open requests anew that have waited for long."""
        while True:
            await trio.sleep(_RENEWAL_LOOK)
            now = trio.current_time()
            for lane in self._traffic.lanes:
                if lane.connection is None or lane.waits is None:
                    continue
                if now - lane.waits > _RENEWAL:
                    self._traffic.wants_next.set()
                    await self._take_back(lane)

    async def _take_back(self, lane: Lane) -> None:
        """Break the request on `lane` off, which has not begun."""
        connection = lane.connection
        is_sent = not lane.owed
        lane.withdraw()  # before anything else can happen to it
        self._traffic.changed.unpark_all()
        if connection is not None and is_sent:
            lane.leave()
            await connection.aclose()

    async def drop_next(self, seq: int, *, first: int | None = None) -> None:
        """Take back the request for the next segment, if there is one. The next is
        `seq` then, and the request for `first`, or that, ends all before it."""
        traffic = self._traffic
        lane = traffic.lane_with(traffic.next_seq)
        while lane is not None and lane.is_opening:
            await traffic.changed.park()
            lane = traffic.lane_with(traffic.next_seq)
        traffic.check()
        traffic.next_seq = max(seq, traffic.next_seq)
        traffic.first_seq = traffic.next_seq if first is None else first
        if lane is not None:
            await self._take_back(lane)

    async def patiently(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """`attempt` it, again and again if the server cannot be reached."""
        traffic = self._traffic
        backoff = Backoff(CAP_IN_SEGMENT)
        since = trio.current_time()
        while True:
            try:
                await attempt()
            except ConnectionFailed as error:
                tried = trio.current_time() - since
                if tried >= self._retry_for:
                    traffic.fail(given_up(error, tried))
                    raise
                traffic.waiting = str(error)
                traffic.reconnects += 1
                await backoff.pause()
            else:
                traffic.waiting = ""
                return

    # Bodies.

    async def send(
        self, lane: Lane, outgoing: Outgoing, data: bytes, *, end: bool = False
    ) -> None:
        """Add `data` to the segment, and its end, and send that."""
        traffic = self._traffic
        traffic.check()
        if traffic.tally.size >= BUFFER // 2:
            await self._until_there_is_room()
        is_new = lane.seq == outgoing.seq
        if is_new or outgoing not in traffic.kept:
            await self._until_it_may_begin(lane, outgoing)
            is_new = lane.seq == outgoing.seq
        if outgoing.lost:
            outgoing.add(data)
            await trio.lowlevel.checkpoint()
            return
        framed = b""
        if is_new:
            framed = traffic.begin(lane, outgoing)
        elif outgoing not in traffic.kept:
            await trio.lowlevel.checkpoint()  # all is gone when we are cancelled, too
            traffic.check()
            raise SegmentConflict(outgoing.seq, traffic.next_seq)
        outgoing.add(data)
        outgoing.ended = end
        if lane.is_mending or lane.connection is None:
            await self._until_mended(lane, outgoing)
            return
        if data:
            framed += chunk(data)
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
        """Wait for the request on `lane`, and until nothing could be overtaken."""
        traffic = self._traffic
        while not outgoing.lost and outgoing not in traffic.kept:
            traffic.check()
            if lane.is_opening or not traffic.may_begin_on(lane):
                await traffic.changed.park()
            elif lane.seq is None:  # the server has tired of waiting
                await self.patiently(partial(self.open, lane, outgoing.seq))
            elif lane.connection is None:
                lane.withdraw()
            else:
                return

    async def _until_mended(self, lane: Lane, outgoing: Outgoing) -> None:
        traffic = self._traffic
        traffic.check()
        while outgoing in traffic.kept and lane.is_mending:
            await traffic.changed.park()
            traffic.check()

    async def _until_there_is_room(self) -> None:
        traffic = self._traffic
        self._wants_room.set()
        while traffic.tally.size >= BUFFER:
            traffic.check()
            self._wants_room.set()
            await traffic.changed.park()

    async def _make_room(self) -> None:
        """Ask the server what it has, whenever much is kept."""
        traffic = self._traffic
        while True:
            await self._wants_room.wait()
            self._wants_room = trio.Event()
            for outgoing in list(traffic.kept):
                if outgoing.ended and outgoing.kept < BUFFER // 4:
                    continue  # it will be answered
                with suppress(TrickleError):  # whoever sends will notice it, too
                    position = await self._upstream.acknowledged(outgoing)
                    # What is being sent again goes on from where it stood when asked.
                    if not traffic.is_mended(outgoing):
                        outgoing.drop_before(position)
            traffic.changed.unpark_all()
            await trio.sleep(_ASK_PAUSE)

    async def _end_lost(self) -> None:
        """Let nobody wait for what was given up."""
        traffic = self._traffic
        while True:
            await traffic.wants_end.wait()
            traffic.wants_end = trio.Event()
            while traffic.to_end:
                await self._upstream.end(traffic.to_end[0])
                del traffic.to_end[0]
            traffic.changed.unpark_all()

    async def flush(self) -> None:
        """Wait until the server has taken all."""
        traffic = self._traffic
        while traffic.kept or traffic.to_end:
            traffic.check()
            await traffic.changed.park()
        traffic.check()

    # Segments that are not whole.

    async def abandon(self, lane: Lane, outgoing: Outgoing) -> None:
        """Let the request for the next segment end `outgoing`, which is what a reset
        does: as soon as it is there, with what has arrived of it."""
        traffic = self._traffic
        kept = traffic.kept
        if lane.seq == outgoing.seq:
            await self._take_back(lane)  # it never began
        while outgoing in kept:
            traffic.check()
            is_alone = len(kept) == 1 and not lane.is_mending
            if is_alone and await self._upstream.has(outgoing):
                break
            await trio.sleep(_ASK_PAUSE)
        if outgoing not in kept:
            return  # it is over already
        outgoing.ended = outgoing.abandoned = True
        await self.drop_next(traffic.next_seq)
        opening = partial(self.open, traffic.other(lane), traffic.next_seq, send=True)
        await self.patiently(opening)
        with trio.move_on_after(_ABANDON_TIMEOUT):
            while outgoing in kept:
                traffic.check()
                await traffic.changed.park()
            return
        if outgoing in kept and lane.connection is not None:
            connection = lane.connection  # a server that does not know of resets
            traffic.arrived(lane, outgoing)
            lane.leave()
            await connection.aclose()

    # What comes in.

    async def _watch(self, lane: Lane, connection: Connection) -> None:
        """Take the answers that come on `connection`, until it ends."""
        traffic = self._traffic
        try:
            while True:
                response = await connection.response()
                text = await connection.text()
                if not lane.is_on(connection):
                    break
                lane.answers += 1
                self._answered(lane, decode(response), text)
                if not lane.is_on(connection):
                    break
                if not response.keep_alive:
                    self._closed(lane)
                    break
                traffic.forget_begun(lane)
                if lane.seq is None and not (lane.requests or connection.is_reusable):
                    break
        except ProtocolViolation as error:
            if lane.is_on(connection) and lane.on_wire == 1:
                seq = lane.requests[0].seq
                traffic.fail(ConnectionFailed(f"{error}, in segment {seq}"))
            elif lane.is_on(connection) and lane.requests:
                traffic.depth.give_up()
                self._mender.interrupted(lane, error)
        except ConnectionFailed as error:
            if lane.is_on(connection) and lane.requests:
                if lane.on_wire > 1:
                    traffic.depth.broken(lane.answers)
                self._mender.interrupted(lane, error)
        finally:
            if lane.is_on(connection):
                lane.leave()
                if not lane.requests:
                    lane.withdraw()
            traffic.wants_next.set()
            traffic.changed.unpark_all()
            await connection.aclose()

    def _closed(self, lane: Lane) -> None:
        """The server closes the connection with the answer that has come."""
        if lane.requests:
            self._traffic.depth.broken(lane.answers)
            self._mender.closed(lane)

    def _answered(self, lane: Lane, answer: Answer, text: str) -> None:
        traffic = self._traffic
        traffic.changed.unpark_all()
        if not lane.requests:
            if lane.seq is not None:
                seq = lane.seq
                lane.withdraw()
                self._answered_early(answer, text, seq)
            return
        outgoing = lane.requests[0]
        if lane.on_wire > 1 and answer.seq not in {None, outgoing.seq}:
            traffic.depth.give_up()
            text = f"it answered for segment {answer.seq}, not for {outgoing.seq}"
            self._mender.interrupted(lane, ProtocolViolation(text))
        elif answer.status == 200 and outgoing.ended and not answer.closed:
            self._taken(lane, outgoing, answer)
        elif self._upstream.resumes and self._upstream.is_passing(answer):
            lane.is_refused = True
            self._mender.interrupted(lane, self._refusal(answer, text, outgoing.seq))
        else:
            traffic.fail(self._refusal(answer, text, outgoing.seq))

    def _taken(self, lane: Lane, outgoing: Outgoing, answer: Answer) -> None:
        traffic = self._traffic
        self._upstream.note(answer)
        traffic.trust()
        traffic.depth.answered(lane.answers)
        traffic.arrived(lane, outgoing)
        try:
            self._upstream.require_lossless(is_so=answer.lossless)
        except NotLossless as error:
            traffic.fail(error)

    def _answered_early(self, answer: Answer, text: str, seq: int) -> None:
        """The answer to a request that has not begun."""
        traffic = self._traffic
        if answer.status == 404 and self._upstream.resumes and self._upstream.is_met:
            self._nursery.start_soon(self._revive)
            return
        traffic.wants_next.set()
        if answer.status == 408:
            return  # it waited for too long: there will be another
        if answer.status != 200 or answer.closed:
            traffic.fail(self._refusal(answer, text, seq))
        elif seq == traffic.next_seq:
            traffic.next_seq += 1  # somebody has ended it before we came to it
        else:
            traffic.fail(self._refusal(answer, text, seq))

    def _refusal(self, answer: Answer, text: str, seq: int) -> TrickleError:
        return self._upstream.refusal(answer, text, seq, self._traffic.next_seq)

    async def _revive(self) -> None:
        """The server knows the channel no more: it has lost its memory."""
        try:
            await self.patiently(self._upstream.make_again)
        except TrickleError as error:
            self._traffic.fail(error)
        self._traffic.wants_next.set()
