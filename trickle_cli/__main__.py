"""`trickle`, and `python -m trickle_cli`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

if __name__ == "__main__":  # see `start`: the imports below take a while
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import os
from typing import Annotated

import typer

from trickle_cli.commands.running import ExitCode, main as run_main
from trickle_cli.commands.table import CommandGroup
from trickle_cli.version import __version__

app = typer.Typer(
    name="trickle",
    cls=CommandGroup,
    rich_markup_mode=None,  # formatting help takes rich as long as all the rest
    pretty_exceptions_enable=False,
    add_completion=False,  # there is a command for it
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trickle {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="""\b
Example, in three terminals:
  trickle serve --autocreate
  ffmpeg -re -i film.mp4 -c copy -f mpegts - | trickle pub cam
  trickle sub cam > film.ts""",
)
def trickle(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback takes it
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Pipe live data through Trickle channels.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such channel or segment, 4 data
    was lost, 5 not allowed, 124 timed out, 130 interrupted, 143 terminated, 141 nobody
    reads the output.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """The command; or what a shell that completes a line of ours is answered."""
    if shell := os.environ.get("_TRICKLE_COMPLETE"):
        from trickle_cli.commands.completing import answer

        answer(app, shell)
    run_main(app)


if __name__ == "__main__":
    main()
