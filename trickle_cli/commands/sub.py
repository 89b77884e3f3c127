"""`trickle sub`: a channel's segments to standard output, or a file."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument, parse_start
from trickle_cli.commands.running import ExitCode, naming, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner

if TYPE_CHECKING:
    from trickle_cli.client import SegmentReader, Subscriber
    from trickle_cli.display.talk import Talk
    from trickle_cli.outputs import Output

EPILOG = """\b
Example, the picture of a camera from now on:
  trickle sub cam | ffplay -"""


class OnGap(enum.Enum):
    """What to do when something of a channel could not be had."""

    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    connect: Connecting
    manner: Manner
    start: int
    output: str | None
    wait: bool
    on_gap: OnGap


@takes(connect=connecting, talk=talking)
def sub(
    channel: ChannelArgument,
    connect: Connecting,
    talk: Manner,
    start: Annotated[
        int,
        typer.Option(
            "--from",
            metavar="latest|next|oldest|N|-N",
            parser=parse_start,
            help="The first segment: the newest from its beginning, the one after it,"
            " the oldest there is, number N, or the Nth from last.",
        ),
    ] = "latest",  # type: ignore[assignment] # typer parses defaults, too
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write to FILE, not to stdout."
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Exit with 3 at once if there is no such channel."
        ),
    ] = False,
    on_gap: Annotated[
        OnGap,
        typer.Option(
            help="When something is lost: go on, and exit with 4 at the end; or fail"
            " at once."
        ),
    ] = OnGap.SKIP,
) -> None:
    """Write what is published to a channel to standard output, as it comes.

    If there is no such channel, wait for it, and start at its first segment. Ends
    with the channel; exits with 4 if anything of it could not be had.
    """
    job = _Job(
        channel=channel,
        connect=connect,
        manner=talk,
        start=start,
        output=output,
        wait=not no_wait,
        on_gap=on_gap,
    )
    run("sub", lambda: _sub(job))


async def _sub(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import open_talk
    from trickle_cli.outputs import open_output

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    async with (
        open_talk("sub", job.manner, stdout=job.output in {None, "-"}) as talk,
        interruptible() as interruption,
        open_output(job.output) as output,
        Subscriber(
            endpoint,
            start=job.start,
            wait=job.wait,
            config=config,
            retry_for=job.connect.retry_for,
        ) as subscriber,
        trio.open_nursery() as nursery,
    ):
        interruption.cancel = nursery.cancel_scope.cancel
        nursery.start_soon(notice_reader, output)
        nursery.start_soon(notice_waiting, subscriber, talk)
        _show(subscriber, talk)
        started = trio.current_time()
        try:
            with naming("standard output" if job.output is None else job.output):
                is_whole = await _transfer(subscriber, output, talk, job.on_gap)
        finally:
            _summarize(subscriber, talk, trio.current_time() - started)
        nursery.cancel_scope.cancel()
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DONE if is_whole else ExitCode.DATA_LOST


async def _transfer(
    subscriber: Subscriber, output: Output, talk: Talk, on_gap: OnGap
) -> bool:
    """Write all segments out; whether nothing was missing. With `on_gap` FAIL, as far
    as nothing is."""
    is_whole = True
    async for segment in subscriber:
        is_whole = tell_gap(segment, talk) and is_whole
        if on_gap is OnGap.FAIL and not is_whole:
            break
        async for data in segment:
            await output.write(data)
        if segment.incomplete:
            talk.say(f"segment {segment.seq} is incomplete")
            is_whole = False
            if on_gap is OnGap.FAIL:
                break
    return is_whole


def _summarize(subscriber: Subscriber, talk: Talk, duration: float) -> None:
    """If anything is missing, say how much."""
    from trickle_cli.display import formats

    statistics = subscriber.statistics()
    rate = formats.rate(statistics.size / duration if duration > 0 else 0)
    missing = ""
    if statistics.lost:
        missing += f"; lost {formats.count(statistics.lost, 'segment')}"
    if statistics.incomplete:
        missing += f"; {formats.count(statistics.incomplete, 'incomplete segment')}"
    if not missing:
        return
    talk.say(
        f"received {formats.count(statistics.segments, 'segment')},"
        f" {formats.size(statistics.size)} in {formats.seconds(duration)}, {rate}"
        f"{missing}"
    )


def tell_gap(segment: SegmentReader, talk: Talk) -> bool:
    """Say what is missing before `segment`. True if nothing is."""
    from trickle_cli.display import formats

    if segment.restarted:
        talk.say(f"the channel has begun anew, at segment {segment.seq}")
    if segment.lost:
        talk.say(f"lost {formats.seqs(segment.lost)}")
    return not segment.lost


async def notice_waiting(subscriber: Subscriber, talk: Talk) -> None:
    """Say what holds the subscriber up, when that changes."""
    import trio

    said = ""
    while True:
        waiting = subscriber.statistics().waiting
        if waiting != said:
            talk.say(f"{waiting}; waiting" if waiting else "here it is")
            said = waiting
        await trio.sleep(0.1)


async def notice_reader(output: Output) -> None:
    """End when whoever reads our output has gone, also while nothing comes in."""
    await output.reader_gone()
    raise BrokenPipeError


def _show(subscriber: Subscriber, talk: Talk) -> None:
    import trio

    from trickle_cli.display.transfer import TransferView

    channel = subscriber.endpoint.channel
    talk.show(TransferView(channel, subscriber.statistics, trio.current_time))
