"""`trickle fetch`: one segment, whole or not at all.

Whether it is whole is known only at its end. Until then it waits in a file that nobody
sees: beside the one that it becomes, or, for standard output, one without a name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument, parse_segment, parse_time
from trickle_cli.commands.running import ExitCode, naming, run
from trickle_cli.commands.talking import saying
from trickle_cli.commands.terminal_guard import refuse_binary
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.sequence import NEXT

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader, Subscriber
    from trickle_cli.display.talk import Talk
    from trickle_cli.outputs import Output

EPILOG = """\b
Example, the newest picture of a camera that publishes pictures:
  trickle fetch cam latest -o now.jpg"""

#: Bytes of a segment for standard output that wait in memory; more wait on disk.
_IN_MEMORY: Final = 8 * 1024 * 1024
_PIECE: Final = 256 * 1024
#: Seconds in which a segment that has begun is to begin to arrive.
_PATIENCE: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    seq: int
    connect: Connecting
    manner: Manner
    output: str | None
    wait: float | None
    live: bool
    force: bool


@takes(connect=connecting, talk=saying)
def fetch(
    channel: ChannelArgument,
    connect: Connecting,
    talk: Manner,
    seq: Annotated[
        int,
        typer.Argument(
            metavar="SEQ",
            parser=parse_segment,
            help="The segment: latest, oldest, number N, or -N, the Nth from last (-2"
            " is the newest).",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to FILE, not to stdout."
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=parse_time,
            help="If it has not begun, wait for it so long; exits with 124 after that.",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Write it as it comes, even if it never becomes whole."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write to a terminal even what is no text.")
    ] = False,
) -> None:
    """Get one segment of a channel, and write nothing unless it is whole.

    Exits with 3 if there is no such segment, or it has not begun, and with 4 if it is
    incomplete.
    """
    job = _Job(
        channel=channel,
        seq=seq,
        connect=connect,
        manner=talk,
        output=None if output == "-" else output,
        wait=wait,
        live=live,
        force=force,
    )
    run("fetch", lambda: _fetch(job))


async def _fetch(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import open_talk

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    code = ExitCode.DONE
    async with (
        open_talk("fetch", job.manner) as talk,
        interruptible() as interruption,
        Subscriber(
            endpoint, start=job.seq, config=config, retry_for=job.connect.retry_for
        ) as subscriber,
    ):
        if job.wait is None:
            await _require_begun(subscriber, job.seq)
        waiting = trio.CancelScope(
            deadline=trio.current_time() + (job.wait or _PATIENCE)
        )
        segment = None
        with waiting:
            segment = await _read(subscriber, job.seq)
        if segment is not None:
            code = await _write(segment, job, talk)
        elif interruption.code is None:
            talk.warn(f"segment {_shown(job.seq)} has not begun in time")
            code = ExitCode.TIMED_OUT
    return interruption.code or code


def _shown(seq: int) -> str:
    from trickle_cli.protocol.sequence import CURRENT, OLDEST

    names = {int(CURRENT): "latest", int(OLDEST): "oldest"}
    return names.get(seq, str(seq))


async def _require_begun(subscriber: Subscriber, seq: int) -> None:
    """SegmentNotFound if `seq` is still to begin. ChannelNotFound."""
    from trickle_cli.client import Control
    from trickle_cli.errors import SegmentNotFound

    async with Control(subscriber.endpoint, subscriber.config) as control:
        head = await control.next()
    if seq == NEXT or head.seq == 0 or seq >= head.seq:
        raise SegmentNotFound(seq, head.seq)


async def _read(subscriber: Subscriber, seq: int) -> SegmentReader:
    """The segment `seq`, and no other. SegmentNotFound."""
    from trickle_cli.errors import ChannelClosed, SegmentNotFound

    try:
        segment = await subscriber.read()
    except ChannelClosed as error:
        raise SegmentNotFound(seq, subscriber.statistics().head) from error
    if seq >= 0 and segment.seq != seq:  # it has gone, or was never there
        raise SegmentNotFound(seq, segment.latest)
    return segment


async def _write(segment: SegmentReader, job: _Job, talk: Talk) -> ExitCode:
    from trickle_cli.outputs import open_output

    if job.live:
        async with open_output(job.output) as output:
            await _stream(segment, output, job)
    elif not segment.incomplete:
        async with _open_whole(job.output) as file:
            with naming(job.output or "standard output"):
                await _collect(segment, file, job)
    if segment.incomplete:
        note = "" if job.live else ", and is not written: see --live"
        talk.warn(f"segment {segment.seq} is incomplete{note}")
        return ExitCode.DATA_LOST
    return ExitCode.DONE


async def _stream(segment: SegmentReader, output: Output, job: _Job) -> None:
    first = True
    async for data in segment:
        if first and job.output is None:
            refuse_binary(segment.type, data, force=job.force)
        first = False
        with naming(job.output or "standard output"):
            await output.write(data)


class _Incomplete(Exception):
    """Leaves a file unwritten."""


async def _collect(segment: SegmentReader, file: IO[bytes], job: _Job) -> None:
    async for data in segment:
        if segment.size == len(data) and job.output is None:
            refuse_binary(segment.type, data, force=job.force)
        file.write(data)
    if segment.incomplete:
        raise _Incomplete


@asynccontextmanager
async def _open_whole(name: str | None) -> AsyncIterator[IO[bytes]]:
    """A file whose content becomes that of the file called `name`, or goes to standard
    output, unless the block fails, or says that it is incomplete."""
    from contextlib import suppress
    from tempfile import SpooledTemporaryFile

    from trickle_cli.outputs import is_replaceable, open_output, written_beside

    with suppress(_Incomplete):
        if name is not None and is_replaceable(name):
            with written_beside(name) as file:
                yield file
            return
        with SpooledTemporaryFile(_IN_MEMORY) as spool:
            yield spool
            spool.seek(0)
            with naming(name or "standard output"):
                async with open_output(name) as output:
                    while data := spool.read(_PIECE):
                        await output.write(data)
