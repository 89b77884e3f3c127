"""The options of `serve` that say who may do what, and who may listen in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.options import require_readable

if TYPE_CHECKING:
    import ssl

    from trickle_cli.access import Access

_ORIGIN: Final = re.compile(r"\*|null|https?://[^/\s]+")


@dataclass(frozen=True, kw_only=True)
class Securing:
    """Files with tokens, keys and certificates, which may be read again at any time."""

    tokens: str | None
    token_key: str | None
    cert: str | None
    key: str | None
    client_ca: str | None
    cors: tuple[str, ...]

    def load_access(self) -> Access | None:
        """Who may do what, by the files as they are; None: everybody everything.
        BadConfiguration, OSError."""
        if self.tokens is None and self.token_key is None:
            return None
        from trickle_cli.access import Access, SigningKey, TokenFile

        tokens = TokenFile.load(self.tokens) if self.tokens is not None else None
        key = SigningKey.load(self.token_key) if self.token_key is not None else None
        return Access(tokens, key)

    def load_tls(self) -> ssl.SSLContext | None:
        """The certificates as they are; None: no TLS. BadConfiguration, OSError."""
        if self.cert is None:
            return None
        from trickle_cli.server import server_context

        require_readable("--cert", self.cert)
        require_readable("--key", self.key)
        require_readable("--client-ca", self.client_ca)
        return server_context(self.cert, self.key, client_ca=self.client_ca)


def securing(
    tokens: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Who may do what: see the documentation."),
    ] = None,
    token_key: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Accept the tokens signed with this key."),
    ] = None,
    cert: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Encrypt, with this certificate."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Its key, if that is in another file."),
    ] = None,
    client_ca: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Let only those in whose certificate these signed."
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Let web pages from there read; '*': from anywhere. May be repeated.",
        ),
    ] = None,
) -> Securing:
    """The group of these options."""
    if cert is None and (key is not None or client_ca is not None):
        raise typer.BadParameter("--key and --client-ca are of no use without --cert")
    for origin in cors or []:
        if not _ORIGIN.fullmatch(origin):
            raise typer.BadParameter(
                f"--cors '{origin}' is not an origin: https://example.net, or *"
            )
    return Securing(
        tokens=tokens,
        token_key=token_key,
        cert=cert,
        key=key,
        client_ca=client_ca,
        cors=tuple(cors or ()),
    )
