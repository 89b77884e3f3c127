"""Taking the segments of channels to where they go: what `sub` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from trickle_cli.commands.telling import tell_segment
from trickle_cli.display import formats
from trickle_cli.outputs.taken import Outlet, Segment, Taken, Writer

if TYPE_CHECKING:
    from trickle_cli.client import ClientConfig, Endpoint, SegmentReader, Subscriber
    from trickle_cli.display.talk import Talk


@dataclass(kw_only=True)
class Taking:
    """Takes segments to all of `outlets`, until it has `count` of them (None: as long
    as there are any); then it calls `enough`. So it does at the first gap if it
    `stops_at_gap`. `look` sees what a segment begins with before that goes anywhere.

    `is_whole` is whether nothing was missing.
    """

    talk: Talk
    enough: Callable[[], None]
    outlets: Sequence[Outlet] = ()
    count: int | None = None
    stops_at_gap: bool = False
    look: Callable[[str, bytes], None] | None = None
    names_channel: bool = False
    is_whole: bool = True
    _moved: float = field(default_factory=trio.current_time)
    _busy: int = 0  # segments that are being handed on
    _last_ones: int = 0  # those that are counted, and have not got where they go

    async def run(self, subscriber: Subscriber, end: int | None = None) -> None:
        """Take what comes from `subscriber`; with `end`, only segments before that."""
        channel = subscriber.endpoint.channel
        async for segment in subscriber:
            if end is not None and (segment.seq >= end or segment.restarted):
                return
            self._moved = trio.current_time()
            is_whole = tell_gap(segment, self.talk, self._prefix(channel))
            self.is_whole = self.is_whole and is_whole
            if self._is_over():
                return
            await self._take(channel, segment)
            if self._is_over() or segment.seq + 1 == end:
                return

    def _prefix(self, channel: str) -> str:
        return f"{channel}: " if self.names_channel else ""

    def _is_over(self) -> bool:
        has_all = self.count == 0 and not self._last_ones
        is_over = has_all or (self.stops_at_gap and not self.is_whole)
        if is_over:
            self.enough()
        return is_over

    async def _take(self, channel: str, reader: SegmentReader) -> None:
        segment = Segment(
            channel=channel,
            seq=reader.seq,
            type=reader.type,
            started=time.time(),
            lost=len(reader.lost),
        )
        writers: list[Writer] = []
        try:
            for outlet in self.outlets:
                writers.append(outlet.open(segment))  # noqa: PERF401 - one may fail
            async for data in reader:
                if self.look is not None and reader.size == len(data):
                    self.look(reader.type, data)
                with self._handing_on():
                    for writer in writers:
                        await writer.write(data)
            with self._handing_on():
                await self._finish(segment, reader, writers)
        finally:
            for writer in writers:
                writer.drop()

    async def _finish(
        self, segment: Segment, reader: SegmentReader, writers: Sequence[Writer]
    ) -> None:
        if self.count is not None:
            if not self.count:
                return  # another channel was quicker with the last one
            self.count -= 1
            self._last_ones += 1
        prefix = self._prefix(segment.channel)
        taken = Taken(
            segment=segment,
            size=reader.size,
            ended=time.time(),
            complete=not reader.incomplete,
        )
        if reader.incomplete:
            self.talk.warn(f"{prefix}segment {segment.seq} is incomplete")
            self.is_whole = False
        age = taken.ended - segment.started
        tell_segment(self.talk, segment.seq, taken.size, age, prefix)
        for writer in writers:
            taken = await writer.finish(taken)
        if self.count is not None:
            self._last_ones -= 1

    @contextmanager
    def _handing_on(self) -> Iterator[None]:
        """As long as somebody takes what has come, nobody waits for us."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            self._moved = trio.current_time()

    async def until_idle(self, seconds: float) -> None:
        """Wait until nothing has come for so long."""
        while True:
            now = trio.current_time()
            due = (now if self._busy else self._moved) + seconds
            if due <= now:
                return
            await trio.sleep_until(due)


def tell_gap(segment: SegmentReader, talk: Talk, prefix: str = "") -> bool:
    """Say what is missing before `segment`. True if nothing is."""
    if segment.restarted:
        talk.say(f"{prefix}the channel has begun anew, at segment {segment.seq}")
    if segment.lost:
        talk.warn(f"{prefix}lost {formats.seqs(segment.lost)}")
    return not segment.lost


async def notice_waiting(subscriber: Subscriber, talk: Talk, prefix: str = "") -> None:
    """Say what holds the subscriber up, when that changes."""
    said = ""
    while True:
        waiting = subscriber.statistics().waiting
        if waiting != said:
            talk.say(
                f"{prefix}{waiting}; waiting" if waiting else f"{prefix}here it is"
            )
            said = waiting
        await trio.sleep(0.1)


async def present_end(endpoint: Endpoint, config: ClientConfig) -> int:
    """The seq after the newest segment there is now. ChannelNotFound."""
    from trickle_cli.client import Control

    async with Control(endpoint, config) as control:
        return (await control.next()).seq
