"""What a request asks for: the operations of Trickle as values.

`operation` reads one from a request's head, `encode` writes one, so what a
client of ours sends and what a server of ours understands are the same table.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from trickle_cli.errors import BadAddress
from trickle_cli.protocol import names
from trickle_cli.protocol.events import Field, Request
from trickle_cli.protocol.ranges import ByteRange, parse_range
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.protocol.sequence import parse_seq


class Create(NamedTuple):
    """Make the channel, unless it is there: `POST /{channel}`. `lossless`: it is to
    keep what its readers have not taken."""

    channel: str
    type: str
    lossless: bool = False


class Publish(NamedTuple):
    """Send one segment: `POST /{channel}/{seq}`.

    `reset`: all segments before it that are open end. `expect`: what the publisher
    wants to hear before it sends the body, if anything. `foreign`: a web page of
    another place is behind it. `publisher` is the secret by which a publisher is known
    when it comes again, b"" for none; `offset` the byte of the segment that its body
    begins at. `lossless` is as in Create, if this makes the channel.
    """

    channel: str
    seq: int
    type: str
    reset: bool = False
    expect: str = ""
    foreign: bool = False
    publisher: bytes = b""
    offset: int = 0
    lossless: bool = False


class Subscribe(NamedTuple):
    """Receive one segment: `GET /{channel}/{seq}`.

    `range` the part of it that is wanted · `wait` the seconds in which the answer
    is to begin (RFC 7240) · `unless` the value of If-None-Match · `if_range` that of
    If-Range · `label` what the subscriber calls itself, b"" if it does not say.
    """

    channel: str
    seq: int
    range: ByteRange | None = None
    wait: int | None = None
    unless: bytes = b""
    if_range: bytes = b""
    label: bytes = b""


class Inspect(NamedTuple):
    """Ask about one segment: `HEAD /{channel}/{seq}`."""

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


class ShowChannel(NamedTuple):
    """Tell about one channel: `GET /{channel}`."""

    channel: str


class Page(enum.Enum):
    """See one of the server's own pages; the value is its path."""

    CHANNELS = ""
    HEALTH = "_/health"
    METRICS = "_/metrics"


class Preflight(NamedTuple):
    """Ask on behalf of a web page from elsewhere: `OPTIONS`. `allow` is what can be
    done with the path."""

    allow: str


Operation: TypeAlias = (
    Create
    | Publish
    | Subscribe
    | Inspect
    | AskNext
    | EndSegment
    | Close
    | ShowChannel
    | Page
    | Preflight
)

_RESET: Final = names.RESET.lower()
_PUBLISHER: Final = names.PUBLISHER.lower()
_OFFSET: Final = names.OFFSET.lower()
_PAGES: Final = {page.value.encode(): page for page in Page}
_PAGE_PARTS: Final = (b"", b"_")
#: Fields of a GET that say how it is to be answered.
_SUBSCRIBER: Final = names.SUBSCRIBER.lower()
_DELIVERY: Final = names.DELIVERY.lower()
_CONDITIONS: Final = frozenset(
    {b"prefer", b"range", b"if-none-match", b"if-range", _SUBSCRIBER}
)
_name_of: Final = itemgetter(0)


def operation(request: Request, base_path: bytes = b"/") -> Operation | Answer:
    """What `request` asks for, or the answer (400, 404, 405) that refuses it.

    `base_path` begins and ends with a slash; only paths below it are ours.
    """
    path = request.target
    if not path.startswith(base_path) or b"?" in path:
        path = _path(path)
        if path and path + b"/" == base_path:
            path = base_path
        if not path.startswith(base_path):
            return problem(404, "nothing here")
    channel_part, slash, rest = path[len(base_path) :].partition(b"/")
    if channel_part in _PAGE_PARTS and (
        page := _PAGES.get(channel_part + slash + rest)
    ):
        return _on_page(request, page)
    if not channel_part or b"/" in rest or (slash and not rest):
        return problem(404, "nothing here: the paths are /CHANNEL and /CHANNEL/SEQ")
    try:
        channel = names.unquote_channel(channel_part)
    except BadAddress as error:
        return problem(400, str(error))
    if not slash:
        return _on_channel(request, channel)
    return _on_segment(request, channel, rest)


def operation_like(
    request: Request, before: Publish | Subscribe, base_path: bytes = b"/"
) -> Publish | Subscribe | None:
    """What `request` asks for, if that is as it was `before`, when a request of the
    same method and fields was about a segment, but for its path: which ends with a
    number, or the parser would not have found it like another."""
    place, _, digits = request.target.rpartition(b"/")
    channel = _channel_at(place, base_path)
    if channel is None:
        return None
    if isinstance(before, Subscribe):
        return Subscribe(channel, int(digits), *before[2:])
    return Publish(channel, int(digits), *before[2:])


