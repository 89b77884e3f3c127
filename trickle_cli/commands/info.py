"""`trickle info`: all that a server tells of a channel."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument
from trickle_cli.commands.running import ExitCode, run

if TYPE_CHECKING:
    from trickle_cli.client import Control, Head
    from trickle_cli.statistics import ChannelStatistics

EPILOG = """\b
Example, how many read a channel:
  trickle info --json cam | jq .readers"""


@takes(connect=connecting)
def info(
    channel: ChannelArgument,
    connect: Connecting,
    as_json: Annotated[
        bool, typer.Option("--json", help="As an object of JSON, in a line.")
    ] = False,
) -> None:
    """Show all that the server tells of a channel; exits with 3 if there is none."""
    run("info", lambda: _info(channel, connect, as_json=as_json))


async def _info(channel: str, connect: Connecting, *, as_json: bool) -> ExitCode:
    from trickle_cli.client import Control
    from trickle_cli.outputs import open_stdout

    endpoint = connect.endpoint(channel)
    async with Control(endpoint, connect.config()) as control:
        found = await _ask(control)
    lines = _json(found, endpoint.channel) if as_json else _text(found, str(endpoint))
    async with open_stdout() as output:
        text = "".join(f"{line}\n" for line in lines)
        await output.write(text.encode("utf-8", "replace"))
    return ExitCode.DONE


async def _ask(control: Control) -> ChannelStatistics | Head:
    """What there is to know: of servers that tell no more, where the channel stands.
    ChannelNotFound."""
    from trickle_cli.errors import ChannelNotFound, UnexpectedStatus

    try:
        return await control.info()
    except (ChannelNotFound, UnexpectedStatus):
        return await control.next()


def _json(found: ChannelStatistics | Head, name: str) -> Iterable[str]:
    from trickle_cli.client import Head

    if isinstance(found, Head):
        known = {"name": name, "head": found.seq, "closed": found.closed}
        return [json.dumps(known)]
    return [json.dumps(asdict(found))]


def _text(found: ChannelStatistics | Head, url: str) -> Iterable[str]:
    from datetime import UTC, datetime

    from trickle_cli.client import Head
    from trickle_cli.display.listing import aligned, details

    if not isinstance(found, Head):
        return details(found, url, datetime.now(UTC))
    state = "closed" if found.closed else "open"
    return aligned([("url", url), ("state", state), ("next segment", str(found.seq))])
