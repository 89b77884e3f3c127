"""The options that say how much a command tells of what it does, and how."""

from __future__ import annotations

from typing import Annotated

import typer

from trickle_cli.display.manner import Manner, Progress


def saying(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Say nothing but what went wrong."),
    ] = False,
) -> Manner:
    """The option of commands that do one short thing, and have nothing to show."""
    return Manner(quiet=quiet, progress=Progress.NONE)


def talking(
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Say nothing but what went wrong."),
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more of what happens.")
    ] = False,
    progress: Annotated[
        Progress,
        typer.Option(
            envvar="TRICKLE_PROGRESS",
            help="How to show how far it has got, on standard error: live on a"
            " terminal, in lines now and then, in objects of JSON, or not at all.",
        ),
    ] = Progress.AUTO,
) -> Manner:
    """The group of these options."""
    if quiet and verbose:
        raise typer.BadParameter("either --quiet or --verbose")
    return Manner(quiet=quiet, verbose=verbose, progress=progress)
