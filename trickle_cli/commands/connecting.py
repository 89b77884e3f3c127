"""The options of clients: where their server is, and how they come to it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.options import parse_duration, parse_server
from trickle_cli.protocol.names import DEFAULT_SERVER

if TYPE_CHECKING:
    from trickle_cli.client import ClientConfig, Endpoint

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
    return Connecting(
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
