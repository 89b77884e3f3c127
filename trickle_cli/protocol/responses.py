"""What an answer says: its status and Trickle's fields, as one value.

A server encodes an `Answer`, a client decodes one. A whole answer is written by
`encode`; the head of a segment's body, which follows as it comes, by
`encode_head`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple

from trickle_cli.protocol import names
from trickle_cli.protocol.events import Field, Response
from trickle_cli.protocol.sequence import parse_seq


class Answer(NamedTuple):
    """An answer about a channel or a segment. None and "" mean "not said".

    `latest` is the channel's head; `epoch` names this life of its numbering;
    `closed` says that there is nothing more, and never comes with content; `size` and
    `complete` are the segment's; `timeout` tells what has taken too long; `range` is
    the value of Content-Range; `lossless` says that the channel is, `let_go` how many
    of its readers were let go, `readers` how many wait at its head; `fields` are any
    others. `body` is the short text of an
    answer that is not a segment.
    """

    status: int = 200
    seq: int | None = None
    latest: int | None = None
    closed: bool = False
    incomplete: bool = False
    epoch: str = ""
    type: str = ""
    allow: str = ""
    retry_after: int | None = None
    body: bytes = b""
    size: int | None = None
    complete: bool | None = None
    timeout: str = ""
    range: bytes = b""
    etag: bytes = b""
    cache: str = "no-store"
    lossless: bool = False
    let_go: int | None = None
    readers: int | None = None
    fields: tuple[Field, ...] = ()


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

#: These have no body, and tell no length of it.
_BODILESS: Final = frozenset({204, 304})
#: What publishers send is theirs: no browser is to take it for a page of the server's.
_NO_SNIFFING: Final = (
    b"X-Content-Type-Options: nosniff\r\nContent-Security-Policy: sandbox\r\n"
)
_TEXT: Final = "text/plain; charset=utf-8"
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus
} | {names.SEGMENT_MISSING: b"HTTP/1.1 470 No Such Segment\r\n"}


def problem(
    status: int, text: str, *, allow: str = "", retry_after: int | None = None
) -> Answer:
    """An answer that refuses, with one line for a person."""
    return Answer(
        status=status,
        type=_TEXT,
        allow=allow,
        retry_after=retry_after,
        body=text.encode("utf-8", "replace") + b"\n",
    )


def encode(answer: Answer, *, close: bool = False) -> bytes:
    """The whole answer, body and all. `close`: the connection ends with it."""
    head = encode_head(answer, length=len(answer.body), close=close)
    return head + answer.body


def encode_head(
    answer: Answer, *, length: int | None, close: bool = False, http10: bool = False
) -> bytes:
    """The head of an answer whose body of `length` bytes follows.

    With `length` None the body's end is not known yet: it is chunked, or, for a
    reader that speaks HTTP/1.0, it ends with the connection.
    """
    status, seq, latest, closed, incomplete, epoch, type_, *_ = answer
    head = _fixed_lines(
        status,
        type_,
        epoch,
        answer.cache,
        closed,
        incomplete,
        close or http10,
        answer.lossless,
    )
    numbers = (
        (names.SEQ, seq),
        (names.LATEST, latest),
        (names.SIZE, answer.size),
        (names.LET_GO, answer.let_go),
        (names.READERS, answer.readers),
    )
    lines = [
        b"%b: %d\r\n" % (name, number) for name, number in numbers if number is not None
    ]
    lines += [b"%b: %b\r\n" % field for field in _other_fields(answer)]
    if status in _BODILESS:
        return head + b"".join(lines) + b"\r\n"
    return head + b"".join(lines) + _framing(length, http10=http10)


def _other_fields(answer: Answer) -> list[Field]:
    """Those that few answers have."""
    fields: list[Field] = []
    if answer.complete is not None:
        fields.append((names.COMPLETE, b"true" if answer.complete else b"false"))
    if answer.timeout:
        fields.append((names.TIMEOUT, answer.timeout.encode("ascii")))
    if answer.allow:
        fields.append((b"Allow", answer.allow.encode("ascii")))
    if answer.retry_after is not None:
        fields.append((b"Retry-After", b"%d" % answer.retry_after))
    if answer.range:
        fields.append((b"Content-Range", answer.range))
    if answer.etag:
        fields.append((b"ETag", answer.etag))
    return [*fields, *answer.fields]


def encode_segment_head(
    about: tuple[str, str, bool],
    seq: int,
    latest: int,
    size: int,
    *,
    length: int | None,
    status: int = 200,
    incomplete: bool = False,
    close: bool = False,
    http10: bool = False,
    cache: str = "no-store",
    others: bytes = b"",
) -> bytes:
    """`encode_head` for the answer to a GET, which is most of what a server says.
    `about` is the channel's MIME type and epoch and whether it is lossless, `size` the
    segment's size by now, and `others` are lines of fields that few answers have."""
    type_, epoch, lossless = about
    closing = close or http10
    return (
        b"%bLp-Trickle-Seq: %d\r\nLp-Trickle-Latest: %d\r\nLp-Trickle-Size: %d\r\n%b%b"
    ) % (
        _fixed_lines(status, type_, epoch, cache, False, incomplete, closing, lossless),
        seq,
        latest,
        size,
        others,
        _framing(length, http10=http10),
    )


