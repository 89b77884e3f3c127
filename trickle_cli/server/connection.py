"""One connection: requests in, one at a time, and their answers out.

A connection is not a task. Its transport calls `received`; what came is parsed,
handled and answered before that returns, in one stack of plain calls from the
bytes of a POST to the sockets of those who read it. What a request begins and does
not finish at once is its *exchange*: an `Intake` that waits for more of a body, or a
`Delivery` that waits for its segment. A peer that goes away is noticed at any time.

Only what must wait gets a task, for as long as it waits: a late reader that
catches up, an answer that the peer does not take, a fan-out to very many. Until
such errands are done the transport is paused.

There are no timers either: `check` is called every second, and gives up what has
not moved for too long.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from trickle_cli.access import EVERYTHING, Caller
from trickle_cli.protocol.events import (
    END,
    Buffer,
    Field,
    Malformed,
    Request,
    RequestEvent,
)
from trickle_cli.protocol.familiar import Familiar
from trickle_cli.protocol.http1 import HeadLimits, RequestParser
from trickle_cli.protocol.responses import (
    Answer,
    encode,
    encode_head,
    encode_published,
    problem,
)
from trickle_cli.relay import Hold
from trickle_cli.server.config import Patience
from trickle_cli.server.ledger import Entry, Ledger
from trickle_cli.server.transport import Disconnected, Transport

_log = logging.getLogger(__name__)

#: Requests served out of one read before others get a turn.
_TURN: Final = 32
#: Where there are more events than a head, a body and its end, there are requests that
#: are pipelined.
_ONE_REQUEST: Final = 3
#: Events that a peer may pipeline behind an answer that is still to come, and the bytes
#: of them. What is more stays in the kernel, and the peer is held back.
MAX_PIPELINED: Final = 1024
MAX_PIPELINED_BYTES: Final = 256 * 1024
#: How much of a refused body is read and thrown away, so that the peer, which is
#: still sending, gets to see the answer: a reset would destroy it.
DISCARD_BYTES: Final = 1024 * 1024


class Exchange(Protocol):
    """A request that is not answered yet."""

    def take(self, chunks: list[bytes], *, end: bool) -> None:
        """More of the request's body has come, or its end."""

    def hang_up(self) -> int:
        """The connection is over: leave the relay as it should be left. Returns how
        many bytes of content were sent."""

    def waiting_for(self) -> object:
        """What the peer has to do next; the same as long as it does not do it.
        None if it may take for ever."""

    def check(self, now: float) -> None:
        """Called every second or so: see to deadlines of its own."""


