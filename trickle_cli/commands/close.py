"""`trickle close`: close a channel, or end one of its segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import ChannelArgument
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import saying
from trickle_cli.display.manner import Manner
from trickle_cli.protocol.sequence import parse_seq

if TYPE_CHECKING:
    from trickle_cli.client import Control

EPILOG = """\b
Example, for all who read a channel, its end:
  trickle close cam"""


def _parse_seq(text: str) -> int:
    seq = parse_seq(text.encode(errors="replace"))
    if seq is None:
        raise typer.BadParameter(f"'{text}' is not the number of a segment")
    if seq < 0:
        raise typer.BadParameter(
            f"{text}: a segment is ended by its own number, not one counted from the"
            " end: trickle next tells which number comes next"
        )
    return seq


@takes(connect=connecting, talk=saying)
def close(
    channel: ChannelArgument,
    connect: Connecting,
    talk: Manner,
    seq: Annotated[
        int | None,
        typer.Argument(
            metavar="SEQ",
            parser=_parse_seq,
            help="Only end this segment, which nobody will write any further.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Close a channel: its publishers stop, and its readers end with what there is.

    Exits with 3 if there is no such channel, or no such segment.
    """
    run("close", lambda: _close(channel, seq, connect, talk))


async def _close(
    channel: str, seq: int | None, connect: Connecting, manner: Manner
) -> ExitCode:
    from trickle_cli.client import Control
    from trickle_cli.display.talk import open_talk

    endpoint = connect.endpoint(channel)
    async with (
        open_talk("close", manner) as talk,
        Control(endpoint, connect.config()) as control,
    ):
        if seq is None:
            await control.close()
            talk.say(f"closed {endpoint}")
        else:
            await _end_segment(control, seq)
            talk.say(f"ended segment {seq} of {endpoint}")
    return ExitCode.DONE


async def _end_segment(control: Control, seq: int) -> None:
    from trickle_cli.errors import SegmentNotFound, UnexpectedStatus

    try:
        await control.end_segment(seq)
    except UnexpectedStatus as error:
        if error.code != 400:  # which means that nobody writes it, or waits to
            raise
        raise SegmentNotFound(seq, (await control.next()).seq) from error
