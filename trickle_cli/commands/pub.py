"""`trickle pub`: publish standard input, or a file, cut into segments."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import parse_size, parse_time, parse_type
from trickle_cli.commands.running import ExitCode, naming, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import DEFAULT_SERVER, DEFAULT_TYPE

if TYPE_CHECKING:
    from trickle_cli.client import Endpoint, Publisher, SegmentWriter
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.display.talk import Talk
    from trickle_cli.splitters import Cut, Splitter
    from trickle_cli.stdio import Source

#: With no option: a segment a second, or every MiB if that comes first.
DEFAULT_SECONDS = 1.0
DEFAULT_SIZE = 1024 * 1024
#: A cut by time alone is made at this size anyway: servers limit segments.
MAX_SIZE = 16 * 1024 * 1024

EPILOG = """\b
Example, each line of a log as a segment of its own:
  tail -f app.log | trickle pub --newline app-log"""

#: Pieces a second in which a limited rate is sent.
_PACE_STEPS = 20

_FINISHING = "ending the segment; interrupt again to leave at once"


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    connect: Connecting
    manner: Manner
    file: str | None
    splitter: Splitter
    type: str
    lossless: bool
    wait_readers: int
    rate: int | None
    keep_open: bool
    is_made_up: bool


@takes(connect=connecting, talk=talking)
def pub(
    connect: Connecting,
    talk: Manner,
    channel: Annotated[
        str | None,
        typer.Argument(
            envvar="TRICKLE_CHANNEL",
            metavar="CHANNEL",
            help="The channel: a name, or a URL. One is made up if there is none.",
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="What to publish instead of standard input."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE", parser=parse_size, help="Cut after so many bytes: 64KiB."
        ),
    ] = None,
    time: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=parse_time, help="Cut after so long: 2s."),
    ] = None,
    newline: Annotated[
        bool,
        typer.Option(
            "--newline",
            help="Cut after each line; with --size or --time, only after a line.",
        ),
    ] = False,
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="MIME",
            envvar="TRICKLE_TYPE",
            parser=parse_type,
            help="The type of the channel's content.",
        ),
    ] = DEFAULT_TYPE,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Make the channel so that it keeps what readers have not taken, and"
            " holds us back: nothing is lost.",
        ),
    ] = False,
    wait_readers: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Send nothing until so many subscribers wait."
        ),
    ] = 0,
    rate: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE", parser=parse_size, help="Send so many bytes a second: 2MiB."
        ),
    ] = None,
    keep_open: Annotated[
        bool, typer.Option("--keep-open", help="Do not close the channel at the end.")
    ] = False,
) -> None:
    """Publish standard input, or FILE, cut into segments.

    Without --size, --time and --newline, a segment ends after a second, or a MiB if
    that comes first. Bytes are sent as they come, whatever the segments.
    """
    from trickle_cli.splitters import BOUNDARIES, Splitter

    if size is None and time is None and not newline:
        size, time = DEFAULT_SIZE, DEFAULT_SECONDS
    elif size is None and not newline:
        size = MAX_SIZE
    boundary = BOUNDARIES["newline"] if newline else None
    job = _Job(
        channel=_make_up_name() if channel is None else channel,
        connect=connect,
        manner=talk,
        file=file,
        splitter=Splitter(boundary=boundary, size=size, seconds=time),
        type=type_,
        lossless=lossless,
        wait_readers=wait_readers,
        rate=rate,
        keep_open=keep_open,
        is_made_up=channel is None,
    )
    run("pub", lambda: _pub(job))


def _make_up_name() -> str:
    """Easy to say, hard to guess, and unlikely to be taken."""
    import secrets

    letters = "bcdfghjklmnprstvz"
    syllables = (secrets.choice(letters) + secrets.choice("aeiou") for _ in range(5))
    return f"{''.join(syllables)}-{secrets.randbelow(1000):03}"


async def _pub(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Publisher
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import open_talk

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    async with (
        open_talk("pub", job.manner) as talk,
        interruptible(lambda: talk.say(_FINISHING)) as interruption,
        _open_input(job.file, talk) as source,
    ):
        started = trio.current_time()
        async with Publisher(
            endpoint,
            type_=job.type,
            lossless=job.lossless,
            config=config,
            retry_for=job.connect.retry_for,
        ) as publisher:
            _announce(endpoint, talk, is_made_up=job.is_made_up)
            _show(publisher, talk)
            tell = _Telling(publisher, talk)
            try:
                async with trio.open_nursery() as telling:
                    telling.start_soon(tell.run)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_fail_early, publisher)
                        await _wait_for_readers(publisher, job.wait_readers, talk)
                        transfer = _Transfer(publisher, job.splitter, job.rate)
                        with naming(job.file or "standard input"):
                            await transfer.run(source, interruption)
                        nursery.cancel_scope.cancel()
                    await _end(publisher, keep_open=job.keep_open)
                    telling.cancel_scope.cancel()
            finally:
                tell.look()
                _summarize(publisher, talk, trio.current_time() - started)
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DATA_LOST if publisher.lost else ExitCode.DONE


async def _end(publisher: Publisher, *, keep_open: bool) -> None:
    """All is read: wait until it has arrived, and close the channel."""
    from trickle_cli.errors import NotAllowed

    await publisher.flush()
    if not keep_open:
        try:
            await publisher.close()
        except NotAllowed as error:
            raise NotAllowed(
                "all is published, but the channel stays open, for we may not close it:"
                " see --keep-open"
            ) from error


async def _fail_early(publisher: Publisher) -> None:
    """Do not wait for the next input to say that there is nobody to take it."""
    raise await publisher.failed()


async def _wait_for_readers(publisher: Publisher, count: int, talk: Talk) -> None:
    from trickle_cli.display import formats

    if count:
        talk.say(f"waiting for {formats.count(count, 'subscriber')}")
        await publisher.wait_for_readers(count)


class _Telling:
    """Says what holds the publisher up, when that changes, and what is lost."""

    def __init__(self, publisher: Publisher, talk: Talk) -> None:
        self._publisher = publisher
        self._talk = talk
        self._let_go = publisher.let_go
        self._waiting = ""
        self._lost = 0

    async def run(self) -> None:
        """Until cancelled."""
        import trio

        while True:
            self.look()
            await trio.sleep(0.1)

    def look(self) -> None:
        """Say what is new."""
        from trickle_cli.display import formats

        publisher, talk = self._publisher, self._talk
        if publisher.let_go > self._let_go:
            readers = formats.count(publisher.let_go - self._let_go, "reader")
            talk.say(f"{readers} took nothing for too long, and will miss something")
            self._let_go = publisher.let_go
        waiting = publisher.statistics().waiting
        if waiting != self._waiting:
            talk.say(f"{waiting}; waiting" if waiting else "here it is")
            self._waiting = waiting
        for seq in publisher.lost[self._lost :]:
            talk.say(f"lost segment {seq}: it was broken off, and may be incomplete")
        self._lost = len(publisher.lost)


@asynccontextmanager
async def _open_input(file: str | None, talk: Talk) -> AsyncIterator[Source]:
    import errno
    import os
    import stat

    from trickle_cli.stdio import open_path, open_source

    if file is None or file == "-":
        if os.isatty(0):
            talk.say("reading from the terminal; Ctrl-D ends")
        async with open_source(0) as source:
            yield source
        return
    async with open_path(file, os.O_RDONLY) as descriptor:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):  # reading would say so too late
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
        async with open_source(descriptor) as source:
            yield source


class _Transfer:
    """Carries bytes from a source to a publisher, cut by a splitter."""

    def __init__(
        self, publisher: Publisher, splitter: Splitter, rate: int | None
    ) -> None:
        self._publisher = publisher
        self._pace = None if rate is None else Pace(rate)
        self._splitter = splitter
        self._segment: SegmentWriter | None = None

    async def run(self, source: Source, interruption: Interruption) -> None:
        """Until the end of the input, which an interruption is, too: what has been
        read is sent, or the segment would end in the middle of a chunk."""
        import trio

        splitter = self._splitter
        while interruption.code is None:
            data: bytes | None = None
            with trio.move_on_at(splitter.due or math.inf) as reading:
                interruption.cancel = reading.cancel
                data = await source.receive_some()
            now = trio.current_time()
            if data is None:
                if splitter.tick(now):
                    await self._end_segment(b"")
            elif data:
                await self._send(splitter.feed(data, now))
            else:
                return

    async def _send(self, pieces: Iterator[bytes | Cut]) -> None:
        """Send the pieces; the last of a segment goes out together with its end."""
        last = b""
        for piece in pieces:
            if isinstance(piece, bytes):
                await self._write(last)
                last = piece
            else:
                await self._end_segment(last)
                last = b""
        await self._write(last)

    async def _write(self, data: bytes) -> None:
        if data:
            if self._segment is None:
                self._segment = await self._publisher.next()
            if self._pace is not None:
                data = await self._send_evenly(data)
            await self._segment.write(data)

    async def _end_segment(self, last: bytes) -> None:
        if self._segment is None:
            self._segment = await self._publisher.next()
        if self._pace is not None:
            last = await self._send_evenly(last)
        segment, self._segment = self._segment, None
        await segment.close(last)

    async def _send_evenly(self, data: bytes) -> bytes:
        """Send all but the last piece of `data`, and return that when its time is."""
        assert self._pace is not None
        assert self._segment is not None
        while len(data) > self._pace.step:
            await self._pace.wait(self._pace.step)
            await self._segment.write(data[: self._pace.step])
            data = data[self._pace.step :]
        await self._pace.wait(len(data))
        return data


class Pace:
    """Holds back what is sent, to `rate` bytes a second on average. `step` is how many
    of them are best sent at once."""

    def __init__(self, rate: int) -> None:
        self.step = max(1, rate // _PACE_STEPS)
        self._rate = rate
        self._due = -math.inf  # when the next byte may be sent

    async def wait(self, size: int) -> None:
        """Wait until `size` bytes may be sent."""
        import trio

        now = trio.current_time()
        if self._due > now:
            await trio.sleep_until(self._due)
        # Time that was not used is not made up for, but for the sleep's own lateness.
        self._due = max(self._due, now - 1 / _PACE_STEPS) + size / self._rate


def _announce(endpoint: Endpoint, talk: Talk, *, is_made_up: bool) -> None:
    talk.say(f"publishing to {endpoint}")
    if is_made_up:
        server = "" if endpoint.server == DEFAULT_SERVER else f" -s {endpoint.server}"
        talk.say(
            f"the channel's name is made up; see it with:"
            f" trickle sub{server} {endpoint.channel}"
        )


def _show(publisher: Publisher, talk: Talk) -> None:
    import trio

    from trickle_cli.display.transfer import TransferView

    channel = publisher.endpoint.channel
    talk.show(TransferView(channel, publisher.statistics, trio.current_time))


def _summarize(publisher: Publisher, talk: Talk, duration: float) -> None:
    from trickle_cli.display import formats

    statistics = publisher.statistics()
    rate = formats.rate(statistics.size / duration if duration > 0 else 0)
    lost = f"; lost {formats.count(statistics.lost, 'segment')}"
    talk.say(
        f"sent {formats.count(statistics.segments, 'segment')},"
        f" {formats.size(statistics.size)} in {formats.seconds(duration)}, {rate}"
        f"{lost if statistics.lost else ''}"
    )
