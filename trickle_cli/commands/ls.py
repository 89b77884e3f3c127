"""`trickle ls`: the channels of a server."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import saying
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.names import RESERVED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trickle_cli.statistics import ChannelStatistics

EPILOG = """\b
Example, to close all channels of cameras:
  trickle ls -0 'cam-*' | xargs -0 -n 1 trickle close"""

#: Something to name in an address, where no channel is meant.
_ANY = "any"


@dataclass(frozen=True, kw_only=True)
class _Job:
    pattern: str | None
    connect: Connecting
    manner: Manner
    everything: bool
    as_json: bool
    names: bool
    print0: bool


@takes(connect=connecting, talk=saying)
def ls(
    connect: Connecting,
    talk: Manner,
    pattern: Annotated[
        str | None,
        typer.Argument(
            metavar="PATTERN",
            help="Only channels that are called so: * stands for anything, ? for one"
            " character.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="The server's own channels, too.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="An object of JSON for each, in a line.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", "-1", help="Only the names, one in a line.")
    ] = False,
    print0: Annotated[
        bool,
        typer.Option("--print0", "-0", help="Only the names, each ended by a NUL."),
    ] = False,
) -> None:
    """List the channels of a server, by name.

    NEXT is the number of the segment that begins next, HELD what the server keeps of
    the channel, AGE since when there is one.
    """
    if as_json + names + print0 > 1:
        raise typer.BadParameter("only one of --json, --names and --print0")
    job = _Job(
        pattern=pattern,
        connect=connect,
        manner=talk,
        everything=everything,
        as_json=as_json,
        names=names,
        print0=print0,
    )
    run("ls", lambda: _ls(job))


async def _ls(job: _Job) -> ExitCode:
    from trickle_cli.client import Control
    from trickle_cli.display.talk import open_talk
    from trickle_cli.outputs import open_stdout

    endpoint, config = job.connect.endpoint(_ANY), job.connect.config()
    async with (
        open_talk("ls", job.manner) as talk,
        Control(endpoint, config) as control,
    ):
        found = [
            channel for channel in await control.list() if _is_wanted(channel, job)
        ]
        found.sort(key=lambda channel: channel.name)
        if not found:
            what = f" like '{job.pattern}'" if job.pattern is not None else "s"
            talk.say(f"no channel{what} on {endpoint.server}")
            return ExitCode.DONE
        async with open_stdout() as output:
            await output.write("".join(_lines(found, job)).encode("utf-8", "replace"))
    return ExitCode.DONE


def _is_wanted(channel: ChannelStatistics, job: _Job) -> bool:
    from fnmatch import fnmatchcase

    pattern = "*" if job.pattern is None else job.pattern
    is_shown = job.everything or not channel.name.startswith(RESERVED_PREFIX)
    is_named = pattern.startswith(RESERVED_PREFIX)
    return fnmatchcase(channel.name, pattern) and (is_shown or is_named)


def _lines(channels: list[ChannelStatistics], job: _Job) -> Iterable[str]:
    from datetime import UTC, datetime

    from trickle_cli.display.formats import clean
    from trickle_cli.display.listing import table
    from trickle_cli.display.terminals import size_of

    if job.print0:
        return (f"{channel.name}\0" for channel in channels)
    if job.as_json:
        return (json.dumps(asdict(channel)) + "\n" for channel in channels)
    if job.names:
        return (f"{clean(channel.name)}\n" for channel in channels)
    is_terminal = os.isatty(1)
    lines = table(
        channels,
        datetime.now(UTC),
        columns=size_of(1).columns if is_terminal else None,
        styled=is_terminal and not _is_plain(),
    )
    return (f"{line}\n" for line in lines)


def _is_plain() -> bool:
    """Whether a person wants no codes (https://no-color.org), or the terminal none."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM", "dumb") == "dumb"
