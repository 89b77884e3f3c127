"""`trickle mirror`: a channel to another one, as it comes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import parse_start
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.errors import BadConfiguration

if TYPE_CHECKING:
    from trickle_cli.client import Subscriber
    from trickle_cli.commands.mirroring import Job, Mirror
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.display.talk import Talk

EPILOG = """\b
Example, a channel of a server elsewhere to one here:
  trickle mirror https://relay.example/cam cam"""

_FINISHING = "leaving the destination as it is; interrupt again to leave at once"


@takes(connect=connecting, talk=talking)
def mirror(
    connect: Connecting,
    talk: Manner,
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="The channel to read: a name, or a URL."),
    ],
    target: Annotated[
        str,
        typer.Argument(metavar="DST", help="The channel to write: a name, or a URL."),
    ],
    start: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="latest|next|oldest|N|-N",
            parser=parse_start,
            help="The first segment. Without it, the one that DST comes to next, if SRC"
            " has come so far; else the latest.",
        ),
    ] = None,
    dst_token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="TRICKLE_DST_TOKEN_FILE",
            help="A file with another token, for the server of DST.",
        ),
    ] = None,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless", help="Make DST lossless. If SRC is, it is made so anyway."
        ),
    ] = False,
    keep_open: Annotated[
        bool, typer.Option("--keep-open", help="Do not close DST when SRC ends.")
    ] = False,
) -> None:
    """Publish what comes on the channel SRC to the channel DST, byte by byte.

    Segments keep their numbers; those that cannot be had are missing in DST, too, and
    those that break off are incomplete there. When SRC begins anew, so does DST. If DST
    has segments, it is gone on with after them.
    """
    to_connect = connect
    if dst_token_file is not None:
        to_connect = replace(connect, token=None, token_file=dst_token_file)

    async def program() -> ExitCode:
        from trickle_cli.commands.mirroring import Job

        job = Job(
            source=connect.endpoint(source),
            target=connect.endpoint(target),
            config=connect.config(),
            to_config=to_connect.config(),
            retry_for=connect.retry_for,
            start=start,
            lossless=lossless,
            keep_open=keep_open,
        )
        return await _mirror(job, talk)

    run("mirror", program)


async def _mirror(job: Job, manner: Manner) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.mirroring import Mirror, starting
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.taking import notice_waiting
    from trickle_cli.display.talk import open_talk

    if job.source == job.target:
        raise BadConfiguration(f"{job.source} cannot be mirrored to itself")
    is_whole = True
    async with (
        open_talk("mirror", manner) as talk,
        interruptible(lambda: talk.say(_FINISHING)) as interruption,
    ):
        talk.say(f"mirroring {job.source} to {job.target}")
        begin = await starting(job, talk)
        async with (
            Subscriber(
                job.source,
                start=begin.seq,
                wait=True,
                config=job.config,
                retry_for=job.retry_for,
            ) as subscriber,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(notice_waiting, subscriber, talk)
            mirroring = Mirror(job, begin, subscriber, talk)
            is_whole = await _run(mirroring, subscriber, interruption, talk)
            nursery.cancel_scope.cancel()
    if interruption.code is not None:
        return interruption.code
    return ExitCode.DONE if is_whole else ExitCode.DATA_LOST


async def _run(
    mirroring: Mirror, subscriber: Subscriber, interruption: Interruption, talk: Talk
) -> bool:
    """Whether nothing was missing."""
    import trio

    from trickle_cli.display import summaries
    from trickle_cli.display.transfer import TransferView

    channel = subscriber.endpoint.channel
    talk.show(TransferView(channel, subscriber.statistics, trio.current_time))
    started = trio.current_time()
    try:
        await mirroring.run(interruption)
    finally:
        duration = trio.current_time() - started
        statistics = subscriber.statistics()
        amount = summaries.amount(statistics, duration)
        rate = summaries.rate(statistics, duration)
        more = summaries.fields(statistics, duration)
        talk.say(f"mirrored {amount}{rate}{mirroring.missing()}", **more)
    return not mirroring.missing()
