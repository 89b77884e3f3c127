"""`trickle watch`: which channels come and go, or how the segments of one come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ForOption
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.errors import ChannelNotFound
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.protocol.sequence import CURRENT, OLDEST

EPILOG = """\b
Example, what comes and goes on a server:
  trickle watch _changes"""

_NO_FEED = "the server runs with --no-changefeed, or has another base path"


@dataclass(frozen=True, kw_only=True)
class _Job:
    channel: str
    connect: Connecting
    manner: Manner
    lines: bool
    json: bool
    count: int | None
    seconds: float


@takes(connect=connecting, talk=talking)
def watch(
    connect: Connecting,
    talk: Manner,
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="The channel: a name, or a URL.")
    ] = CHANGEFEED,
    lines: Annotated[
        bool, typer.Option("--lines", help="Write lines, also to a terminal.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Write an object of JSON in each line.")
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="End after so many segments or changes."),
    ] = None,
    for_: ForOption = None,
) -> None:
    """Watch a channel: when its segments came, how large they were and how quick.

    On _changes, see each channel that exists, then each one that is added or removed.
    A terminal gets a table that is kept up to date; anything else a line for each
    segment when it has ended: its number, its size, how long its first byte was waited
    for, how long it took, its rate, and how many readers the channel has.
    """
    job = _Job(
        channel=channel,
        connect=connect,
        manner=talk,
        lines=lines or json_,
        json=json_,
        count=count,
        seconds=math.inf if for_ is None else for_,
    )
    run("watch", lambda: _watch(job))


async def _watch(job: _Job) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.subscribing import notice_reader
    from trickle_cli.commands.taking import notice_waiting
    from trickle_cli.commands.watching import (
        Lines,
        has_listing,
        see_changes,
        see_segments,
    )
    from trickle_cli.display.talk import can_show_table, open_talk
    from trickle_cli.outputs import open_stdout

    endpoint, config = job.connect.endpoint(job.channel), job.connect.config()
    is_feed = endpoint.channel == CHANGEFEED
    has_table = not job.lines and can_show_table(job.manner)
    if is_feed and has_table:
        has_table = await has_listing(endpoint, config)
    async with (
        open_talk("watch", job.manner, stdout=True, table=has_table) as talk,
        interruptible() as interruption,
        open_stdout() as output,
        Subscriber(
            endpoint,
            start=OLDEST if is_feed else CURRENT,
            wait=not is_feed,
            config=config,
            retry_for=job.connect.retry_for,
        ) as subscriber,
        trio.open_nursery() as nursery,
    ):
        interruption.cancel = nursery.cancel_scope.cancel
        nursery.start_soon(notice_reader, output)
        nursery.start_soon(notice_waiting, subscriber, talk)
        lines = Lines(output, talk, count=job.count, is_json=job.json)
        with trio.move_on_after(job.seconds):
            try:
                await (see_changes if is_feed else see_segments)(
                    subscriber, lines, nursery
                )
            except ChannelNotFound as error:
                raise ChannelNotFound(
                    error.channel, where=endpoint.server, hint=_NO_FEED
                ) from error
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE
