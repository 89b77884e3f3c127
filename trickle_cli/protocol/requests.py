"""What a request asks for: the six operations of Trickle as values.

`operation` reads one from a request's head, `encode` writes one, so what a
client of ours sends and what a server of ours understands are the same table.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from trickle_cli.errors import BadAddress
from trickle_cli.protocol import names
from trickle_cli.protocol.http1 import Field, Request
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.protocol.sequence import parse_seq


class Create(NamedTuple):
    """Make the channel, unless it is there: `POST /{channel}`."""

    channel: str
    type: str


class Publish(NamedTuple):
    """Send one segment: `POST /{channel}/{seq}`.

    `reset`: all segments before it that are open end. `expect`: what the publisher
    wants to hear before it sends the body, if anything.
    """

    channel: str
    seq: int
    type: str
    reset: bool = False
    expect: str = ""


class Subscribe(NamedTuple):
    """Receive one segment: `GET /{channel}/{seq}`."""

    channel: str
    seq: int


class AskNext(NamedTuple):
    """Ask for the head: `GET /{channel}/next`."""

    channel: str


class EndSegment(NamedTuple):
    """End a segment that will not be written further: `DELETE /{channel}/{seq}`."""

    channel: str
    seq: int


class Close(NamedTuple):
    """End the channel: `DELETE /{channel}`."""

    channel: str


Operation: TypeAlias = Create | Publish | Subscribe | AskNext | EndSegment | Close

_RESET: Final = names.RESET.lower()


def operation(request: Request, base_path: bytes = b"/") -> Operation | Answer:
    """What `request` asks for, or the answer (400, 404, 405) that refuses it.

    `base_path` begins and ends with a slash; only paths below it are ours.
    """
    path = request.target
    if not path.startswith(base_path) or b"?" in path:
        path = _path(path)
        if not path.startswith(base_path):
            return problem(404, "nothing here")
    channel_part, slash, rest = path[len(base_path) :].partition(b"/")
    if not channel_part or b"/" in rest or (slash and not rest):
        return problem(404, "nothing here: the paths are /CHANNEL and /CHANNEL/SEQ")
    try:
        channel = names.unquote_channel(channel_part)
    except BadAddress as error:
        return problem(400, str(error))
    if not slash:
        return _on_channel(request, channel)
    return _on_segment(request, channel, rest)


def _path(target: bytes) -> bytes:
    """The path alone of a target, which may be absolute (RFC 9112, 3.2.2)."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        _, _, rest = path.partition(b"://")
        _, slash, path = rest.partition(b"/")
        path = slash + path
    return path


def _on_channel(request: Request, channel: str) -> Operation | Answer:
    if request.method == b"POST":
        return Create(channel, _type(request.field(b"expect-content")))
    if request.method == b"DELETE":
        return Close(channel)
    return _not_allowed(request, "DELETE, POST")


def _on_segment(request: Request, channel: str, part: bytes) -> Operation | Answer:
    method = request.method
    seq = parse_seq(part)
    if seq is None:
        if part != b"next":
            return problem(400, "a seq is a whole number, or the word 'next'")
        return AskNext(channel) if method == b"GET" else _not_allowed(request, "GET")
    if method == b"GET":
        return Subscribe(channel, seq)
    if method not in {b"DELETE", b"POST"}:
        return _not_allowed(request, "DELETE, GET, POST")
    if method == b"POST":
        if seq < -1:
            return problem(400, "a segment is published at its number, or at -1")
        return _publish(request, channel, seq)
    if seq < 0:
        return problem(400, "a segment is ended by its number, not from the end")
    return EndSegment(channel, seq)


def _publish(request: Request, channel: str, seq: int) -> Publish:
    type_ = names.DEFAULT_TYPE
    reset = False
    expect = ""
    for name, value in request.fields:
        if name == b"content-type":
            type_ = _type(value)
        elif name == b"expect":
            expect = value.strip().decode("latin-1").lower()
        elif name == _RESET:
            reset = True
    return Publish(channel, seq, type_, reset, expect)


def _type(value: bytes | None) -> str:
    """A MIME type as the peer sent it, or the default where it sent none."""
    return (value or b"").strip().decode("latin-1") or names.DEFAULT_TYPE


def _not_allowed(request: Request, allow: str) -> Answer:
    method = request.method.decode("latin-1")
    return problem(405, f"{method} is not for this path", allow=allow)


def to_http(wanted: Operation) -> tuple[str, str, list[Field]]:
    """Method, path below the base path (no leading slash) and fields of `wanted`."""
    channel = names.quote_channel(wanted.channel)
    match wanted:
        case Create(type=type_):
            fields = [(names.EXPECT_CONTENT, type_.encode("latin-1"))]
            return "POST", channel, fields
        case Publish(seq=seq, type=type_, reset=reset):
            fields = [(b"Content-Type", type_.encode("latin-1"))]
            if reset:
                fields.append((names.RESET, b"1"))
            return "POST", f"{channel}/{seq}", fields
        case Subscribe(seq=seq):
            return "GET", f"{channel}/{seq}", []
        case AskNext():
            return "GET", f"{channel}/next", []
        case EndSegment(seq=seq):
            return "DELETE", f"{channel}/{seq}", []
        case Close():
            return "DELETE", channel, []


def encode(wanted: Operation, *, host: str, base_path: str = "/") -> bytes:
    """The head of the request for `wanted`. A Publish announces a chunked body."""
    method, path, fields = to_http(wanted)
    if isinstance(wanted, Publish):
        fields.append((b"Transfer-Encoding", b"chunked"))
    lines = [b"%s %s%s HTTP/1.1" % (method.encode(), base_path.encode(), path.encode())]
    lines.append(b"Host: " + host.encode("ascii"))
    lines += [b"%s: %s" % field for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"
