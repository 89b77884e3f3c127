"""`trickle replay`: what was recorded, with the timing that it had."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument
from trickle_cli.commands.running import ExitCode, naming, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.errors import BadConfiguration

if TYPE_CHECKING:
    from trickle_cli.client import Publisher, SegmentWriter
    from trickle_cli.display.talk import Talk
    from trickle_cli.recording import Recorded, Session

EPILOG = """\b
Example, twice as fast as it was, again and again:
  trickle replay --speed 2 --loop cam.rec again"""

_FINISHING = "sending what has been read; interrupt again to leave at once"
#: Bytes that are read at once.
_PIECE: Final = 64 * 1024


def parse_speed(text: str) -> float:
    """How many times as fast as it was: `2`, `0.5`, `max`."""
    if text.strip() in {"max", "0"}:
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise typer.BadParameter(f"'{text}' is not a speed: 1, 2, 0.5, max")
    return speed


@dataclass(frozen=True, kw_only=True)
class _Job:
    directory: str
    channel: str
    connect: Connecting
    manner: Manner
    speed: float
    from_head: bool
    loop: bool
    lossless: bool
    keep_open: bool


@takes(connect=connecting, talk=talking)
def replay(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="What `trickle record` made.")
    ],
    channel: ChannelArgument,
    connect: Connecting,
    talk: Manner,
    speed: Annotated[
        float,
        typer.Option(
            metavar="N|max",
            parser=parse_speed,
            help="So many times as fast as it was; max, or 0: as fast as can be.",
        ),
    ] = "1",  # type: ignore[assignment] # typer parses defaults, too
    from_head: Annotated[
        bool,
        typer.Option(
            "--from-head", help="Count on where the channel stands, not as recorded."
        ),
    ] = False,
    loop: Annotated[
        bool, typer.Option("--loop", help="Again and again; numbers go on.")
    ] = False,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Make the channel so that it keeps what readers have not taken, and"
            " holds us back: nothing is lost.",
        ),
    ] = False,
    keep_open: Annotated[
        bool, typer.Option("--keep-open", help="Do not close the channel at the end.")
    ] = False,
) -> None:
    """Publish what was recorded in DIR: segments of the same numbers, whose bytes come
    when they came.

    Segments that were incomplete are so again. Where the numbers of the recorded
    channel began anew, they go on.
    """
    job = _Job(
        directory=directory,
        channel=channel,
        connect=connect,
        manner=talk,
        speed=speed,
        from_head=from_head,
        loop=loop,
        lossless=lossless,
        keep_open=keep_open,
    )
    run("replay", lambda: _replay(job))


async def _replay(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Publisher
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.telling import fail_early, show, summarizing, telling
    from trickle_cli.display.talk import open_talk
    from trickle_cli.recording import read_index

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    with naming(job.directory):
        sessions = read_index(job.directory)
    async with (
        open_talk("replay", job.manner) as talk,
        interruptible(lambda: talk.say(_FINISHING)) as interruption,
        Publisher(
            endpoint,
            type_=sessions[0][0].type,
            lossless=job.lossless,
            config=config,
            retry_for=job.connect.retry_for,
        ) as publisher,
    ):
        talk.say(f"replaying {job.directory} to {endpoint}")
        show(publisher, talk)
        playing = _Playing(job, sessions, publisher, talk)
        with summarizing(publisher, talk):
            async with telling(publisher, talk):
                async with trio.open_nursery() as nursery:
                    interruption.cancel = nursery.cancel_scope.cancel
                    nursery.start_soon(fail_early, publisher)
                    with naming(job.directory):
                        await playing.run()
                    nursery.cancel_scope.cancel()
                await playing.end(keep_open=job.keep_open)
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DATA_LOST if publisher.lost else ExitCode.DONE


class _Playing:
    """From what was recorded to a publisher."""

    def __init__(
        self,
        job: _Job,
        sessions: list[tuple[Session, list[Recorded]]],
        publisher: Publisher,
        talk: Talk,
    ) -> None:
        self._talk = talk
        self._job = job
        self._sessions = [segments for _, segments in sessions if segments]
        self._publisher = publisher
        self._writer: SegmentWriter | None = None
        self._shift = 0
        if not self._sessions:
            raise BadConfiguration(f"{job.directory}: no segment was recorded")
        self._begin(self._sessions[0][0].seq)

    def _begin(self, first: int) -> None:
        """Where to begin to count."""
        head = self._publisher.next_seq
        if self._job.from_head:
            self._shift = head - first
        elif head > first:
            raise BadConfiguration(
                f"{self._publisher.endpoint} is beyond segment {first} already"
                " — close it, or: --from-head"
            )

    async def run(self) -> None:
        """All of it, once or for ever."""
        while True:
            for segments in self._sessions:
                await self._play(segments)
            if not self._job.loop:
                return

    async def _play(self, segments: list[Recorded]) -> None:
        """Segments of one recording: time begins with the first."""
        import trio

        from trickle_cli.commands.telling import tell_segment

        started, first = trio.current_time(), segments[0].began
        for segment in segments:
            began = started + (segment.began - first) / self._job.speed
            ended = started + (segment.ended - first) / self._job.speed
            await self._until(began)
            writer = self._writer = await self._publisher.next(self._place(segment))
            await self._write(segment, writer, began)
            await self._until(ended)
            if segment.complete:
                await writer.close()
            else:
                await writer.abandon()
            tell_segment(self._talk, writer.seq, writer.size, ended - began)

    def _place(self, segment: Recorded) -> int:
        """The number that it has now."""
        next_seq = self._publisher.next_seq
        if segment.seq + self._shift < next_seq:
            self._shift = next_seq - segment.seq
        return segment.seq + self._shift

    async def _until(self, time: float) -> None:
        """Wait until then, if there is anything to keep to."""
        import trio

        if self._job.speed < math.inf:
            await trio.sleep_until(time)

    async def _write(
        self, segment: Recorded, writer: SegmentWriter, began: float
    ) -> None:
        from trickle_cli.recording import open_segment

        with open_segment(self._job.directory, segment) as file:
            for time, size in segment.chunks:
                await self._until(began + time / self._job.speed)
                left = size
                while left and (data := file.read(min(left, _PIECE))):
                    await writer.write(data)
                    left -= len(data)

    async def end(self, *, keep_open: bool) -> None:
        """Wait until all has arrived, and close the channel."""
        if self._writer is not None and self._writer.is_open:
            await self._writer.abandon()
        await self._publisher.flush()
        if not keep_open:
            await self._publisher.close()
