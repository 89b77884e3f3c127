"""`trickle token`: make tokens, and see what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import hide_from_others
from trickle_cli.commands.options import parse_time
from trickle_cli.commands.running import ExitCode, run

if TYPE_CHECKING:
    from trickle_cli.access import Caller, Grant

EPILOG = """\b
Example, a token for a camera, and its entry in a file for serve --tokens:
  trickle token new camera --may publish,create --on 'cam-*' 2>> tokens.toml"""

HELP = "Make tokens, and see what they are worth."

NEW_EPILOG = EPILOG
SIGN_EPILOG = """\b
Example, with a secret that serve --token-key has, too:
  trickle token sign --key secret --may subscribe --on 'cam-*' --expires 1h"""
VERIFY_EPILOG = """\b
Example, of a token on standard input:
  trickle token verify --key secret < token"""

token = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

MayOption = Annotated[
    list[str] | None,
    typer.Option(
        "--may",
        metavar="RIGHT[,RIGHT…]",
        help="publish, subscribe, create, close, list. May be repeated.",
    ),
]
OnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--on",
        metavar="PATTERN",
        help="The channels: * stands for anything. May be repeated.",
    ),
]
ExpiresOption = Annotated[
    float | None,
    typer.Option(metavar="TIME", parser=parse_time, help="For how long: 1h, 30d."),
]


@token.command(epilog=NEW_EPILOG, short_help="Make a token for a file of tokens.")
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What to call whoever has it.")
    ] = "somebody",
    may: MayOption = None,
    on: OnOption = None,
    expires: ExpiresOption = None,
) -> None:
    """Make a token that nobody can guess, and print it on standard output.

    Its entry for the file that serve --tokens reads goes to standard error; of the
    token, that has only a digest. It does as a secret for serve --token-key, too.
    """
    run("token new", lambda: _new(name, may, on, expires))


async def _new(
    name: str, may: list[str] | None, on: list[str] | None, expires: float | None
) -> ExitCode:
    import json
    import sys
    import time
    from datetime import UTC, datetime

    from trickle_cli.access import digest_of, new_token

    grant = _grant(may or ["subscribe"], on or ["*"])
    made = new_token()
    lines = [
        "",
        f"[tokens.{json.dumps(name, ensure_ascii=False)}]",
        f'sha256 = "{digest_of(made.encode()).hex()}"',
        f"rights = {json.dumps(sorted(right.value for right in grant.rights))}",
        f"channels = {json.dumps(list(grant.channels), ensure_ascii=False)}",
    ]
    if expires is not None:
        when = datetime.fromtimestamp(time.time() + expires, UTC)
        lines.append(f"expires = {when.isoformat(timespec='seconds')}")
    typer.echo(made)
    sys.stdout.flush()
    typer.echo("\n".join(lines), err=True)
    return ExitCode.DONE


@token.command(epilog=SIGN_EPILOG, short_help="Make a token that a key vouches for.")
def sign(
    key: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="The key, or a secret of 32 characters or more."
        ),
    ],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="What to call whoever has it.")
    ] = "",
    may: MayOption = None,
    on: OnOption = None,
    expires: ExpiresOption = "1d",  # type: ignore[assignment] # typer parses defaults
) -> None:
    """Print a token (JWT) that carries its rights in itself, signed with a key.

    A server with --token-key accepts it until it expires; it need not be told of it.
    """
    run("token sign", lambda: _sign(key, name, may, on, expires))


async def _sign(
    key: str,
    name: str,
    may: list[str] | None,
    on: list[str] | None,
    expires: float | None,
) -> ExitCode:
    import time

    from trickle_cli.access import SigningKey

    now = time.time()
    until = now + expires if expires is not None else None
    grants = (_grant(may or ["subscribe"], on or ["*"]),)
    signing = SigningKey.load(key)
    typer.echo(signing.sign(grants, name=name, now=now, expires=until))
    return ExitCode.DONE


@token.command(epilog=VERIFY_EPILOG, short_help="See what a token is worth.")
def verify(
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TOKEN",
            envvar="TRICKLE_TOKEN",
            help="The token; if there is none, it is read from standard input.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="FILE", help="The key that has signed it.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option(metavar="FILE", help="The file of tokens it is in.")
    ] = None,
) -> None:
    """Print, as JSON, whose a token is and what it allows; exits with 5 if nothing."""
    if (key is None) == (tokens is None):
        raise typer.BadParameter("either --key or --tokens is wanted")
    if text is not None:
        hide_from_others([text])
    run("token verify", lambda: _verify(text, key, tokens))


async def _verify(text: str | None, key: str | None, tokens: str | None) -> ExitCode:
    import json
    import sys

    content = (text or sys.stdin.read()).strip().encode()
    caller = _caller(content, key, tokens)
    shown = {
        "name": caller.name,
        "expires": _time(caller.expires),
        "grants": [
            {
                "rights": sorted(right.value for right in grant.rights),
                "channels": list(grant.channels),
            }
            for grant in caller.grants
        ],
    }
    typer.echo(json.dumps(shown, ensure_ascii=False))
    return ExitCode.DONE


def _caller(content: bytes, key: str | None, tokens: str | None) -> Caller:
    import time

    from trickle_cli.access import BadToken, SigningKey, TokenFile, digest_of
    from trickle_cli.errors import NotAllowed

    if key is not None:
        try:
            return SigningKey.load(key).read(content, time.time())
        except BadToken as error:
            raise NotAllowed(f"the token is not worth anything: {error}") from error
    assert tokens is not None
    caller = TokenFile.load(tokens).find(digest_of(content))
    if caller is None:
        raise NotAllowed(f"the token is not in {tokens}")
    if caller.expires is not None and caller.expires <= time.time():
        raise NotAllowed("the token is not worth anything: it has expired")
    return caller


def _time(seconds: float | None) -> str | None:
    from datetime import UTC, datetime

    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _grant(may: list[str], on: list[str]) -> Grant:
    from trickle_cli.access import Grant, parse_right

    names = [name.strip() for text in may for name in text.split(",") if name.strip()]
    rights = frozenset(parse_right(name, "--may") for name in names)
    return Grant(rights=rights, channels=tuple(on))
