"""What `sub` does: channels in, segments out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from trickle_cli.commands.connecting import Connecting
from trickle_cli.commands.following import Following, is_pattern, summed
from trickle_cli.commands.running import ExitCode, code_of, naming
from trickle_cli.commands.signals import interruptible
from trickle_cli.commands.taking import Taking
from trickle_cli.commands.terminal_guard import refuse_binary
from trickle_cli.display import summaries
from trickle_cli.display.manner import Manner
from trickle_cli.display.talk import Talk, open_talk
from trickle_cli.errors import BadConfiguration, CommandFailed
from trickle_cli.outputs import Output, open_output
from trickle_cli.outputs.command import open_commands
from trickle_cli.outputs.files import ChannelFiles, SegmentFiles
from trickle_cli.outputs.pattern import Pattern
from trickle_cli.outputs.stream import Lines, Stream
from trickle_cli.outputs.taken import Line, Outlet, Taken

#: Seconds in which a channel whose readers have all of it ends, as a rule.
_ENDING: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked for. `seconds` and `idle` are after how long to end, and to give
    up; `pattern` is where to write to, None for standard output; `command` what to run
    for each segment; `line` how to tell of each."""

    channels: Sequence[str]
    connect: Connecting
    manner: Manner
    start: int
    count: int | None
    seconds: float | None
    idle: float | None
    until_end: bool
    pattern: Pattern | None
    command: str | None
    jobs: int
    stops_on_failure: bool
    line: Line | None
    wait: bool
    stops_at_gap: bool
    force: bool

    @property
    def is_several(self) -> bool:
        """Whether there may be more than one channel."""
        return len(self.channels) > 1 or is_pattern(self.channels[0])

    @property
    def writes_bytes(self) -> bool:
        """Whether the segments themselves go to standard output."""
        return self.pattern is None and self.command is None and self.line is None


async def subscribe(job: Job) -> ExitCode:
    """Run it."""
    _require_names_for_all(job)
    endpoints = [job.connect.endpoint(channel) for channel in job.channels]
    config = job.connect.config()
    writes = job.writes_bytes or job.line is not None
    async with (
        open_talk("sub", job.manner, stdout=writes) as talk,
        interruptible() as interruption,
    ):
        failures = _Failures(talk, stops=job.stops_on_failure)
        scope = trio.CancelScope()
        taking = Taking(
            talk=talk,
            enough=scope.cancel,
            count=job.count,
            stops_at_gap=job.stops_at_gap,
            look=partial(refuse_binary, force=job.force) if job.writes_bytes else None,
            names_channel=job.is_several,
        )
        following = Following(
            taking,
            talk,
            config,
            start=job.start,
            wait=job.wait,
            until_end=job.until_end,
            retry_for=job.connect.retry_for,
        )
        limits = _Limits(job, taking)
        talk.show(following.view)
        started = trio.current_time()
        async with trio.open_nursery() as everything:
            interruption.cancel = everything.cancel_scope.cancel
            async with _open_outlets(job, failures) as taking.outlets:
                with scope:
                    await limits.run(lambda: following.run(endpoints))
        _summarize(following, talk, trio.current_time() - started)
    if interruption.code is not None:
        return interruption.code
    if limits.is_timed_out:
        return ExitCode.TIMED_OUT
    if not taking.is_whole:
        return ExitCode.DATA_LOST
    if following.error is not None:
        return code_of(following.error)
    return ExitCode.FAILED if failures.count else ExitCode.DONE


def _require_names_for_all(job: Job) -> None:
    """BadConfiguration where one file would get several channels' segments."""
    pattern = job.pattern
    if pattern is None or not job.is_several or pattern.is_per_channel:
        return
    if pattern.is_per_segment:
        raise BadConfiguration(
            f"--output: '{pattern.text}' is the same for several channels:"
            " put {channel} into it"
        )


@asynccontextmanager
async def _open_outlets(
    job: Job, failures: _Failures
) -> AsyncIterator[Sequence[Outlet]]:
    """Where the segments go, in this order: a line about one comes when it is there."""
    outlets: list[Outlet] = []
    streams: list[Output] = []
    pattern = job.pattern
    async with AsyncExitStack() as stack:

        async def stream_to(name: str | None) -> _Named:
            output = await stack.enter_async_context(open_output(name))
            streams.append(output)
            return _Named(output, name or "standard output")

        if job.writes_bytes:
            outlets.append(Stream(await stream_to(None), several=job.is_several))
        elif pattern is not None and pattern.is_plain:
            place = await stream_to(pattern.text)
            outlets.append(Stream(place, several=job.is_several))
        elif pattern is not None:
            per_segment = pattern.is_per_segment
            outlets.append((SegmentFiles if per_segment else ChannelFiles)(pattern))
        if job.command is not None:
            opening = open_commands(
                job.command, jobs=job.jobs, failed=failures.note, said=failures.said
            )
            outlets.append(await stack.enter_async_context(opening))
        if job.line is not None:
            outlets.append(Lines(await stream_to(None), job.line))
        async with trio.open_nursery() as noticing:
            for output in streams:
                noticing.start_soon(notice_reader, output)
            yield outlets
            noticing.cancel_scope.cancel()


class _Named:
    """An output whose errors say which it is."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name

    async def write(self, data: bytes) -> None:
        with naming(self._name):
            await self._output.write(data)


class _Failures:
    """What became of commands that failed: said, counted, and with `stops`, the end."""

    def __init__(self, talk: Talk, *, stops: bool) -> None:
        self.count = 0
        self._talk = talk
        self._stops = stops

    @property
    def said(self) -> Callable[[str], None] | None:
        """Who gets what commands write to standard error, if that may not go there:
        nobody else writes where there is a live view."""
        return self._talk.warn if self._talk.is_live else None

    def note(self, taken: Taken, code: int) -> None:
        """That of `taken` has ended with `code`; minus the signal, if by one."""
        error = CommandFailed(taken.segment.channel, taken.segment.seq, code)
        self.count += 1
        if self._stops:
            raise error
        self._talk.warn(str(error))


class _Limits:
    """How long it may go on. `is_timed_out`: nothing has come for too long."""

    def __init__(self, job: Job, taking: Taking) -> None:
        self.is_timed_out = False
        self._seconds = math.inf if job.seconds is None else job.seconds
        self._idle = job.idle
        self._taking = taking

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` within them."""
        with trio.move_on_after(self._seconds):
            async with trio.open_nursery() as nursery:
                if self._idle is not None:
                    nursery.start_soon(self._give_up, self._idle, nursery.cancel_scope)
                await work()
                nursery.cancel_scope.cancel()

    async def _give_up(self, idle: float, scope: trio.CancelScope) -> None:
        await self._taking.until_idle(idle)
        self.is_timed_out = True
        scope.cancel()


async def notice_reader(output: Output) -> None:
    """End when whoever reads our output has gone, also while nothing comes in. One that
    has taken all, as tar has at the end of an archive, goes before the channel ends:
    that is no failure if it does then."""
    await output.reader_gone()
    await trio.sleep(_ENDING)
    raise BrokenPipeError


def _summarize(following: Following, talk: Talk, duration: float) -> None:
    """Say what has come."""
    statistics = summed(following.statistics())
    if statistics is None or not statistics.segments:
        return
    amount = summaries.amount(statistics, duration)
    rate = summaries.rate(statistics, duration)
    missing = summaries.missing(statistics.lost, statistics.incomplete)
    more = summaries.fields(statistics, duration)
    talk.say(f"received {amount}{rate}{missing}", **more)