class Connection:
    """Serves one peer.

    `begin` handles a request: it answers it, or sets `exchange`. Tasks for
    errands go into `nursery`. `on_close` is called once, at the end.

    `peer` is who is at the other end, for a person. Of the present request, `caller` is
    who asks, as far as rights go; `extra` are fields that go into its answer, and
    `entry` is what there will be of it in the access log, if there is one. `hold` is
    what is kept for the peer, if it reads a lossless channel.
    """

    __slots__ = (
        "_begin",
        "_body_done",
        "_closed",
        "_closing",
        "_discarding",
        "_errands",
        "_events",
        "_in_turn",
        "_is_lingering",
        "_ledger",
        "_nursery",
        "_on_close",
        "_owed",
        "_parser",
        "_patience",
        "_queued",
        "_request",
        "_seen",
        "_served",
        "_since",
        "caller",
        "entry",
        "exchange",
        "extra",
        "hold",
        "peer",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        *,
        begin: Callable[[Connection, Request], None],
        on_close: Callable[[Connection], None],
        nursery: trio.Nursery,
        patience: Patience,
        limits: HeadLimits,
        familiar: Familiar,
        ledger: Ledger,
        peer: str,
    ) -> None:
        self.transport = transport
        self.peer = peer
        self.caller: Caller = EVERYTHING
        self.extra: tuple[Field, ...] = ()
        self.hold: Hold | None = None
        self.exchange: Exchange | None = None
        self._begin = begin
        self._on_close = on_close
        self._nursery = nursery
        self._patience = patience
        self._parser = RequestParser(limits, familiar)
        self._ledger = ledger
        self.entry: Entry | None = None
        self._events: deque[RequestEvent] = deque()
        self._queued = 0  # bytes that have come since there was nothing in it
        self._request: Request | None = None
        self._body_done = True
        self._served = 0
        self._owed = b""
        self._errands: list[Callable[[], Awaitable[None]]] = []
        self._in_turn = False
        self._closing = False
        self._discarding = 0
        self._is_lingering = False
        self._closed = False
        self._seen: object = None
        self._since = 0.0

    # Input.

    def received(self, data: Buffer) -> None:
        """Take `data` from the transport."""
        if self._is_lingering:
            return
        if self._discarding:
            self._discarding -= len(data)
            if self._discarding <= 0:
                self.close()
            return
        self._bounded(self._serve, data)

    def hung_up(self) -> None:
        """The peer has gone."""
        self._bounded(self.close)

    def _serve(self, data: Buffer) -> None:
        self._queued += len(data)
        self._events.extend(self._parser.feed(data))
        self._proceed()

    def _proceed(self) -> None:
        """Serve what has come, as far as it can be served without waiting."""
        self._in_turn = True
        events = self._events
        last = self._served + _TURN
        is_pipelined = len(events) > _ONE_REQUEST
        if is_pipelined:
            self.transport.cork(on=True)
        while events and not (self._errands or self._closing):
            if self.exchange is None:
                self._next(events.popleft())
                if self._served > last:
                    self.run_errand(trio.lowlevel.checkpoint)
            elif self._body_done:
                break  # the next request waits for this one's answer
            elif isinstance(event := events[0], Malformed):
                self.exchange.hang_up()
                self._refuse(event.status, event.reason)
            else:
                chunks = self._take_body()
                self.exchange.take(chunks, end=self._body_done)
        self._in_turn = False
        if is_pipelined:
            self.transport.cork(on=False)
        if self._closing and not self._errands:
            self._say_goodbye()
        elif not events:
            self._queued = 0
        elif not self._errands and (
            len(events) > MAX_PIPELINED or self._queued > MAX_PIPELINED_BYTES
        ):
            self.transport.pause()

    def _next(self, event: RequestEvent) -> None:
        if isinstance(event, Request):
            self._request = event
            self._served += 1
            self._body_done = not event.has_body
            if self._ledger.record is not None:
                self._open_entry(event)
            self._begin(self, event)
        elif isinstance(event, Malformed):
            self._refuse(event.status, event.reason)
        # else it belongs to a body whose request has been answered

    def _take_body(self) -> list[bytes]:
        """What has come of the request's body; notes whether its end has."""
        chunks: list[bytes] = []
        events = self._events
        while events and not self._body_done:
            event = events[0]
            if isinstance(event, bytes):
                chunks.append(event)
                if self.entry is not None:
                    self.entry.received += len(event)
            elif event is END:
                self._body_done = True
            else:
                break
            events.popleft()
        return chunks

    # Output.

    def answer(self, answer: Answer, *, close: bool = False) -> None:
        """Send the whole answer to the present request; the exchange is over.

        The connection ends with it if `close` is set, if the peer wants that, or
        if there is more of a body to come. To a HEAD, its body is not sent.
        """
        request = self._request
        if request is not None and request.method == b"HEAD":
            self.describe(answer, len(answer.body), close=close)
            return
        close = self._finish(answer.status, len(answer.body), close=close)
        self.send(encode(self._with_extra(answer), close=close))

    def describe(
        self, answer: Answer, length: int | None, *, close: bool = False
    ) -> None:
        """Send the head alone of an answer whose body would have `length` bytes."""
        request = self._request
        close = self._finish(answer.status, 0, close=close)
        self.send(
            encode_head(
                self._with_extra(answer),
                length=length,
                close=close,
                http10=request is not None and request.http10,
            )
        )

    def _with_extra(self, answer: Answer) -> Answer:
        if not self.extra:
            return answer
        return answer._replace(fields=answer.fields + self.extra)

    def _finish(self, status: int, size: int, *, close: bool) -> bool:
        """The exchange is over but for the sending; whether the connection is, too."""
        if not close:
            self._take_body()
            assert self._request is not None
            close = not (self._body_done and self._request.keep_alive)
        self.exchange = None
        self._closing = close
        self._ledger.statuses[status] += 1
        if self.entry is not None:
            self.began(status)
            self._close_entry(size, whole=True)
        return close

    def published(self, epoch: str, seq: int, size: int) -> None:
        """`answer` a POST whose body was taken whole, as segment `seq` of `size`."""
        assert self._request is not None
        self.exchange = None
        self._closing = close = not self._request.keep_alive
        self._ledger.statuses[200] += 1
        if self.entry is not None:
            self.began(200)
            self._close_entry(0, whole=True)
        self.send(encode_published(epoch, seq, size, close=close))

    def send(self, data: bytes) -> None:
        """Send `data`, in an errand if the peer does not take it at once."""
        taken = 0 if self._owed else self.transport.send_nowait(data)
        if taken < len(data):
            self._owed += data[taken:]
            self.run_errand(self._flush)

    async def _flush(self) -> None:
        while self._owed:
            taken = await self.transport.sendv([self._owed])
            self._owed = self._owed[taken:]

    def delivered(self, status: int, size: int, *, close: bool) -> None:
        """The exchange has sent all of its answer, with `size` bytes of content."""
        self.exchange = None
        self._closing = close
        self._ledger.statuses[status] += 1
        self._ledger.delivered += size
        if self.entry is not None:
            self._close_entry(size, whole=True)
        if self._in_turn:
            return
        if close and self.hold is None and not self._errands:
            self._say_goodbye()
        elif close or self._events:  # not here, where somebody publishes
            self.run_errand(trio.lowlevel.checkpoint)

    # The access log.

    def _open_entry(self, request: Request | None) -> None:
        method, target, body = b"", b"", None
        if request is not None:
            method, target, body = request.method, request.target, request.body
        self.entry = Entry(self.peer, method, target, time.time(), trio.current_time())
        self.entry.received = len(body or b"")

    def began(self, status: int) -> None:
        """The answer begins."""
        if self.entry is not None:
            self.entry.answered(status, trio.current_time())

    def _close_entry(self, size: int, *, whole: bool) -> None:
        entry, self.entry = self.entry, None
        record = self._ledger.record
        if entry is not None and record is not None:
            entry.peer = self.peer
            entry.sent = size
            entry.whole = whole
            entry.duration = trio.current_time() - entry.start
            record(entry)

    def _refuse(self, status: int, reason: str) -> None:
        """Answer what cannot be understood, which ends the connection."""
        if self._ledger.record is not None and self.entry is None:
            self._open_entry(None)
        self._request = None
        self.extra = ()
        self._body_done = False
        self.answer(problem(status, reason), close=True)

    # Errands.

    def run_errand(self, errand: Callable[[], Awaitable[None]]) -> None:
        """Do what has to wait, in a task; nothing else is served meanwhile."""
        if self._closed:
            return
        self._errands.append(errand)
        if len(self._errands) == 1:
            self.transport.pause()
            self._nursery.start_soon(self._run_errands)

    async def _run_errands(self) -> None:
        try:
            while self._errands and not self._closed:
                await self._errands[0]()
                self._errands.pop(0)
            if not self._closed:
                self.transport.resume()
                self._proceed()
        except Disconnected:
            self.close()
        except Exception as error:  # noqa: BLE001 - the connection boundary
            self._fail(error)

    # The end.

    def _say_goodbye(self) -> None:
        """The last answer is sent. If the peer is still sending a body, let it
        see that before the connection goes."""
        self._events.clear()
        if self._body_done and self.hold is not None and self.unacknowledged():
            # Only when all of it has arrived, the segment is taken.
            self._is_lingering = True
            self.transport.shut_down_sending()
            self.transport.resume()
        elif self._body_done:
            self.close()
        else:
            self._discarding = DISCARD_BYTES
            self.transport.shut_down_sending()
            self.transport.resume()

    def close(self, *, fail: bool = False) -> None:
        """End the connection at once. With `fail`, the peer sees a failure."""
        if self._closed:
            return
        self._closed = True
        try:
            self._leave()
        finally:
            self._events.clear()
            self._parser.close()
            self.transport.close(fail=fail)
            self._on_close(self)

    def _leave(self) -> None:
        """Let those who are there for the peer know that it is not any more."""
        if self.exchange is not None:
            sent = self.exchange.hang_up()
            self.exchange = None
            if self.entry is not None:
                self._close_entry(sent, whole=False)
        if self.hold is not None:
            hold, self.hold = self.hold, None
            hold.flow.leave(hold, is_taken=hold.is_taken())

    def _bounded(self, action: Callable[..., None], *arguments: object) -> None:
        """Do what is not to cost more than this connection, if it fails."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - the connection boundary
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """A fault of ours: it costs this connection, and no other."""
        _log.error("a connection failed: %s: %s", type(error).__name__, error)
        self.close()

    def unacknowledged(self) -> int:
        """How many of the bytes sent have not reached the peer yet."""
        return len(self._owed) + self.transport.unacknowledged()

    # Deadlines.

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._closed

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self.exchange is not None or bool(self._errands)

    def check(self, now: float) -> None:
        """Give up if the peer has kept us waiting for too long. Called every
        second or so; `now` is trio's clock, in seconds."""
        self._bounded(self._check, now)

    def _check(self, now: float) -> None:
        if self.exchange is not None and not self._errands:
            self.exchange.check(now)
        if self._is_lingering and not self.unacknowledged():
            self.close()
            return
        limit, awaited = self._waiting_for()
        if awaited != self._seen:
            self._seen, self._since = awaited, now
        elif awaited is not None and now - self._since > limit:
            if self._parser.in_head and not self.busy and not self._discarding:
                limit = self._patience.head
                self._refuse(408, f"the request's head took more than {limit:g} s")
                self._proceed()
            else:
                self.close()

    @property
    def _is_sending(self) -> bool:
        return bool(self._owed) or self.exchange is not None or self._is_lingering

    def _waiting_for(self) -> tuple[float, object]:
        """For how long, and for what: the same as long as nothing moves."""
        patience = self._patience
        if self.hold is not None and not self.hold.is_over and self._is_sending:
            return patience.stall, None  # the lease says how long
        if self._owed:
            return patience.stall, ("flush", len(self._owed))
        if self.exchange is not None:
            return patience.stall, self.exchange.waiting_for()
        if self._is_lingering:
            return patience.stall, ("taking", self.unacknowledged())
        if self._discarding:
            return patience.discard, "discard"
        if self._parser.in_head:
            return patience.head, ("head", self._served)
        return patience.idle, ("idle", self._served)
