"""`trickle context`: servers that have a name."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.arguments import Command
from trickle_cli.commands.connecting import hide_from_others
from trickle_cli.commands.options import context_names, parse_server
from trickle_cli.commands.running import ExitCode, run

if TYPE_CHECKING:
    from trickle_cli.commands.contexts import Context

EPILOG = """\b
Example, a server that all commands use from then on:
  trickle context add studio --server https://live.example.net --token-file t
  trickle context use studio"""

HELP = "Name servers, and choose the one that commands use."

ADD_EPILOG = """\b
Example, with a token that no list of processes shows:
  trickle context add studio --server https://live.example.net --token - < token"""
LS_EPILOG = """\b
Example, the names alone:
  trickle context ls --names"""
USE_EPILOG = """\b
Example, without a context from then on:
  trickle context use --none"""
RM_EPILOG = """\b
Example, to forget a server and its token:
  trickle context rm studio"""
SHOW_EPILOG = """\b
Example, of the current one:
  trickle context show"""

#: Where a file is named, or a token: standard input.
_STDIN = "-"

context = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="What the context is called.",
        autocompletion=context_names,
    ),
]


@context.command(cls=Command, epilog=ADD_EPILOG, short_help="Name a server.")
def add(
    name: NameArgument,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            metavar="URL",
            help="The server, with its base path if it has one.",
            parser=parse_server,
        ),
    ],
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN", help="Who we are there; '-': read it from stdin."
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A file that the token is read from each time."
        ),
    ] = None,
    cacert: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Whom to trust with its certificate."),
    ] = None,
    cert: Annotated[
        str | None, typer.Option(metavar="FILE", help="A certificate to show to it.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Its key, if that is in another file."),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Do not verify its certificate."),
    ] = False,
) -> None:
    """Give a server a name, or change what the name stands for.

    The first is the current one at once; of others, `context use` makes one that.
    """
    if not name.strip() or not name.isprintable():
        raise typer.BadParameter(f"'{name}' is no name for a context")
    if token is not None and token_file is not None:
        raise typer.BadParameter("either --token or --token-file")
    if key is not None and cert is None:
        raise typer.BadParameter("--key is of no use without --cert")
    if token is not None and token != _STDIN:
        hide_from_others([token])
    files = {"token_file": token_file, "cacert": cacert, "cert": cert, "key": key}
    files = {option: path and os.path.abspath(path) for option, path in files.items()}
    run("context add", lambda: _add(name, server, token, files, insecure=insecure))


async def _add(
    name: str,
    server: str,
    token: str | None,
    files: dict[str, str | None],
    *,
    insecure: bool,
) -> ExitCode:
    import sys

    from trickle_cli.commands import contexts

    if token == _STDIN:
        token = sys.stdin.readline().strip()
    made = contexts.Context(
        server=server, token=token or None, insecure=insecure, **files
    )
    with contexts.changing() as states:
        states.append(states[-1].with_one(name, made))
    is_current = states[-1].current == name
    note = "the current context" if is_current else f"trickle context use {name}"
    _say("add", f"'{name}' is {server} — {note}")
    return ExitCode.DONE


@context.command(cls=Command, epilog=LS_EPILOG, short_help="See which there are.")
def ls(
    names: Annotated[
        bool, typer.Option("--names", "-1", help="Only the names, one in a line.")
    ] = False,
) -> None:
    """List the contexts; a star marks the current one."""
    run("context ls", lambda: _ls(names_only=names))


async def _ls(*, names_only: bool) -> ExitCode:
    from trickle_cli.commands import contexts
    from trickle_cli.display.formats import clean

    found = contexts.load()
    width = max(map(len, found.named), default=0)
    for name, one in sorted(found.named.items()):
        mark = "*" if name == found.current else " "
        line = name if names_only else f"{mark} {name:<{width}}  {_line_of(one)}"
        typer.echo(clean(line))
    if not found.named:
        _say("ls", "there are none: trickle context add NAME --server URL")
    return ExitCode.DONE


def _line_of(one: Context) -> str:
    """The server, and what else there is, without what is secret."""
    notes = []
    if one.token or one.token_file:
        notes.append("token")
    if one.cert:
        notes.append("certificate")
    if one.insecure:
        notes.append("insecure")
    return f"{one.server}  ({', '.join(notes)})" if notes else one.server


@context.command(cls=Command, epilog=USE_EPILOG, short_help="Choose one.")
def use(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The context to use.",
            show_default=False,
            autocompletion=context_names,
        ),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Use none.")] = False,
) -> None:
    """Make a context the one that commands use, unless they are told otherwise."""
    if (name is None) != none:
        raise typer.BadParameter("either NAME or --none is wanted")
    run("context use", lambda: _use(name))


async def _use(name: str | None) -> ExitCode:
    from dataclasses import replace

    from trickle_cli.commands import contexts

    with contexts.changing() as states:
        server = states[-1].get(name).server if name is not None else ""
        states.append(replace(states[-1], current=name))
    _say("use", f"'{name}': {server}" if name is not None else "no context")
    return ExitCode.DONE


@context.command(cls=Command, epilog=RM_EPILOG, short_help="Forget one.")
def rm(name: NameArgument) -> None:
    """Forget a context, and its token."""
    run("context rm", lambda: _rm(name))


async def _rm(name: str) -> ExitCode:
    from trickle_cli.commands import contexts

    with contexts.changing() as states:
        is_current = states[-1].current == name
        states.append(states[-1].without(name))
    note = "; none is the current one now" if is_current else ""
    _say("rm", f"'{name}' is forgotten{note}")
    return ExitCode.DONE


@context.command(cls=Command, epilog=SHOW_EPILOG, short_help="See what is in one.")
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The context; the current one if there is none.",
            show_default=False,
            autocompletion=context_names,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="As an object of JSON.")
    ] = False,
) -> None:
    """Show what a context holds; of its token, only that there is one."""
    run("context show", lambda: _show(name, as_json=as_json))


async def _show(name: str | None, *, as_json: bool) -> ExitCode:
    from trickle_cli.commands import contexts
    from trickle_cli.display.formats import clean
    from trickle_cli.errors import BadConfiguration

    found = contexts.load()
    name = found.current if name is None else name
    if name is None:
        raise BadConfiguration("there is no current context — trickle context use NAME")
    told = {"name": name, **asdict(found.get(name)), "current": name == found.current}
    told = {key: "****" if key == "token" and v else v for key, v in told.items()}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return ExitCode.DONE
    width = max(map(len, told)) + 1
    for key, value in told.items():
        if value is not None and value is not False:
            shown = "yes" if value is True else clean(str(value))
            typer.echo(f"{key.replace('_', ' ') + ':':<{width}} {shown}")
    return ExitCode.DONE


def _say(command: str, text: str) -> None:
    from trickle_cli.display.formats import clean
    from trickle_cli.display.lines import print_line

    print_line(f"trickle context {command}: {clean(text)}")