def encode_published(epoch: str, seq: int, size: int, *, close: bool = False) -> bytes:
    """`encode` for the answer to a POST that was taken whole, of a channel that is not
    lossless: those have more to say."""
    fixed = _fixed_lines(200, "", epoch, "no-store", False, False, close, False)
    return (
        b"%bLp-Trickle-Seq: %d\r\nLp-Trickle-Size: %d\r\nContent-Length: 0\r\n\r\n"
    ) % (fixed, seq, size)


def field_lines(fields: Sequence[Field]) -> bytes:
    """`fields` as lines of a head."""
    return b"".join(b"%b: %b\r\n" % field for field in fields)


def _framing(length: int | None, *, http10: bool) -> bytes:
    """The end of a head: what its body is delimited by."""
    if length is not None:
        return b"Content-Length: %d\r\n\r\n" % length
    return b"\r\n" if http10 else b"Transfer-Encoding: chunked\r\n\r\n"


@lru_cache(maxsize=1024)  # the same for all answers about a channel
def _fixed_lines(
    status: int,
    type_: str,
    epoch: str,
    cache: str,
    closed: bool,  # noqa: FBT001
    incomplete: bool,  # noqa: FBT001
    close: bool,  # noqa: FBT001
    lossless: bool,  # noqa: FBT001
) -> bytes:
    lines = [_STATUS_LINES[status], _NO_SNIFFING]
    lines.append(b"Cache-Control: %b\r\n" % cache.encode("ascii"))
    if type_:
        lines.append(b"Content-Type: %b\r\n" % type_.encode("latin-1"))
    if epoch:
        lines.append(b"Lp-Trickle-Epoch: %b\r\n" % epoch.encode("ascii"))
    if lossless:
        lines.append(b"Lp-Trickle-Delivery: lossless\r\n")
    if closed:
        lines.append(b"Lp-Trickle-Closed: terminated\r\n")
    if incomplete:
        lines.append(b"Lp-Trickle-Incomplete: true\r\n")
    if close:
        lines.append(b"Connection: close\r\n")
    return b"".join(lines)


def decode(response: Response) -> Answer:
    """What the head of `response` says. Fields that make no sense count as absent.

    Servers differ in what they send; what the contract needs of each status is
    for the caller to require.
    """
    found = dict(reversed(response.fields))
    return Answer(
        status=response.status,
        seq=_number(found.get(_SEQ)),
        latest=_number(found.get(_LATEST)),
        closed=_CLOSED in found,
        incomplete=_INCOMPLETE in found,
        epoch=found.get(_EPOCH, b"").decode("latin-1"),
        type=found.get(b"content-type", b"").decode("latin-1"),
        allow=found.get(b"allow", b"").decode("latin-1"),
        retry_after=_number(found.get(b"retry-after")),
        size=_number(found.get(_SIZE)),
        complete=_TRUTH.get(found.get(_COMPLETE, b"").strip().lower()),
        timeout=found.get(_TIMEOUT, b"").decode("latin-1").strip().lower(),
        range=found.get(b"content-range", b""),
        etag=found.get(b"etag", b""),
        lossless=found.get(_DELIVERY, b"").strip().lower() == names.LOSSLESS,
        let_go=_number(found.get(_LET_GO)),
        readers=_number(found.get(_READERS)),
    )


_SEQ: Final = names.SEQ.lower()
_LATEST: Final = names.LATEST.lower()
_CLOSED: Final = names.CLOSED.lower()
_INCOMPLETE: Final = names.INCOMPLETE.lower()
_EPOCH: Final = names.EPOCH.lower()
_SIZE: Final = names.SIZE.lower()
_COMPLETE: Final = names.COMPLETE.lower()
_TIMEOUT: Final = names.TIMEOUT.lower()
_DELIVERY: Final = names.DELIVERY.lower()
_LET_GO: Final = names.LET_GO.lower()
_READERS: Final = names.READERS.lower()
_TRUTH: Final = {b"true": True, b"false": False}


# For those who talk to a server by another HTTP library. `headers` is what such a
# library calls a response's header fields; the case of their names does not matter.


def seq_of(headers: Mapping[str, str]) -> int | None:
    """The seq of the segment that a response is about; None if it does not say."""
    return _number(_value(headers, names.SEQ))


def latest_of(headers: Mapping[str, str]) -> int | None:
    """The head of the channel by a response; None if it does not say. Some servers
    mean the newest segment by it, which is one less."""
    return _number(_value(headers, names.LATEST))


def is_end_of_channel(headers: Mapping[str, str]) -> bool:
    """Whether a response says that the channel has ended: there is nothing more."""
    return _value(headers, names.CLOSED) is not None


def _value(headers: Mapping[str, str], name: bytes) -> bytes | None:
    wanted = name.decode("ascii").lower()
    for key, value in headers.items():
        if key.lower() == wanted:
            return value.encode("latin-1", "replace")
    return None


def fields_of(pairs: Sequence[tuple[str, str]]) -> list[Field]:
    """Fields as another HTTP library gives them, in the form of ours."""
    return [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in pairs]


def _number(value: bytes | None) -> int | None:
    number = parse_seq(value.strip()) if value is not None else None
    return number if number is not None and number >= 0 else None
