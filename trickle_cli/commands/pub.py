"""`trickle pub`: publish standard input, or a file, cut into segments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.cutting import Cutting, cutting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.inputs import STDIN, Input, check_files, open_input
from trickle_cli.commands.options import parse_size, parse_type
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import DEFAULT_TYPE, RESERVED_PREFIX

if TYPE_CHECKING:
    from trickle_cli.client import Endpoint, Publisher
    from trickle_cli.commands.publishing import Transfer
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.display.talk import Talk
    from trickle_cli.outputs import Output

#: Seconds to wait for first bytes that tell the channel's type, before it is made.
_PATIENCE = 3.0

EPILOG = """\b
Example, each line of a log as a segment of its own:
  tail -f app.log | trickle pub --newline app-log"""

_FINISHING = "sending what has been read; interrupt again to leave at once"


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    connect: Connecting
    manner: Manner
    files: list[str]
    cut: Cutting
    type: str | None
    tee: bool
    lossless: bool
    wait_readers: int
    rate: int | None
    keep_open: bool
    is_made_up: bool


@takes(cut=cutting, connect=connecting, talk=talking)
def pub(
    cut: Cutting,
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
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="What to publish instead of standard input, which is '-'.",
        ),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="MIME",
            envvar="TRICKLE_TYPE",
            parser=parse_type,
            help="The type of the channel's content; else its first bytes tell.",
        ),
    ] = None,
    tee: Annotated[
        bool,
        typer.Option("--tee", help="Write all that is read to standard output, too."),
    ] = False,
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
    """Publish standard input, or FILEs, cut into segments.

    Without an option that says where, the content does: MPEG-TS is cut before
    keyframes, and fragmented MP4 before fragments; else a segment ends after a second,
    or a MiB if that comes first. Places and thresholds combine: --gop --time 2s cuts
    before the first keyframe after two seconds. Bytes are sent as they come, whatever
    the segments.
    """
    job = _Job(
        channel=_make_up_name() if channel is None else channel,
        connect=connect,
        manner=talk,
        files=files or [STDIN],
        cut=cut,
        type=type_,
        tee=tee,
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
    from trickle_cli.client import Publisher
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.telling import announce, summarizing
    from trickle_cli.display.talk import open_talk

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    _check_name(endpoint)
    check_files(job.files)
    async with (
        open_talk("pub", job.manner, stdin=STDIN in job.files, stdout=job.tee) as talk,
        interruptible(lambda: talk.say(_FINISHING)) as interruption,
        _open_tee(is_wanted=job.tee) as tee,
        open_input(job.files[0], talk) as first,
    ):
        type_ = job.type or job.cut.type or await _find_type(job, endpoint, first)
        async with Publisher(
            endpoint,
            type_=type_,
            lossless=job.lossless,
            config=config,
            retry_for=job.connect.retry_for,
        ) as publisher:
            announce(endpoint, talk, is_made_up=job.is_made_up)
            with summarizing(publisher, talk):
                await _publish(job, publisher, first, interruption, tee, talk)
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DATA_LOST if publisher.lost else ExitCode.DONE


def _check_name(endpoint: Endpoint) -> None:
    from trickle_cli.errors import NotAllowed

    if endpoint.channel.startswith(RESERVED_PREFIX):
        raise NotAllowed(
            f"channel '{endpoint.channel}': names that begin with '{RESERVED_PREFIX}'"
            " are the server's — choose another"
        )


@asynccontextmanager
async def _open_tee(*, is_wanted: bool) -> AsyncIterator[Output | None]:
    from trickle_cli.outputs import open_stdout

    if not is_wanted:
        yield None
        return
    async with open_stdout() as tee:
        yield tee


async def _find_type(job: _Job, endpoint: Endpoint, first: Input) -> str:
    """What the first bytes tell, if they come soon. Meanwhile see whether there is a
    server at all, for whoever makes the bytes may take its time."""
    import trio

    content = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_check_server, job, endpoint)
        with trio.move_on_after(_PATIENCE):
            content = await first.sniff()
        nursery.cancel_scope.cancel()
    return DEFAULT_TYPE if content is None else content.type


async def _check_server(job: _Job, endpoint: Endpoint) -> None:
    from contextlib import suppress

    from trickle_cli.client import Control
    from trickle_cli.errors import ChannelNotFound

    async with Control(endpoint, job.connect.config()) as control:
        with suppress(ChannelNotFound):
            await control.next()


async def _publish(
    job: _Job,
    publisher: Publisher,
    first: Input,
    interruption: Interruption,
    tee: Output | None,
    talk: Talk,
) -> None:
    """All inputs, to the end of the channel."""
    import trio

    from trickle_cli.commands.publishing import Transfer, notice_reader
    from trickle_cli.commands.telling import (
        count_readers,
        fail_early,
        show,
        tell_segment,
        telling,
    )

    view = show(publisher, talk)

    def tell(seq: int, size: int) -> None:
        tell_segment(talk, seq, size, publisher.statistics().segment_age)

    transfer = Transfer(
        publisher,
        interruption,
        rate=job.rate,
        tee=tee,
        whole=job.cut.whole,
        told=tell if talk.is_verbose else None,
    )
    async with telling(publisher, talk):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_early, publisher)
            if talk.is_live:
                where = (publisher.endpoint, publisher.config)
                nursery.start_soon(count_readers, *where, view)
            await _wait_for_readers(publisher, job.wait_readers, talk)
            if tee is not None:
                nursery.start_soon(notice_reader, tee, interruption)
            await _carry(job, transfer, first, interruption, talk)
            nursery.cancel_scope.cancel()
        await _end(publisher, keep_open=job.keep_open)


async def _carry(
    job: _Job, transfer: Transfer, first: Input, interruption: Interruption, talk: Talk
) -> None:
    """The inputs, one after the other, until an interruption."""
    import trio

    await _carry_one(job, transfer, first, interruption)
    for name in job.files[1:]:
        with trio.CancelScope() as opening:
            interruption.cancel = opening.cancel
            if interruption.code is None:
                async with open_input(name, talk) as source:
                    await _carry_one(job, transfer, source, interruption)


async def _carry_one(
    job: _Job, transfer: Transfer, source: Input, interruption: Interruption
) -> None:
    import trio

    from trickle_cli.splitters import Content

    content = Content()
    if job.cut.is_auto:
        with trio.CancelScope() as looking:
            interruption.cancel = looking.cancel
            content = await source.sniff()
    await transfer.run(source, job.cut.cutter(content))


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


async def _wait_for_readers(publisher: Publisher, count: int, talk: Talk) -> None:
    from trickle_cli.display import formats

    if count:
        talk.say(f"waiting for {formats.count(count, 'subscriber')}")
        await publisher.wait_for_readers(count)
