"""`trickle record`: a channel into a directory, to be replayed."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import (
    ChannelArgument,
    CountOption,
    ForOption,
    StartOption,
)
from trickle_cli.commands.running import ExitCode, naming, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.times import stamp

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader, Subscriber
    from trickle_cli.display.talk import Talk
    from trickle_cli.recording import Recorder, Session

EPILOG = """\b
Example, a minute of a camera, and then that again on another channel:
  trickle record --for 1m cam cam.rec
  trickle replay cam.rec again"""


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    directory: str
    connect: Connecting
    manner: Manner
    start: int
    append: bool
    count: float
    seconds: float


@takes(connect=connecting, talk=talking)
def record(
    channel: ChannelArgument,
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="The directory; it is made.")
    ],
    connect: Connecting,
    talk: Manner,
    start: StartOption = "latest",  # type: ignore[assignment] # typer parses defaults, too
    append: Annotated[
        bool,
        typer.Option("--append", help="Add to the recording that is in DIR, if any."),
    ] = False,
    count: CountOption = None,
    for_: ForOption = None,
) -> None:
    """Keep what comes on a channel in a directory: a file for each segment, and when
    its bytes came in index.jsonl.

    Whatever ends it, what has come until then can be replayed: but for the segment
    that was open, if it is killed.
    """
    job = _Job(
        channel=channel,
        directory=directory,
        connect=connect,
        manner=talk,
        start=start,
        append=append,
        count=math.inf if count is None else count,
        seconds=math.inf if for_ is None else for_,
    )
    run("record", lambda: _record(job))


async def _record(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.taking import notice_waiting
    from trickle_cli.display.talk import open_talk
    from trickle_cli.recording import Recorder

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    async with (
        open_talk("record", job.manner) as talk,
        interruptible() as interruption,
        Subscriber(
            endpoint,
            start=job.start,
            wait=True,
            config=config,
            retry_for=job.connect.retry_for,
        ) as subscriber,
        trio.open_nursery() as nursery,
    ):
        with (
            naming(job.directory),
            Recorder(job.directory, trio.current_time, append=job.append) as recorder,
        ):
            talk.say(f"recording {endpoint} in {job.directory}")
            nursery.start_soon(notice_waiting, subscriber, talk)
            recording = _Recording(subscriber, recorder, talk)
            with trio.move_on_after(job.seconds) as work:
                interruption.cancel = work.cancel
                await recording.run(job.count)
            recording.summarize()
        nursery.cancel_scope.cancel()
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DONE if recording.is_whole else ExitCode.DATA_LOST


class _Recording:
    """From a subscriber to a recorder."""

    def __init__(self, subscriber: Subscriber, recorder: Recorder, talk: Talk) -> None:
        import trio

        from trickle_cli.display.transfer import TransferView

        self.is_whole = True
        self._subscriber = subscriber
        self._recorder = recorder
        self._talk = talk
        self._started = trio.current_time()
        channel = subscriber.endpoint.channel
        talk.show(TransferView(channel, subscriber.statistics, trio.current_time))

    async def run(self, count: float) -> None:
        """Keep so many segments, or all until the end of the channel."""
        from trickle_cli.commands.taking import tell_gap

        async for segment in self._subscriber:
            self.is_whole = tell_gap(segment, self._talk) and self.is_whole
            await self._keep(segment)
            count -= 1
            if count <= 0:
                break

    async def _keep(self, segment: SegmentReader) -> None:
        """Keep `segment`; when that is cancelled, what has come of it."""
        from trickle_cli.commands.telling import tell_segment

        recorder = self._recorder
        if not recorder.has_begun:
            recorder.start(self._session(segment))
        recorder.begin(segment.seq, segment.epoch)
        with ExitStack() as undo:
            undo.callback(recorder.end, complete=False)
            try:
                async for data in segment:
                    recorder.write(data)
            except OSError:
                undo.pop_all()  # nothing more can be written
                raise
            undo.pop_all()
        is_all = not segment.incomplete
        recorder.end(complete=is_all)
        age = self._subscriber.statistics().segment_age
        tell_segment(self._talk, segment.seq, segment.size, age)
        if not is_all:
            self._talk.warn(f"segment {segment.seq} is incomplete")
            self.is_whole = False

    def _session(self, segment: SegmentReader) -> Session:
        from trickle_cli.protocol.names import DEFAULT_TYPE
        from trickle_cli.recording import Session

        return Session(
            channel=self._subscriber.endpoint.channel,
            type=segment.type or DEFAULT_TYPE,
            started=stamp(time.time()),
        )

    def summarize(self) -> None:
        """Say what there is now."""
        import trio

        from trickle_cli.display import summaries

        statistics = self._subscriber.statistics()
        duration = trio.current_time() - self._started
        amount = summaries.amount(statistics, duration)
        more = summaries.fields(statistics, duration)
        lost = summaries.missing(statistics.lost)
        self._talk.say(f"recorded {amount}{lost}", **more)
