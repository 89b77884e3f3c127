"""The options of clients: where their server is, and how they come to it.

What is not said by an option, or by its variable, is taken from a context: the one
that --context names, or the current one. One that is named on the command line comes
before variables. What a context holds is for its own server: it does not go to another,
whether that is named by an option or by the URL of a channel.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.options import (
    context_names,
    parse_duration,
    parse_server,
    require_readable,
)
from trickle_cli.protocol.names import DEFAULT_SERVER

if TYPE_CHECKING:
    from trickle_cli.client import ClientConfig, Endpoint
    from trickle_cli.commands.contexts import Context

_HIDDEN: Final = "****"


@dataclass(frozen=True, kw_only=True)
class Connecting:
    """Where to connect, and what was asked for besides."""

    server: str
    token: str | None
    token_file: str | None
    header: list[str]
    cacert: str | None
    cert: str | None
    key: str | None
    insecure: bool
    retry_for: float

    def endpoint(self, channel: str) -> Endpoint:
        """Where `channel` is. BadAddress."""
        from trickle_cli.client import Endpoint

        return Endpoint.parse(channel, self.server)

    def config(self) -> ClientConfig:
        """How to connect. BadConfiguration, OSError."""
        from trickle_cli.client import ClientConfig, tls_context

        for option in ("cacert", "cert", "key"):
            require_readable(f"--{option}", getattr(self, option))
        tls = None
        if self.cacert or self.cert or self.key or self.insecure:
            tls = tls_context(
                cacert=self.cacert,
                cert=self.cert,
                key=self.key,
                insecure=self.insecure,
            )
        headers = tuple(map(_parse_header, self.header))
        return ClientConfig(token=self.read_token(), headers=headers, tls=tls)

    def read_token(self) -> str:
        """Who we are, "" for nobody. BadConfiguration, OSError."""
        from pathlib import Path

        from trickle_cli.errors import BadConfiguration

        if self.token is not None:
            return self.token.strip()
        if self.token_file is None:
            return ""
        require_readable("--token-file", self.token_file)
        try:
            token = Path(self.token_file).read_text().strip()
        except UnicodeDecodeError:
            token = ""
        if not token:
            raise BadConfiguration(f"{self.token_file}: there is no token in it")
        return token


def _parse_header(text: str) -> tuple[str, str]:
    from trickle_cli.errors import BadConfiguration

    name, colon, value = text.partition(":")
    if not colon:
        raise BadConfiguration("a header is written 'Name: value'")
    return name.strip(), value.strip()


def connecting(
    typed: typer.Context,
    server: Annotated[
        str,
        typer.Option(
            "--server",
            "-s",
            metavar="URL",
            envvar="TRICKLE_SERVER",
            help="The server, with its base path if it has one.",
            parser=parse_server,
        ),
    ] = DEFAULT_SERVER,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="TRICKLE_TOKEN",
            help="Who we are; others may see it here, so rather set the variable.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="TRICKLE_TOKEN_FILE",
            help="A file with the token.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            metavar="'NAME: VALUE'",
            help="Send this with each request. May be repeated.",
        ),
    ] = None,
    cacert: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="TRICKLE_CACERT",
            help="Whom to trust with certificates of servers.",
        ),
    ] = None,
    cert: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="TRICKLE_CERT",
            help="A certificate to show to the server.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="TRICKLE_KEY",
            help="Its key, if that is in another file.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            envvar="TRICKLE_INSECURE",
            help="Do not verify the server's certificate.",
        ),
    ] = False,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            envvar="TRICKLE_CONTEXT",
            autocompletion=context_names,
            help="Whatever is not said otherwise is as in this context, not the current"
            " one; '': in none.",
        ),
    ] = None,
    retry_for: Annotated[
        float,
        typer.Option(
            metavar="TIME",
            parser=parse_duration,
            envvar="TRICKLE_RETRY_FOR",
            help="How long to try a server again that has gone, or has forgotten the"
            " channel; 0: not at all.",
        ),
    ] = "60s",  # type: ignore[assignment] # typer parses defaults, too
) -> Connecting:
    """The group of these options."""
    if key is not None and cert is None:
        raise typer.BadParameter("--key is of no use without --cert")
    hide_from_others([*([token] if token else []), *(header or [])])
    said = Connecting(
        server=server,
        token=token,
        token_file=token_file,
        header=header or [],
        cacert=cacert,
        cert=cert,
        key=key,
        insecure=insecure,
        retry_for=retry_for,
    )
    found = _find_context(context)
    return said if found is None else _completed(said, found, typed)


def _find_context(name: str | None) -> Context | None:
    """The context called `name`, for None the current one; None, if none is wanted."""
    if name == "":
        return None
    from trickle_cli.commands import contexts
    from trickle_cli.errors import BadConfiguration

    if name is None and not os.path.lexists(contexts.path_of_contexts()):
        return None
    try:
        all_of_them = contexts.load()
        name = all_of_them.current if name is None else name
        found = None if name is None else all_of_them.get(name)
    except BadConfiguration as error:
        raise typer.BadParameter(str(error)) from None
    if found is not None and found.token and contexts.is_readable_by_others():
        path = contexts.path_of_contexts()
        typer.echo(
            f"trickle: others can read the tokens in {path}: chmod 600", err=True
        )
    return found


def _completed(said: Connecting, found: Context, typed: typer.Context) -> Connecting:
    """`said`, and of `found` what was not said."""
    counting = {"COMMANDLINE"}
    if _source(typed, "context") != "COMMANDLINE":
        counting.add("ENVIRONMENT")

    def is_said(*options: str) -> bool:
        return any(_source(typed, option) in counting for option in options)

    server = parse_server(found.server)
    if not is_said("server"):
        said = replace(said, server=server)
    if said.server != server or _leads_elsewhere(said, typed):
        return said
    if (found.token or found.token_file) and not is_said("token", "token_file"):
        said = replace(said, token=found.token, token_file=found.token_file)
    if found.cert and not is_said("cert", "key"):
        said = replace(said, cert=found.cert, key=found.key)
    if (found.cacert or found.insecure) and not is_said("cacert", "insecure"):
        said = replace(said, cacert=found.cacert, insecure=found.insecure)
    return said


def _source(typed: typer.Context, option: str) -> str:
    """Where the value of an option is from."""
    source = typed.get_parameter_source(option)
    return "" if source is None else source.name


def _leads_elsewhere(said: Connecting, typed: typer.Context) -> bool:
    """Whether an argument of the command is the URL of something on another server."""
    for parameter in typed.command.params:
        given = typed.params.get(parameter.name or "")
        if parameter.param_type_name != "argument" or given is None:
            continue
        for text in given if isinstance(given, list | tuple) else [given]:
            if isinstance(text, str) and _is_elsewhere(text, said.server):
                return True
    return False


def _is_elsewhere(text: str, server: str) -> bool:
    """Whether `text` is the URL of another server than `server`, or of a channel of
    another; what cannot be told is."""
    from trickle_cli.client import Endpoint
    from trickle_cli.errors import BadAddress

    if "://" not in text and not text.startswith("unix:"):
        return False
    for channel, where in ((text, server), ("any", text)):
        with suppress(BadAddress):
            if Endpoint.parse(channel, where).server == server:
                return False
    return True


def hide_from_others(secrets: list[str]) -> None:
    """If any of `secrets` was given as an argument, which everybody on this machine
    can read, write something else there."""
    arguments = sys.argv[1:]
    shown = list(arguments)
    for secret in secrets:
        shown = [argument.replace(secret, _HIDDEN) for argument in shown]
    if shown != arguments:
        from setproctitle import setproctitle

        setproctitle(" ".join(["trickle", *shown]))
