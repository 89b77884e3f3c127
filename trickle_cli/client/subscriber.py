"""Subscribing: one GET for each segment, the next one asked for ahead of time.

Two connections take turns. As soon as segment N has begun, which the head of its
answer says, N + 1 is asked for on the other connection; the server holds that
until it begins. All of this happens in the caller's task: what comes ahead of its
time waits in the kernel, which holds the server back when that is full.

What may happen to a request, and what is done about it (`_settle`):

    200                    the segment; its own Seq counts, not the one asked for
    200, Closed            the channel has ended
    470, head below        we are ahead: wait a moment, ask for the same
    470, head equal        it has just begun: ask again at once
    470, head above        it fell out of the window: take the oldest there is
    470, another epoch     the numbering began anew: take the oldest there is
    404                    no such channel; after a success, the channel has ended,
                           or, where it has an epoch, the server has forgotten it: that
                           is tried again for a while, as a connection that breaks is
    408, Timeout: wait     ask again at once, if it did wait: see below
    408, 429, 5xx          ask again, later and later
    the connection breaks  connect again, later and later, and ask for the same; if
                           that was within a segment, for the rest of it

A request that waits is renewed now and then (`Prefer: wait`), so that no path that has
died in silence, and no proxy with a timeout of its own, ever hangs us. Servers that do
not know of this are asked again on a new connection.

Nothing is passed over in silence: a segment tells what was lost before it, and
whether it is whole.
"""

from __future__ import annotations

import random
import secrets
from types import TracebackType
from typing import Final

import trio

from trickle_cli.client.asking import Asked, Requests
from trickle_cli.client.backoff import CAP, CAP_IN_SEGMENT, Backoff, given_up
from trickle_cli.client.config import ClientConfig
from trickle_cli.client.connection import Connection
from trickle_cli.client.depth import MOST
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.reading import SegmentReader
from trickle_cli.client.resuming import (
    TryLater,
    continues,
    first_of,
    has_all,
    require_service,
)
from trickle_cli.client.timing import SegmentTimes
from trickle_cli.client.undoing import unless_done
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ChannelVanished,
    ConnectionFailed,
    NotAllowed,
    ProtocolViolation,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.names import SEGMENT_MISSING, WAIT
from trickle_cli.protocol.responses import Answer, decode
from trickle_cli.protocol.sequence import CURRENT, OLDEST
from trickle_cli.statistics import SubscriberStatistics

#: Seconds, about, before a segment is asked for again that is not there yet.
AHEAD_PAUSE: Final = 0.25
#: The longest pause between looks for a channel that does not exist yet.
_WAIT_CAP: Final = 1.0
#: How often a server is asked again without a pause that answers without one.
_AT_ONCE: Final = 3
#: Seconds that our first request must have waited to show that the server is one, which
#: may come back when it goes.
_HELD: Final = 1.0
#: Seconds in which a server is to answer for a segment that was on its way.
_RESUME_TIMEOUT: Final = 30
#: Bytes of the label by which a lossless channel knows us again.
_LABEL_SIZE: Final = 12
#: A server that has gone is tried again at least so often.
_ATTEMPTS: Final = 12
#: Seconds for which a server that has gone is tried again.
RETRY_FOR: Final = 60.0
#: A publisher whose server forgot everything goes on at its own seq. It sends so many
#: segments again at most, which may have arrived before.
_RESENT: Final = MOST + 1


