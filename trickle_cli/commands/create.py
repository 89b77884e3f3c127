"""`trickle create`: make channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import parse_type
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import saying
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import DEFAULT_TYPE

if TYPE_CHECKING:
    from trickle_cli.client import Control, Endpoint
    from trickle_cli.display.talk import Talk

EPILOG = """\b
Example, a channel that waits for its publisher:
  trickle create --type video/mp2t cam"""

_FORBIDDEN = (
    "start it with --autocreate, or without --no-create, or have the channel from the"
    " start: trickle serve --channel NAME"
)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    type: str
    lossless: bool


@takes(connect=connecting, talk=saying)
def create(
    channels: Annotated[
        list[str],
        typer.Argument(
            metavar="CHANNEL...",
            envvar="TRICKLE_CHANNEL",
            help="The channels: names, or URLs.",
            show_default=False,
        ),
    ],
    connect: Connecting,
    talk: Manner,
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="MIME",
            envvar="TRICKLE_TYPE",
            parser=parse_type,
            help="The type of their content.",
        ),
    ] = DEFAULT_TYPE,
    lossless: Annotated[
        bool,
        typer.Option(
            "--lossless",
            help="Make them so that they keep what readers have not taken, and hold"
            " their publishers back.",
        ),
    ] = False,
) -> None:
    """Make channels. One that is there already stays as it is.

    Exits with 5 if the server does not let us.
    """
    wanted = _Wanted(type=type_, lossless=lossless)
    run("create", lambda: _create(channels, wanted, connect, talk))


async def _create(
    channels: list[str], wanted: _Wanted, connect: Connecting, manner: Manner
) -> ExitCode:
    from trickle_cli.client import Control
    from trickle_cli.display.talk import open_talk

    endpoints, config = [connect.endpoint(name) for name in channels], connect.config()
    async with open_talk("create", manner) as talk:
        for endpoint in endpoints:
            async with Control(endpoint, config) as control:
                await _create_one(control, endpoint, wanted, talk)
    return ExitCode.DONE


async def _create_one(
    control: Control, endpoint: Endpoint, wanted: _Wanted, talk: Talk
) -> None:
    from trickle_cli.errors import NotAllowed, NotLossless

    is_there, type_ = await _look(control)
    if not await control.create(wanted.type, lossless=wanted.lossless):
        raise NotAllowed(
            f"{endpoint.server} does not let us make '{endpoint.channel}'"
            f" — {_FORBIDDEN}"
        )
    if wanted.lossless and not (await control.next()).lossless:
        raise NotLossless(endpoint.channel, where=endpoint.server)
    if not is_there:
        talk.say(f"made {endpoint}")
    elif type_ in {"", wanted.type}:
        talk.say(f"{endpoint} is there already")
    else:
        talk.say(f"{endpoint} is there already, as {type_}")


async def _look(control: Control) -> tuple[bool, str]:
    """Whether the channel is there, and of which type, as far as that can be told. What
    is closed is made anew."""
    from trickle_cli.errors import ChannelNotFound, NotAllowed, UnexpectedStatus

    try:
        found = await control.info()
    except (ChannelNotFound, NotAllowed, UnexpectedStatus):
        pass
    else:
        return not found.closed, found.type
    try:
        return not (await control.next()).closed, ""
    except (ChannelNotFound, NotAllowed, UnexpectedStatus):
        return False, ""
