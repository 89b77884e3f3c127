"""Options that several commands take, and how their values are written."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.errors import BadAddress
from trickle_cli.protocol.sequence import CURRENT, NEXT, OLDEST, parse_seq

if TYPE_CHECKING:
    from trickle_cli.server.config import Network

_SIZE: Final = re.compile(r"(?ai)(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?b?)|b)?")
_TIME: Final = re.compile(r"(?ai)(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_NOTHING: Final = frozenset({"0", "0s"})
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_HEX: Final = re.compile(r"(?:0x|hex:)([0-9a-fA-F]*)")
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0ntr\\]|)")
_ESCAPES: Final = {b"0": b"\0", b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\"}


def parse_size(text: str) -> int:
    """Bytes: `65536`, `64k`, `64KiB` (the same: units are powers of 1024)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"'{text}' is not a size: 65536, 64KiB, 1.5MiB")
    number, unit, _ = match.groups()
    size = float(number) * 1024 ** (" kmgt".index(unit.lower()) if unit else 0)
    if not 1 <= size < math.inf:
        raise typer.BadParameter("a size must be at least one byte, and finite")
    return int(size)


def parse_delimiter(text: str) -> bytes:
    """Bytes: as they are, with the escapes of C, or all in hex."""
    wrong = f"'{text}' are no bytes: '\\n\\n', '\\0', '\\x1e', 0x0d0a, hex:0d0a"
    in_hex = text.startswith(("0x", "hex:"))
    match = _HEX.fullmatch(text)
    if in_hex and (match is None or len(match[1]) % 2):
        raise typer.BadParameter(wrong)
    if match is not None:
        found = bytes.fromhex(match[1])
    else:
        given = text.encode(errors="surrogateescape")
        if b"" in _ESCAPE.findall(given):
            raise typer.BadParameter(wrong)
        found = _ESCAPE.sub(_unescape, given)
    if not found:
        raise typer.BadParameter("a delimiter has at least one byte")
    return found


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return _ESCAPES.get(code) or bytes.fromhex(code[1:].decode())


def parse_duration(text: str) -> float:
    """As `parse_time`, but it may be nothing."""
    return 0.0 if text.strip() in _NOTHING else parse_time(text)


def parse_time(text: str) -> float:
    """Seconds: `2`, `2s`, `500ms`, `5m`, `1h`."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"'{text}' is not a time: 500ms, 2s, 5m, 1h")
    seconds = float(match[1]) * _SECONDS[(match[2] or "s").lower()]
    if not 0 < seconds < math.inf:
        raise typer.BadParameter("a time must be longer than nothing, and finite")
    return seconds


def parse_type(text: str) -> str:
    """A MIME type that can be sent."""
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise typer.BadParameter(f"'{text}' is not a MIME type: video/mp2t")
    return text.strip()


def parse_server(text: str) -> str:
    """The URL of a server."""
    from trickle_cli.client.endpoint import Endpoint

    try:
        return Endpoint.parse("any", text).server
    except BadAddress as error:
        raise typer.BadParameter(str(error)) from None


def parse_network(text: str) -> Network:
    """A network, or a single address."""
    from ipaddress import ip_network

    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise typer.BadParameter(
            f"'{text}' is not a network: 10.0.0.0/8, 192.0.2.1, fd00::/8"
        ) from None


def parse_mode(text: str) -> int:
    """The permissions of a file, in octal digits."""
    if not re.fullmatch(r"0?[0-7]{3}", text):
        raise typer.BadParameter(f"'{text}' are no permissions: 600, 660, 666")
    return int(text, 8)


def parse_base_path(text: str) -> str:
    """A path that clients can write in the URL of a server."""
    from trickle_cli.client.endpoint import Endpoint

    if not text.startswith("/"):
        raise typer.BadParameter(f"'{text}' does not begin with '/': /{text or 'live'}")
    try:
        Endpoint.parse("any", f"http://any{text}")
    except BadAddress:
        raise typer.BadParameter(
            f"'{text}' cannot be the path of a server: /live, /a/b, or percent-encoded"
        ) from None
    return text


_STARTS: Final = {"latest": CURRENT, "next": NEXT, "oldest": OLDEST}


def parse_start(text: str) -> int:
    """A seq, absolute or relative, or a word for one."""
    seq = _STARTS.get(text, parse_seq(text.encode(errors="replace")))
    if seq is None:
        raise typer.BadParameter(
            f"'{text}' is not a start: latest, next, oldest, a number N, or -N"
        )
    return seq


def parse_segment(text: str) -> int:
    """As `parse_start`, for one segment."""
    try:
        return parse_start(text)
    except typer.BadParameter:
        raise typer.BadParameter(
            f"'{text}' is not a segment: latest, oldest, a number N, or -N"
        ) from None


def require_readable(option: str, path: str | None) -> None:
    """OSError that says which option named a file that cannot be read: those who read
    certificates do not know."""
    if path is None:
        return
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        error.filename = f"{option} {path}"
        raise


ChannelArgument = Annotated[
    str,
    typer.Argument(
        envvar="TRICKLE_CHANNEL",
        metavar="CHANNEL",
        help="The channel: a name, or a URL.",
        show_default=False,
    ),
]

StartOption = Annotated[
    int,
    typer.Option(
        "--from",
        metavar="latest|next|oldest|N|-N",
        parser=parse_start,
        help="The first segment: the newest from its beginning, the one after it,"
        " the oldest there is, number N, or one back from the newest, which is -2.",
    ),
]
CountOption = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="End after so many segments.")
]
ForOption = Annotated[
    float | None,
    typer.Option(
        "--for", metavar="TIME", parser=parse_time, help="End after so long: 10s."
    ),
]


def context_names() -> list[str]:
    """What contexts there are, to complete a line."""
    from trickle_cli.commands import contexts

    return contexts.names()