@lru_cache(maxsize=1024)
def _channel_at(path: bytes, base_path: bytes) -> str | None:
    """The channel whose segments have paths that begin with `path`, if any."""
    part = path[len(base_path) :]
    if not path.startswith(base_path) or b"/" in part or part in _PAGE_PARTS:
        return None
    try:
        return names.unquote_channel(part)
    except BadAddress:
        return None


def _path(target: bytes) -> bytes:
    """The path alone of a target, which may be absolute (RFC 9112, 3.2.2)."""
    path = target.partition(b"?")[0]
    if path.startswith(b"/"):
        return path
    _, is_absolute, rest = path.partition(b"://")
    return b"/" + rest.partition(b"/")[2] if is_absolute else b""


def _on_page(request: Request, page: Operation) -> Operation | Answer:
    if request.method in _GETTING:
        return page
    return _not_allowed(request, "GET, HEAD")


#: HEAD is answered as GET is, without the body; the connection sees to that.
_GETTING: Final = frozenset({b"GET", b"HEAD"})


def _on_channel(request: Request, channel: str) -> Operation | Answer:
    if request.method == b"POST":
        type_ = _type(request.field(b"expect-content"))
        return Create(channel, type_, _is_lossless(request.field(_DELIVERY)))
    if request.method == b"DELETE":
        return Close(channel)
    if request.method in _GETTING:
        return ShowChannel(channel)
    return _not_allowed(request, "DELETE, GET, HEAD, POST")


def _on_segment(request: Request, channel: str, part: bytes) -> Operation | Answer:
    method = request.method
    seq = parse_seq(part)
    if seq is None:
        if part != b"next":
            return problem(400, "a seq is a whole number, or the word 'next'")
        return _on_page(request, AskNext(channel))
    if method == b"GET":
        return _subscribe(request, channel, seq)
    if method == b"HEAD":
        return Inspect(channel, seq)
    if method not in {b"DELETE", b"POST"}:
        return _not_allowed(request, "DELETE, GET, HEAD, POST")
    if method == b"POST":
        if seq < -1:
            return problem(400, "a segment is published at its number, or at -1")
        return _publish(request, channel, seq)
    if seq < 0:
        return problem(400, "a segment is ended by its number, not from the end")
    return EndSegment(channel, seq)


def _subscribe(request: Request, channel: str, seq: int) -> Subscribe:
    if _CONDITIONS.isdisjoint(map(_name_of, request.fields)):
        return Subscribe(channel, seq)
    range_: ByteRange | None = None
    wait: int | None = None
    unless = if_range = label = b""
    for name, value in request.fields:
        if name == b"prefer":
            wait = _wait(value) if wait is None else wait
        elif name == b"range":
            range_ = parse_range(value)
        elif name == b"if-none-match":
            unless = value
        elif name == b"if-range":
            if_range = value
        elif name == _SUBSCRIBER:
            label = value.strip()
    return Subscribe(channel, seq, range_, wait, unless, if_range, label)


@lru_cache(maxsize=256)  # the same few
def _wait(value: bytes) -> int | None:
    """The seconds in a Prefer (RFC 7240), if they are among what is preferred."""
    for preference in value.split(b","):
        name, _, rest = preference.partition(b"=")
        if name.strip().lower() == b"wait":
            seconds = parse_seq(rest.partition(b";")[0].strip().strip(b'"'))
            return seconds if seconds is not None and seconds >= 0 else None
    return None


def _publish(request: Request, channel: str, seq: int) -> Publish | Answer:
    type_ = names.DEFAULT_TYPE
    reset = foreign = lossless = False
    expect = ""
    publisher = b""
    offset: int | None = 0
    for name, value in request.fields:
        if name == b"content-type":
            type_ = _type(value)
        elif name == b"expect":
            expect = value.strip().decode("latin-1").lower()
        elif name == _RESET:
            reset = True
        elif name == _PUBLISHER:
            publisher = value.strip()
        elif name == _OFFSET:
            offset = parse_seq(value.strip())
        elif name == _DELIVERY:
            lossless = _is_lossless(value)
        elif name == b"origin":
            foreign = has_foreign_origin(request)
    if offset is None or offset < 0:
        return problem(400, "an offset is the number of bytes before it")
    return Publish(
        channel, seq, type_, reset, expect, foreign, publisher, offset, lossless
    )