class Subscriber:
    """Receives one channel, segment after segment. Use it as `async with`.

    Args:
        endpoint: the channel.
        start: the first seq; relative ones are resolved by the server.
        wait: if there is no such channel, wait for it, and start at its first
            segment, unless `start` is a number of its own.
        config: a token, TLS and the like.
        retry_for: seconds for which a server that has gone, or has forgotten the
            channel, is tried again once it has worked.

    Cancelling a call leaves it usable; leaving the block drops the connections.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        start: int = CURRENT,
        wait: bool = False,
        config: ClientConfig | None = None,
        retry_for: float = RETRY_FOR,
    ) -> None:
        self.endpoint = endpoint
        self.config = config or ClientConfig()
        self._seq = start
        self._expected = start if start >= 0 else None
        self._wait = wait
        self._retry_for = retry_for
        label = secrets.token_hex(_LABEL_SIZE).encode()
        self._requests = Requests(endpoint, self.config, label)
        # What a server does not hold for long is to be had by trying often enough.
        self._longest_pause = max(CAP_IN_SEGMENT, min(CAP, retry_for / _ATTEMPTS))
        self._cap = self._longest_pause
        self._failing_since: float | None = None
        self._met = False  # whether the channel has answered once
        self._is_absent = False  # there is no such channel yet
        self._speaks_epochs = False
        self._is_carried_on = False
        self._epoch = ""
        self._reader: SegmentReader | None = None
        self._backoff = Backoff()
        self._at_once = 0
        self._head: int | None = None
        self._segments = self._size = self._reconnects = 0
        self._last: tuple[int | None, int] = None, 0  # the segment before: seq, size
        self._times = SegmentTimes()
        self._lost = self._incomplete = 0
        self._waiting = ""

    async def __aenter__(self) -> Subscriber:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drop the connections."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.connection.aclose()
        await self._requests.aclose()

    @property
    def epoch(self) -> str:
        """What the server called the life of the channel that the last segment was of;
        "" if it has no name for it."""
        return self._epoch

    @property
    def next_seq(self) -> int | None:
        """The seq after the last segment, None before the first."""
        return self._expected

    def set_seq(self, seq: int) -> None:
        """Read `seq` next, which may be relative."""
        self._seq = seq
        self._expected = seq if seq >= 0 else None

    def statistics(self) -> SubscriberStatistics:
        """A snapshot, for showing."""
        reader = self._reader
        seq, size = self._last if reader is None else (reader.seq, reader.size)
        return SubscriberStatistics(
            seq=seq,
            head=self._head,
            segment_size=size,
            segment_age=self._times.age,
            last_size=self._times.last_size,
            last_age=self._times.last_age,
            segments=self._segments,
            size=self._size + (0 if reader is None else size),
            lost=self._lost,
            incomplete=self._incomplete + (reader is not None and reader.incomplete),
            reconnects=self._reconnects,
            waiting=self._waiting,
        )

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> SegmentReader:
        """`read`, until the channel has ended."""
        try:
            return await self.read()
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def read(self) -> SegmentReader:
        """Wait until the next segment has begun, and return it; what is unread of
        the one before is dropped.

        Raises ChannelClosed at the end; before the first success ConnectionFailed
        and ChannelNotFound; NotAllowed and UnexpectedStatus at any time. After the
        first success, ConnectionFailed if the server does not come back, and
        ChannelVanished if it has forgotten the channel without a word, and nobody
        makes it again.
        """
        await trio.lowlevel.checkpoint_if_cancelled()  # much may have come already
        await self._finish_reader()
        while True:
            seq = self._seq
            connection: Connection | None = None
            began = trio.current_time()
            try:
                asked = await self._requests.take(seq)
                connection = asked.connection
                answer = await self._requests.answer_to(asked)
                if answer is None:
                    continue  # this server does not know of renewals
                if answer.status == 200 and not answer.closed:
                    if not self._is_it(answer, seq):
                        continue
                    reader = await self._begin(asked, answer)
                    connection = None
                    return reader
                text = await connection.text()
                done, connection = connection, None
            except (ConnectionFailed, ProtocolViolation) as error:
                failed, connection = connection, None
                await self._go_on_after(error, failed, began)
                continue
            finally:
                if connection is not None:  # nobody goes on with it
                    await self._requests.drop(connection)  # noqa: ASYNC102
            await self._requests.release(done)
            is_quick = trio.current_time() - began < AHEAD_PAUSE
            await self._settle(answer, text, seq, is_quick=is_quick)

    async def _go_on_after(
        self, error: TrickleError, connection: Connection | None, began: float
    ) -> None:
        """Wait before another connection is tried, because of `error` on `connection`,
        if that could be made, in an attempt that `began` then; or raise it."""
        if connection is not None:
            await self._requests.drop(connection)
        held = connection is not None and trio.current_time() - began >= _HELD
        if not (self._met or self._waiting or held):
            raise error
        if held:
            self._backoff.reset()
        await self._requests.drop_idle()
        await self._retry(error)

    async def _finish_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        self._incomplete += reader.incomplete
        self._size += reader.size
        self._last = reader.seq, reader.size
        self._times.end(reader.size)
        if reader.is_open and not reader.connection.skip_nowait():
            await self._requests.drop(reader.connection)
        else:
            await self._requests.release(reader.connection)
        reader.is_open = False

    # What an answer means.

    async def _begin(self, asked: Asked, answer: Answer) -> SegmentReader:
        """The segment that `answer` begins; asks for what comes after it."""
        connection = asked.connection
        seq = answer.seq if answer.seq is not None else asked.seq
        if seq < 0:
            raise ProtocolViolation(f"{connection.where} does not say which segment")
        restarted, lost = self._missed(answer, seq)
        await self._requests.ask_ahead(asked, seq + 1, answer)
        # Nothing below waits: a call that was cancelled has not taken the segment.
        self._met = True
        self._is_absent = False
        self._waiting = ""
        self._works()
        # A lossless channel keeps our place for a short while only.
        self._cap = CAP_IN_SEGMENT if answer.lossless else self._longest_pause
        self._at_once = 0
        self._epoch = answer.epoch
        self._speaks_epochs = self._speaks_epochs or bool(answer.epoch)
        self._head = answer.latest if answer.latest is not None else seq + 1
        self._seq = self._expected = seq + 1
        self._segments += 1
        self._times.begin()
        self._lost += len(lost)
        self._reader = SegmentReader(
            answer,
            connection,
            self._resume,
            seq=seq,
            lost=lost,
            restarted=restarted,
        )
        return self._reader

    def _is_new(self, answer: Answer) -> bool:
        """Whether the numbering began anew since the last segment."""
        return bool(answer.epoch and self._epoch and answer.epoch != self._epoch)

    def _is_it(self, answer: Answer, asked: int) -> bool:
        """Whether the segment that `answer` begins is the next one. If the numbering
        began anew, that may not be the one with the number that we came to: ask for
        the oldest then, to know where it began."""
        if self._expected is None or not self._is_new(answer) or answer.seq is None:
            return True
        is_newest = answer.latest in {None, answer.seq + 1}  # so we waited for it
        if asked == answer.seq == self._expected and not self._is_carried_on:
            if is_newest and self._failing_since is None:
                return True
            self._seq = OLDEST
            return False
        if asked == OLDEST and self._failing_since is not None:
            # Whoever published before may go on; those were sent again.
            repeated = self._expected - answer.seq
            if answer.seq > 0 and 0 <= repeated <= _RESENT:
                self._is_carried_on = True
                self._seq = self._expected
                return repeated == 0
        return True

    def _missed(self, answer: Answer, seq: int) -> tuple[bool, range]:
        """Whether the numbering began anew with segment `seq`, and which segments
        were missed before it, as far as that can be known."""
        expected = self._expected
        if expected is None:
            return False, range(0)
        if seq < expected:
            return True, range(expected, max(expected, self._head or 0))
        return self._is_new(answer), range(expected, seq)

    def _works(self) -> None:
        """The server has answered as it should."""
        self._failing_since = None
        self._is_carried_on = False
        self._backoff.reset()

    async def _retry(
        self, error: TrickleError, at_least: float = 0, *, cap: float = CAP
    ) -> None:
        """Wait before the next attempt, because of `error`, or raise that."""
        now = trio.current_time()
        if self._failing_since is None:
            self._failing_since = now
        tried = now - self._failing_since
        if not self._is_absent and tried >= self._retry_for:
            raise given_up(error, tried)
        self._waiting = str(error)
        self._reconnects += 1
        self._backoff.cap = min(self._cap, cap)
        await self._backoff.pause(at_least)

    async def _settle(
        self, answer: Answer, text: str, asked: int, *, is_quick: bool
    ) -> None:
        """Do what an answer asks for that is not a segment: see the table above. It
        `is_quick` if it came without a wait."""
        status = answer.status
        if status == 200:
            raise ChannelClosed(self.endpoint.channel, where=self.endpoint.server)
        if status == SEGMENT_MISSING:
            self._met = True
            self._speaks_epochs = self._speaks_epochs or bool(answer.epoch)
            if asked >= 0 and self._is_new(answer):
                self._seq = OLDEST  # seqs began anew: what we ask for is far ahead
            else:
                await self._settle_missing(answer.latest, asked)
        elif status == 404:
            await self._settle_absent()
        elif status in {401, 403}:
            raise NotAllowed(f"{self.endpoint.server} does not allow it: {text}")
        elif status == 408 and answer.timeout == WAIT:
            self._met = True
            self._speaks_epochs = self._speaks_epochs or bool(answer.epoch)
            if is_quick:
                await self._ask_at_once()
        elif status in {408, 429} or status >= 500:
            error = TryLater(f"{self.endpoint.server}: {text}")
            await self._retry(error, answer.retry_after or 0)
        elif status == 400 and asked < CURRENT:
            self._seq = CURRENT  # an older server, which cannot count back
        else:
            raise UnexpectedStatus(status, text, what=str(self.endpoint))

    async def _settle_missing(self, latest: int | None, asked: int) -> None:
        if latest is not None and latest > asked >= 0:
            self._head = latest
            following = self._requests.next_seq
            if following is not None:
                self._seq = following  # that may be there yet
                return
            # A server that names its epochs is ours, and knows the oldest.
            self._seq = OLDEST if self._speaks_epochs else latest
        elif latest == asked:
            await self._ask_at_once()
        else:
            await self._pause_ahead()

    async def _ask_at_once(self) -> None:
        """Wait before the next request only if this has happened again and again."""
        self._at_once += 1
        if self._at_once > _AT_ONCE:
            await self._pause_ahead()

    async def _pause_ahead(self) -> None:
        await trio.sleep(AHEAD_PAUSE * random.uniform(0.8, 1.2))  # noqa: S311

    async def _settle_absent(self) -> None:
        channel, where = self.endpoint.channel, self.endpoint.server
        if self._speaks_epochs:
            # The server is there, and what publishes may be back at any moment.
            await self._retry(ChannelVanished(channel, where=where), cap=_WAIT_CAP)
            return
        if self._met:  # other servers forget a channel when it is closed
            raise ChannelClosed(channel, where=where)
        if not self._wait:
            raise ChannelNotFound(channel, where=where)
        if self._seq < 0:
            self._seq = self._expected = 0
        self._is_absent = True
        self._failing_since = None
        self._waiting = f"no channel '{channel}' on {where} yet"
        self._backoff.cap = _WAIT_CAP
        await self._backoff.pause()

    # In the middle of a segment.

    async def _resume(
        self, reader: SegmentReader, error: TrickleError, since: float
    ) -> Connection | None:
        """A connection that goes on where `reader` broke off, because of `error`; it
        has come no further `since` then. None if the rest is not to be had."""
        await self._requests.drop(reader.connection)
        backoff = Backoff(CAP_IN_SEGMENT)
        self._waiting = str(error)
        until = since + self._retry_for
        if self._failing_since is None:
            self._failing_since = trio.current_time()
        while trio.current_time() < until:
            await backoff.pause()
            self._reconnects += 1
            try:
                connection = await self._resume_once(reader)
            except (ConnectionFailed, ProtocolViolation, TryLater) as failure:
                self._waiting = str(failure)
            else:
                self._waiting = ""
                if connection is not None:
                    self._failing_since = None
                return connection
        return None

    async def _resume_once(self, reader: SegmentReader) -> Connection | None:
        connection = await self._requests.ask_rest(reader.seq, reader.size)
        async with unless_done(connection.aclose):
            with trio.move_on_after(_RESUME_TIMEOUT) as waiting:
                answer = decode(await connection.response())
            if waiting.cancelled_caught:
                raise TryLater(f"{connection.where} does not answer")
            require_service(answer, connection)
            if continues(reader, answer):
                known = reader.size
                if answer.status == 206:
                    known -= first_of(answer)
                if await connection.skip(known):
                    reader.incomplete = reader.incomplete or answer.incomplete
                    return connection
            elif has_all(reader, answer):
                reader.incomplete = reader.incomplete or answer.incomplete
                reader.is_open = False
        await connection.aclose()
        return None
