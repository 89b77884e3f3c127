"""The body of one POST on its way into a segment.

`take` is where a publisher's bytes enter the relay: `Publication.write` stores
them and pushes them to the live readers before it returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from trickle_cli.errors import LimitReached, SegmentConflict, StorageFailed
from trickle_cli.protocol.names import FIRST_BYTE
from trickle_cli.protocol.requests import Publish
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.relay import Channel, Publication, Verdict
from trickle_cli.relay.segment import push_on
from trickle_cli.server.answers import about, conflicting, full, not_stored
from trickle_cli.server.connection import Connection


def take_whole(
    connection: Connection, channel: Channel, wanted: Publish, body: bytes
) -> bool:
    """Answer a POST whose body has come whole, if nothing about it is out of the
    ordinary. False, and nothing is done, if it takes an `Intake`, to do the same."""
    if wanted.offset or wanted.reset or wanted.expect or not body:
        return False
    size = len(body)
    rest = channel.add_whole(wanted.seq, [body], size, _owner(wanted.publisher))
    if rest is None:
        return False
    if rest:
        connection.run_errand(lambda: push_on(rest))
    connection.published(channel.epoch, wanted.seq, size)
    return True


class Intake(Publication):
    """The exchange of one POST on `connection`.

    If `channel` is closed, `replace` makes it anew: that happens at the first
    body byte, and not at all for an empty body. `patience` is in seconds: so long it
    may be without a first byte while nothing flows on the channel.
    """

    __slots__ = ("_begun", "_connection", "_opened", "_patience", "_replace", "_wanted")

    def __init__(
        self,
        connection: Connection,
        wanted: Publish,
        replace: Callable[[Publish], Channel],
        patience: float,
    ) -> None:
        super().__init__(_owner(wanted.publisher), wanted.offset)
        self._connection = connection
        self._patience = patience
        self._opened: float | None = None  # when it was first seen to wait
        self._begun = False
        self._wanted = wanted
        self._replace = replace

    def start(self, channel: Channel) -> None:
        """Open, unless the channel has to be replaced first. LimitReached,
        SegmentConflict."""
        if not channel.closed:
            channel.publish(self, self._wanted.seq, reset=self._wanted.reset)
        self._connection.exchange = self

    def take(self, chunks: list[bytes], *, end: bool) -> None:
        self._begun = True
        try:
            if self.channel is None and not self._start_over(empty=not chunks):
                return
            rest = self.write(chunks, end=end)
        except SegmentConflict as conflict:
            self._answer(conflicting(conflict))
            return
        except StorageFailed as error:
            self._answer(not_stored(error), close=True)
            return
        if rest:
            self._connection.run_errand(lambda: push_on(rest))
        channel = self.channel
        if isinstance(channel, Channel) and channel.recording.wants_flush(ended=end):
            self._connection.run_errand(partial(self._flush, channel, end=end))
        elif end and self.verdict is None:
            self._finish()
        channel = self._flowing
        if channel is not None and not channel.has_room(self.seq):
            self._connection.run_errand(self._wait_for_room)

    async def _flush(self, channel: Channel, *, end: bool) -> None:
        """Bring it to the disk itself, before anybody is told that we have it."""
        assert channel.recording.log is not None
        try:
            await channel.recording.log.flush()
        except StorageFailed as error:
            if self._connection.exchange is self:
                self._answer(not_stored(error), close=True)
            return
        if end and self.verdict is None and self._connection.exchange is self:
            self._finish()

    @property
    def _flowing(self) -> Channel | None:
        """The channel, if it may hold us back."""
        channel = self.channel
        if isinstance(channel, Channel) and channel.flow is not None:
            return channel
        return None

    def _finish(self) -> None:
        """All of the body is taken."""
        channel, segment = self.channel, self.segment
        assert isinstance(channel, Channel)
        assert segment is not None
        if channel.flow is None:
            self._connection.published(channel.epoch, segment.seq, segment.size)
        else:
            answer = about(channel, segment)
            self._connection.answer(answer._replace(type="", latest=None))

    async def _wait_for_room(self) -> None:
        """The readers of the channel have to take something first."""
        channel = self._flowing
        assert channel is not None
        assert channel.flow is not None
        await channel.flow.until(
            lambda: (
                self._connection.is_closed
                or self.verdict is not None
                or channel.has_room(self.seq)
            ),
            self.seq,
        )

    def _start_over(self, *, empty: bool) -> bool:
        """Replace the closed channel. False if that came to nothing."""
        if empty:
            self._answer(Answer(seq=max(self._wanted.seq, 0), closed=True))
            return False
        try:
            channel = self._replace(self._wanted)
            channel.publish(self, self._wanted.seq, reset=self._wanted.reset)
        except LimitReached as error:
            self._answer(full(error))
            return False
        except StorageFailed as error:
            self._answer(not_stored(error))
            return False
        except SegmentConflict as conflict:
            self._answer(conflicting(conflict))
            return False
        return True

    def _answer(self, answer: Answer, *, close: bool = False) -> None:
        self.abandon()
        self._connection.answer(answer, close=close)

    def judged(self) -> None:
        self._connection.run_errand(self._give_verdict)

    async def _give_verdict(self) -> None:
        if self._connection.exchange is not self:
            return  # it had just come to its own end
        if self.verdict is Verdict.SUPERSEDED:
            self._connection.close()
            return
        assert self.channel is not None
        seq, epoch, latest = self.seq, self.channel.epoch, self.channel.head
        match self.verdict:
            case Verdict.CLOSED:
                answer = Answer(closed=True)
            case Verdict.TOO_LARGE:
                text = f"segment {seq} is too large; the part that fits is kept"
                answer = problem(413, text)._replace(latest=latest)
            case Verdict.EVICTED:
                text = f"segment {seq} was open for too long, it is out of the window"
                answer = problem(409, text)._replace(latest=latest)
            case _:
                answer = Answer()
        size = 0 if self.segment is None else self.segment.size
        self._answer(answer._replace(seq=seq, epoch=epoch, size=size), close=True)

    def hang_up(self) -> int:
        self.abandon()
        return 0

    def check(self, now: float) -> None:
        """Whoever has opened a POST ahead of its time is to come again after a while:
        that shows that it is still there."""
        if self._begun:
            return
        if self._opened is None:
            self._opened = now
        flowing = self.channel.written if self.channel is not None else 0.0
        channel = self._flowing
        if channel is not None and channel.flow is not None and channel.flow.waiting:
            flowing = now  # something would flow if we let it
        if now - max(self._opened, flowing) > self._patience:
            self._connection.run_errand(self._time_out)

    async def _time_out(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._connection.exchange is not self or self._begun:
            return
        answer = problem(408, f"no byte has come for {self._patience:g} s")
        answer = answer._replace(timeout=FIRST_BYTE, seq=max(self._wanted.seq, 0))
        if self.channel is not None:
            answer = answer._replace(
                seq=self.seq, latest=self.channel.head, epoch=self.channel.epoch, size=0
            )
        self._answer(answer, close=True)

    def waiting_for(self) -> object:
        return None  # a live publisher may pause; the idle sweep looks after it


#: So many bytes tell publishers apart.
_OWNER_SIZE: Final = 16


def _owner(publisher: bytes) -> bytes:
    """What is kept of a publisher's secret: enough to know it again."""
    if not publisher:
        return b""
    return hashlib.blake2b(publisher, digest_size=_OWNER_SIZE).digest()
