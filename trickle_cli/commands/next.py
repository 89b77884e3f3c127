"""`trickle next`: the number of the segment that begins next."""

from __future__ import annotations

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import saying
from trickle_cli.display.manner import Manner

EPILOG = """\b
Example, in a script:
  next=$(trickle next cam)"""


@takes(connect=connecting, talk=saying)
def next_(channel: ChannelArgument, connect: Connecting, talk: Manner) -> None:
    """Print the number of the segment of a channel that begins next.

    Exits with 3 if there is no such channel.
    """
    run("next", lambda: _next(channel, connect, talk))


async def _next(channel: str, connect: Connecting, manner: Manner) -> ExitCode:
    from trickle_cli.client import Control
    from trickle_cli.display.talk import open_talk

    endpoint = connect.endpoint(channel)
    async with (
        open_talk("next", manner) as talk,
        Control(endpoint, connect.config()) as control,
    ):
        head = await control.next()
        typer.echo(head.seq)
        if head.closed:
            talk.say(
                f"channel '{endpoint.channel}' is closed: no segment begins any more"
            )
    return ExitCode.DONE