def _is_lossless(value: bytes | None) -> bool:
    return value is not None and value.strip().lower() == names.LOSSLESS


def _type(value: bytes | None) -> str:
    """A MIME type as the peer sent it, or the default where it sent none."""
    return (value or b"").strip().decode("latin-1") or names.DEFAULT_TYPE


def _not_allowed(request: Request, allow: str) -> Preflight | Answer:
    if request.method == b"OPTIONS":
        return Preflight(allow)
    return not_allowed(request, allow)


def not_allowed(request: Request, allow: str) -> Answer:
    """The answer to a method that is not for the path; `allow` are those that are."""
    method = request.method.decode("latin-1")
    return problem(405, f"{method} is not for this path", allow=allow)


def has_foreign_origin(request: Request) -> bool:
    """Whether a web page of another place is behind `request`: browsers say so."""
    origin = request.field(b"origin")
    if origin is None:
        return False
    scheme, _, authority = origin.strip().lower().partition(b"://")
    port = {b"http": b":80", b"https": b":443"}.get(scheme, b"")
    host = (request.field(b"host") or b"").strip().lower()
    return authority.removesuffix(port) != host.removesuffix(port)


def to_http(wanted: Operation) -> tuple[str, str, list[Field]]:
    """Method, path below the base path (no leading slash) and fields of `wanted`."""
    if isinstance(wanted, Page):
        return "GET", wanted.value, []
    if isinstance(wanted, Preflight):
        return "OPTIONS", "", []
    channel = names.quote_channel(wanted.channel)
    match wanted:
        case Create(type=type_, lossless=lossless):
            fields = [(names.EXPECT_CONTENT, type_.encode("latin-1"))]
            if lossless:
                fields.append((names.DELIVERY, names.LOSSLESS))
            return "POST", channel, fields
        case Publish(seq=seq):
            return "POST", f"{channel}/{seq}", _publish_fields(wanted)
        case Subscribe(seq=seq):
            return "GET", f"{channel}/{seq}", _subscribe_fields(wanted)
        case Inspect(seq=seq):
            return "HEAD", f"{channel}/{seq}", []
        case ShowChannel():
            return "GET", channel, []
        case AskNext():
            return "GET", f"{channel}/next", []
        case EndSegment(seq=seq):
            return "DELETE", f"{channel}/{seq}", []
        case Close():
            return "DELETE", channel, []


def _publish_fields(wanted: Publish) -> list[Field]:
    fields: list[Field] = [(b"Content-Type", wanted.type.encode("latin-1"))]
    if wanted.reset:
        fields.append((names.RESET, b"1"))
    if wanted.publisher:
        fields.append((names.PUBLISHER, wanted.publisher))
    if wanted.publisher or wanted.offset:
        fields.append((names.OFFSET, b"%d" % wanted.offset))
    if wanted.lossless:
        fields.append((names.DELIVERY, names.LOSSLESS))
    return fields


def _subscribe_fields(wanted: Subscribe) -> list[Field]:
    fields: list[Field] = []
    if wanted.range is not None:
        fields.append((b"Range", wanted.range.encode()))
    if wanted.wait is not None:
        fields.append((b"Prefer", b"wait=%d" % wanted.wait))
    if wanted.unless:
        fields.append((b"If-None-Match", wanted.unless))
    if wanted.if_range:
        fields.append((b"If-Range", wanted.if_range))
    if wanted.label:
        fields.append((names.SUBSCRIBER, wanted.label))
    return fields


def encode(
    wanted: Operation,
    *,
    host: str,
    base_path: str = "/",
    fields: Sequence[Field] = (),
) -> bytes:
    """The head of the request for `wanted`, with these `fields` of the caller's added.
    A Publish announces a chunked body."""
    method, path, own_fields = to_http(wanted)
    fields = [*own_fields, *fields]
    if isinstance(wanted, Publish):
        fields.append((b"Transfer-Encoding", b"chunked"))
    lines = [b"%s %s%s HTTP/1.1" % (method.encode(), base_path.encode(), path.encode())]
    lines.append(b"Host: " + host.encode("ascii"))
    lines += [b"%s: %s" % field for field in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def encode_around(
    wanted: Publish | Subscribe,
    *,
    host: str,
    base_path: str = "/",
    fields: Sequence[Field] = (),
) -> tuple[bytes, bytes]:
    """`encode` for many that differ in their seqs: what stands before that of segment
    0, and what after. There is no blank in a path but the one at its end."""
    head = encode(wanted, host=host, base_path=base_path, fields=fields)
    path, after, rest = head.partition(b"0 HTTP/1.1\r\n")
    return path, after[1:] + rest
