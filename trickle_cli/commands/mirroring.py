"""From a subscriber to a publisher: the work of `trickle mirror`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

import trio

from trickle_cli.client import (
    ClientConfig,
    Control,
    Endpoint,
    Publisher,
    SegmentInfo,
    SegmentReader,
    SegmentWriter,
    Subscriber,
)
from trickle_cli.commands.signals import Interruption
from trickle_cli.commands.taking import tell_gap
from trickle_cli.commands.telling import fail_early, tell_segment, telling
from trickle_cli.display import summaries
from trickle_cli.display.talk import Talk
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    NotAllowed,
    SegmentNotFound,
    UnexpectedStatus,
)
from trickle_cli.protocol.names import DEFAULT_TYPE
from trickle_cli.protocol.sequence import CURRENT

#: Seconds for which a server waits, perhaps, for the rest of what was broken off.
_SETTLE_TIMEOUT: Final = 10.0
_SETTLE_PAUSE: Final = 0.25


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to mirror, and how: `config` is for the source, `to_config` for the
    destination. `start` is None to go on where the destination stands."""

    source: Endpoint
    target: Endpoint
    config: ClientConfig
    to_config: ClientConfig
    retry_for: float
    start: int | None
    lossless: bool
    keep_open: bool


class Beginning(NamedTuple):
    """Where to begin: segment `seq` of the source; `head` is the destination's."""

    seq: int
    head: int
    is_whole: bool


async def starting(job: Job, talk: Talk) -> Beginning:
    """Go on where the destination stands, unless something else was asked for, or the
    source has not come so far."""
    async with Control(job.target, job.to_config) as control:
        head = await _head_of(control)
        if job.start is not None:
            return Beginning(job.start, head, is_whole=True)
        if not head:
            return Beginning(CURRENT, 0, is_whole=True)
        is_whole = await _is_whole(control, head - 1)
    async with Control(job.source, job.config) as control:
        if await _head_of(control) < head:
            return Beginning(CURRENT, head, is_whole=True)
    talk.say(f"{job.target} is there: going on with segment {head}")
    if not is_whole:
        talk.warn(f"segment {head - 1} stays incomplete there")
    return Beginning(head, head, is_whole)


async def _head_of(control: Control) -> int:
    """Where the channel stands, 0 if there is none, or none any more."""
    try:
        head = await control.next()
    except ChannelNotFound:
        return 0
    return 0 if head.closed else head.seq


async def _is_whole(control: Control, seq: int) -> bool:
    """Whether that is all of segment `seq`, as far as the server tells."""
    info = await _inspect(control, seq)
    return info is None or info.is_complete is not False


async def _inspect(control: Control, seq: int) -> SegmentInfo | None:
    try:
        return await control.inspect(seq)
    except (ChannelClosed, ChannelNotFound, SegmentNotFound, UnexpectedStatus):
        return None


async def _close(endpoint: Endpoint, config: ClientConfig, newest: int) -> None:
    """Close a channel that gets nothing more, when its server knows that `newest` has
    been broken off, if it has: what is open then counts as whole."""
    async with Control(endpoint, config) as control:
        with trio.move_on_after(_SETTLE_TIMEOUT):
            while info := await _inspect(control, newest):
                if info.is_complete is not False or info.is_incomplete:
                    break
                await trio.sleep(_SETTLE_PAUSE)
        with suppress(ChannelNotFound):
            await control.close()


class Mirror:
    """Carries segments from `subscriber` to the destination."""

    def __init__(
        self, job: Job, begin: Beginning, subscriber: Subscriber, talk: Talk
    ) -> None:
        self._job = job
        self._head = begin.head  # of the destination
        self._subscriber = subscriber
        self._talk = talk
        self._lost = 0
        self._incomplete = 0 if begin.is_whole else 1
        self._writer: SegmentWriter | None = None

    def missing(self) -> str:
        """What the destination lacks, "" if nothing."""
        return summaries.missing(self._lost, self._incomplete)

    async def run(self, interruption: Interruption) -> None:
        """Until the source has ended, or an interruption."""
        segment = await self._next()
        if segment is None and self._head and not self._job.keep_open:
            await _close(self._job.target, self._job.to_config, self._head - 1)
        while segment is not None and interruption.code is None:
            async with self._publisher_for(segment) as publisher:
                following = None
                try:
                    async with telling(publisher, self._talk):
                        async with trio.open_nursery() as nursery:
                            interruption.cancel = nursery.cancel_scope.cancel
                            nursery.start_soon(fail_early, publisher)
                            following = await self._carry(publisher, segment)
                            nursery.cancel_scope.cancel()
                        is_over = following is None and interruption.code is None
                        await self._end(publisher, is_over=is_over)
                finally:
                    self._lost += len(publisher.lost)
                self._head = publisher.next_seq
            segment = following

    def _publisher_for(self, segment: SegmentReader) -> Publisher:
        """Who publishes from `segment` on, which begins anew if that has been."""
        job = self._job
        is_anew = segment.seq < self._head
        if is_anew:
            self._talk.say(f"{job.target} begins anew, at segment {segment.seq}")
        return Publisher(
            job.target,
            type_=segment.type or DEFAULT_TYPE,
            lossless=job.lossless or segment.lossless,
            start=segment.seq if is_anew else None,
            config=job.to_config,
            retry_for=job.retry_for,
        )

    async def _next(self) -> SegmentReader | None:
        """The next segment of the source, None if it has ended."""
        try:
            segment = await self._subscriber.read()
        except ChannelClosed:
            return None
        tell_gap(segment, self._talk)
        self._lost += len(segment.lost)
        return segment

    async def _carry(
        self, publisher: Publisher, segment: SegmentReader
    ) -> SegmentReader | None:
        """Carry `segment`, and what follows, to `publisher`. Returns the segment with
        which the source begins anew, None at its end."""
        while True:
            writer = self._writer = await publisher.next(segment.seq)
            async for data in segment:
                await writer.write(data)
            if segment.incomplete:
                self._talk.warn(f"segment {segment.seq} is incomplete")
                self._incomplete += 1
                await writer.abandon()
            else:
                await writer.close()
            age = self._subscriber.statistics().segment_age
            tell_segment(self._talk, segment.seq, segment.size, age)
            following = await self._next()
            if following is None:
                return None
            if following.restarted and following.seq < publisher.next_seq:
                return following
            segment = following

    async def _end(self, publisher: Publisher, *, is_over: bool) -> None:
        """Bring to the destination what was taken."""
        if self._writer is not None and self._writer.is_open:
            await self._writer.abandon()
        await publisher.flush()
        if is_over and not self._job.keep_open:
            try:
                await publisher.close()
            except NotAllowed as error:
                raise NotAllowed(
                    "all is mirrored, but the channel stays open, for we may not close"
                    " it: see --keep-open"
                ) from error
