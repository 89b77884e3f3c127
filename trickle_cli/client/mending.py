"""When a connection breaks: what was on it is brought to the server by another.

Where the server knows us again, it is asked where it stands, and what it has not got is
sent once more, in order; each request says at which byte its body begins, so nothing
gets there twice. Of several that were under way, it is asked about one only: it takes
them in turn, so all before the last one that has begun has arrived. Not so where one
was refused, for now: what is behind that may have been taken. Then each is asked about.

Where it does not know us again, nothing is sent twice either. What had arrived by then
counts as that, if the head shows it, and the rest as lost: it may arrive yet.

There is one break that leaves no doubt anywhere: when a server says with an answer that
it closes the connection, it has not looked at what is behind that. All of it goes out
again at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from trickle_cli.client.backoff import CAP_IN_SEGMENT, Backoff, given_up
from trickle_cli.client.connection import Connection
from trickle_cli.client.lane import Lane
from trickle_cli.client.outgoing import Outgoing
from trickle_cli.client.traffic import Traffic
from trickle_cli.client.undoing import unless_done
from trickle_cli.errors import (
    ConnectionFailed,
    ProtocolViolation,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.http1 import LAST_CHUNK, chunk

#: Opens a connection for a lane, and listens on it.
Connect = Callable[[Lane], Awaitable[Connection]]

_CLOSES: Final = "it closes the connection after an answer"


class Mender:
    """Brings what is in `traffic` past breaks, for `retry_for` seconds each, over what
    `connect` opens. Its tasks are in `nursery`."""

    def __init__(
        self,
        traffic: Traffic,
        connect: Connect,
        nursery: trio.Nursery,
        retry_for: float,
    ) -> None:
        self._traffic = traffic
        self._upstream = traffic.upstream
        self._connect = connect
        self._nursery = nursery
        self._retry_for = retry_for

    def interrupted(self, lane: Lane, error: TrickleError) -> None:
        """What is on `lane` came to nothing, because of `error`."""
        lane.leave()
        if lane.is_mending:
            return  # who mends will see
        lane.is_mending = True
        if self._upstream.resumes is False and len(lane.requests) == 1:
            self._give_up_all(lane)
        else:
            self._nursery.start_soon(self._mend, lane, error)

    def closed(self, lane: Lane) -> None:
        """The server will not look at what is on `lane` any more."""
        lane.leave()
        lane.is_untouched = True
        if not lane.is_mending:
            lane.is_mending = True
            self._nursery.start_soon(self._mend, lane, ConnectionFailed(_CLOSES))

    async def _mend(self, lane: Lane, error: TrickleError) -> None:
        traffic = self._traffic
        backoff = Backoff(CAP_IN_SEGMENT)
        since = trio.current_time()
        left = len(lane.requests)
        has_failed = False
        while lane.is_mending and traffic.failure is None:
            is_sure = lane.is_untouched
            if len(lane.requests) < left:
                left, since = len(lane.requests), trio.current_time()
                backoff.reset()
            if has_failed or not is_sure:
                tried = trio.current_time() - since
                if tried >= self._retry_for:
                    traffic.fail(given_up(error, tried))
                    return
                traffic.waiting = str(error)
                await backoff.pause()
                while traffic.are_broken_before(lane):
                    await traffic.changed.park()
                traffic.reconnects += 1
            has_failed = False
            try:
                await self._mend_once(lane, is_sure=is_sure)
            except (ConnectionFailed, ProtocolViolation, UnexpectedStatus) as failure:
                error = failure
                has_failed = True
            except TrickleError as failure:
                traffic.fail(failure)
                return
        traffic.waiting = ""

    async def _mend_once(self, lane: Lane, *, is_sure: bool) -> None:
        if is_sure:
            await self._send_again(lane, {})
        elif self._upstream.resumes is False:
            await self._count_losses(lane)
        else:
            await self._send_again(lane, await self._sort_out(lane))

    async def _sort_out(self, lane: Lane) -> dict[Outgoing, int]:
        """From which byte on each of `lane` is to be sent. What has arrived leaves it,
        and what cannot be gone on with."""
        upstream = self._upstream
        epoch = upstream.epoch
        head = await upstream.stand()
        if head is not None and head.epoch == epoch and not lane.is_refused:
            self._note_arrived(lane, head.seq)
        positions: dict[Outgoing, int] = {}
        for outgoing in list(lane.requests):
            position = await upstream.standing(outgoing, head)
            if position is None and outgoing.abandoned:
                self._traffic.arrived(lane, outgoing)
            elif position is None or position < outgoing.start:
                self._traffic.give_up(lane, outgoing)
            else:
                positions[outgoing] = position
        return positions

    def _note_arrived(self, lane: Lane, head: int) -> None:
        """The channel stands at `head`: what came before another that has begun has
        arrived."""
        begun = [outgoing for outgoing in lane.requests if outgoing.seq < head]
        for outgoing in begun[:-1]:
            self._traffic.arrived(lane, outgoing)

    async def _send_again(self, lane: Lane, positions: dict[Outgoing, int]) -> None:
        """Send what is on `lane`, as much at once as may be under way. Unless that
        comes to nothing, it is mended."""
        traffic = self._traffic
        if lane.requests:
            connection = await self._connect(lane)
            async with unless_done(connection.aclose):
                while lane.on_wire < len(lane.requests):
                    if lane.on_wire < traffic.depth.limit:
                        outgoing = lane.requests[lane.on_wire]
                        lane.on_wire += 1
                        position = positions.get(outgoing, outgoing.start)
                        await self._send_one(connection, outgoing, position)
                    else:
                        await traffic.changed.park()
                    if not lane.is_on(connection) or traffic.failure is not None:
                        return
        lane.is_mending = lane.is_untouched = lane.is_refused = False
        traffic.forget_begun(lane)
        traffic.changed.unpark_all()  # what is new, its writer sends

    async def _send_one(
        self, connection: Connection, outgoing: Outgoing, position: int
    ) -> None:
        is_first = outgoing.seq == self._traffic.first_seq and not position
        framed = self._upstream.head_of(outgoing.seq, offset=position, reset=is_first)
        while True:
            # While we send, its writer may add to it, and end it.
            data = outgoing.after(position)
            position += len(data)
            has_all = position == outgoing.size
            ends = outgoing.ended and not outgoing.abandoned and has_all
            if data:
                framed += chunk(data)
            if ends:
                framed += LAST_CHUNK
            if not framed:
                return
            await connection.send(framed)
            if ends:
                return
            framed = b""

    # Where nothing can be sent again.

    async def _count_losses(self, lane: Lane) -> None:
        if len(lane.requests) > 1:
            with suppress(ConnectionFailed, ProtocolViolation, UnexpectedStatus):
                head = await self._upstream.stand()
                if head is not None:
                    self._note_arrived(lane, head.seq)
        self._give_up_all(lane)

    def _give_up_all(self, lane: Lane) -> None:
        for outgoing in list(lane.requests):
            self._traffic.give_up(lane, outgoing)
        lane.is_mending = False
