"""`trickle sub`: the segments of channels to standard output, files, or a command."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import (
    CountOption,
    ForOption,
    StartOption,
    parse_time,
)
from trickle_cli.commands.running import run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner

if TYPE_CHECKING:
    from trickle_cli.outputs.taken import Line

EPILOG = """\b
Example, the picture of a camera from now on:
  trickle sub cam | ffplay -"""


class OnGap(enum.Enum):
    """What to do when something of a channel could not be had."""

    SKIP = "skip"
    FAIL = "fail"


class OnFailure(enum.Enum):
    """What to do when a command has failed."""

    CONTINUE = "continue"
    STOP = "stop"


class Payload(enum.Enum):
    """How to write the bytes of a segment in an object of JSON."""

    NONE = "none"
    TEXT = "text"
    BASE64 = "base64"


@takes(connect=connecting, talk=talking)
def sub(
    channels: Annotated[
        list[str],
        typer.Argument(
            envvar="TRICKLE_CHANNEL",
            metavar="CHANNEL...",
            help="Channels: names, or URLs; or patterns of names, in which * stands"
            " for anything.",
            show_default=False,
        ),
    ],
    connect: Connecting,
    talk: Manner,
    start: StartOption = "latest",  # type: ignore[assignment] # typer parses defaults, too
    count: CountOption = None,
    for_: ForOption = None,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=parse_time,
            help="Give up, with exit code 124, when nothing has come for so long.",
        ),
    ] = None,
    until_end: Annotated[
        bool,
        typer.Option(
            "--until-end",
            help="End with what there is by now, instead of waiting for more.",
        ),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to FILE, not to stdout. With {seq} or {time} in its name there"
            " is a file for each segment, with {channel} one for each channel.",
        ),
    ] = None,
    print0: Annotated[
        bool,
        typer.Option(
            "--print0",
            help="Print the name of each file that is complete, and a NUL, for"
            " xargs -0.",
        ),
    ] = False,
    command: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="CMD",
            help="Run CMD by /bin/sh for each segment, which it gets on its standard"
            " input, with TRICKLE_CHANNEL, _SEQ, _TYPE and _SIZE in its environment.",
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=1000, help="So many of them at a time."),
    ] = 1,
    on_failure: Annotated[
        OnFailure,
        typer.Option(
            help="When one fails: go on, and exit with 1 at the end; or stop at once."
        ),
    ] = OnFailure.CONTINUE,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print an object of JSON for each segment."),
    ] = False,
    payload: Annotated[
        Payload, typer.Option(help="How to put the bytes into it.")
    ] = Payload.NONE,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="Print that for each segment: {channel} {seq} {size} {type} {started}"
            " {ended} {duration} {complete} {lost} {file} {text} {base64}.",
        ),
    ] = None,
    no_wait: Annotated[
        bool,
        typer.Option(
            "--no-wait", help="Exit with 3 at once if there is no such channel."
        ),
    ] = False,
    on_gap: Annotated[
        OnGap,
        typer.Option(
            help="When something is lost: go on, and exit with 4 at the end; or fail"
            " at once."
        ),
    ] = OnGap.SKIP,
    force: Annotated[
        bool,
        typer.Option("--force", help="Write binary content to a terminal, too."),
    ] = False,
) -> None:
    """Write what is published to channels to standard output, as it comes.

    If there is no such channel, wait for it, and start at its first segment. Ends
    with the channel; exits with 4 if anything of it could not be had.
    """
    from trickle_cli.commands.subscribing import Job, subscribe
    from trickle_cli.outputs.pattern import Pattern
    from trickle_cli.outputs.taken import FileName

    pattern = None if output is None or output == "-" else Pattern(output)
    line = _line(json=json, payload=payload, form=form)
    if print0:
        if line is not None or pattern is None or not pattern.is_per_segment:
            raise typer.BadParameter(
                "--print0 wants --output with a file for each segment, and neither"
                " --json nor --format"
            )
        line = FileName()
    if line is not None and output == "-":
        raise typer.BadParameter(
            "with --output - the segments themselves go to standard output:"
            " leave out --json, --format and --print0"
        )
    job = Job(
        channels=channels,
        connect=connect,
        manner=talk,
        start=start,
        count=count,
        seconds=for_,
        idle=idle,
        until_end=until_end,
        pattern=pattern,
        command=command,
        jobs=jobs,
        stops_on_failure=on_failure is OnFailure.STOP,
        line=line,
        wait=not no_wait,
        stops_at_gap=on_gap is OnGap.FAIL,
        force=force,
    )
    run("sub", lambda: subscribe(job))


def _line(*, json: bool, payload: Payload, form: str | None) -> Line | None:
    """How to tell of segments, if at all."""
    from trickle_cli.outputs.taken import FormattedLine, JsonLine

    if json and form is not None:
        raise typer.BadParameter("either --json or --format")
    if payload is not Payload.NONE and not json:
        raise typer.BadParameter("--payload is of no use without --json")
    if form is not None:
        return FormattedLine(form)
    return (
        JsonLine(None if payload is Payload.NONE else payload.value) if json else None
    )
