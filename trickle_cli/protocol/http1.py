"""HTTP/1.1 as events: bytes in, heads, data and ends out. In both directions.

llhttp (by way of httptools) takes messages apart: it refuses bare LF, obs-fold,
NUL, conflicting lengths and malformed chunks. Left to us, and done here:

- sizes. llhttp has no limits, and httptools buffers a field until it is whole.
  We add up what the callbacks report, and what was fed while none came.
- meaning. Host must be there once (RFC 9112, 3.2), the only transfer coding is
  chunked and only HTTP/1.1 has it, and the version is 1.0 or 1.1.
- padding. Chunk extensions and trailers are ignored, so a peer could send them
  for ever without a byte of body; their excess over the body is limited, as in
  Go's net/http.
- upgrades. We never switch protocols. A bodyless request that offers one is
  served as if it had not; one with a body is refused, because llhttp would take
  that body for the start of another request.

`feed` takes any split of the input and returns the events that are complete: a
head (`Request` or `Response`); `bytes` of its body (small pieces are joined) and
`END`, unless a request has no body, or has it with it; and, as the last event of a
connection, `Malformed`. A second message in the same bytes follows in the same
list, so a reader must bound what it feeds.

Heads to be sent are formatted in `requests` and `responses`; the framing of
their bodies is at the end of this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, NoReturn, TypeVar

import httptools

from trickle_cli.protocol.events import (
    END,
    Buffer,
    Field,
    Malformed,
    Request,
    RequestEvent,
    Response,
    ResponseEvent,
    find_field,
    joined,
)
from trickle_cli.protocol.familiar import Familiar, Recognizer


class HeadLimits(NamedTuple):
    """Bounds of one head: its bytes, its fields, and the bytes of its target."""

    size: int = 16 * 1024
    fields: int = 100
    target: int = 4 * 1024


USUAL_LIMITS: Final = HeadLimits()
#: Framing bytes that may come in excess of the body they frame.
MAX_PADDING: Final = 16 * 1024
#: What a chunk may cost without being counted as padding: "1;x\r\n" and CRLF.
_CHUNK_ALLOWANCE: Final = 16
#: ": " and CRLF.
_FIELD_OVERHEAD: Final = 4


def _is_empty(fields: Sequence[Field]) -> bool:
    """Whether what `fields` announce is a body of no bytes."""
    length = find_field(fields, b"content-length")
    return length is not None and not length.strip(b"0 \t")


class _Refused(Exception):
    pass


_EventT = TypeVar("_EventT", RequestEvent, ResponseEvent)


class _Parser(Generic[_EventT]):
    """What both directions share: limits, bodies, and the end of the road.

    The methods named `on_*` are httptools' callbacks.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_dead",
        "_events",
        "_fields",
        "_head_fed",
        "_http",
        "_in_body",
        "_length",
        "_limits",
        "_malformed",
        "_marks",
        "_padding",
    )

    _http: httptools.HttpRequestParser | httptools.HttpResponseParser

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._events: list[_EventT] = []
        self._body: list[bytes] = []
        self._fields: list[Field] = []
        self._head_fed = 0  # bytes of a head that is not complete
        self._in_body = False
        self._chunked = False
        self._length = False
        self._padding = 0
        self._marks = 0  # counts ends of heads and of messages
        self._malformed: Malformed | None = None
        self._dead = False

    def feed(self, data: Buffer) -> list[_EventT]:
        """Take the next bytes; return the events that they complete."""
        if self._dead:
            return []
        marks = self._marks
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            self._note(error)
        if marks == self._marks:
            self._count_unmarked(len(data))
        events, self._events = self._events, []
        if self._body:
            events += self._take_body()
        if self._malformed is not None:
            events.append(self._malformed)
            self._dead = True
        return events

    def close(self) -> None:
        """Let go of llhttp, whose callbacks refer back to this object."""
        self._dead = True
        if hasattr(self, "_http"):
            del self._http

    def _go_on(self, data: Buffer, offset: int) -> None:
        """llhttp took the end of a head for the end of HTTP: feed what comes after,
        in a loop, as one feed can hold thousands of such heads."""
        rest = memoryview(data)
        while rest := rest[offset:]:
            offset = len(rest)
            try:
                self._http.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                offset = upgrade.args[0]
            except httptools.HttpParserError as error:
                self._note(error)

    def _note(self, error: httptools.HttpParserError) -> None:
        # Bytes after the end of the last message are nobody's: not an error.
        if not self._dead and self._malformed is None:
            self._malformed = Malformed(400, f"bad HTTP: {error}")

    def _count_unmarked(self, size: int) -> None:
        """Count fed bytes that completed no head and ended no message."""
        if self._malformed is not None:
            return
        if not self._in_body:
            self._head_fed += size
            if self._head_fed > self._limits.size:
                self._malformed = self._too_large()
            return
        framed = sum(map(len, self._body)) + _CHUNK_ALLOWANCE * len(self._body)
        self._padding = max(0, self._padding + size - framed)
        if self._padding > MAX_PADDING and self._chunked:
            self._malformed = Malformed(400, "too much padding between chunks")

    def _too_large(self) -> Malformed:
        return Malformed(431, f"a head may be {self._limits.size} bytes long")

    def _refuse(self, status: int, reason: str) -> NoReturn:
        """From within a callback: stop llhttp."""
        self._malformed = Malformed(status, reason)
        raise _Refused

    def _take_head(self, size: int) -> tuple[list[Field], int]:
        """The fields of a head that is complete and has `size` bytes besides, and
        how many of them are Host."""
        fields, self._fields = self._fields, []  # what comes now is a trailer
        self._chunked = self._length = False
        hosts = 0
        for name, value in fields:
            size += len(name) + len(value) + _FIELD_OVERHEAD
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                self._length = True
            elif name == b"transfer-encoding":
                self._chunked = True
                if value.strip().lower() != b"chunked":
                    self._refuse(400, "the only transfer coding here is chunked")
        if size > self._limits.size:
            self._refuse(*self._too_large())
        if len(fields) > self._limits.fields:
            self._refuse(431, f"a head may have {self._limits.fields} fields")
        self._marks += 1
        self._head_fed = self._padding = 0
        return fields, hosts

    def _take_body(self) -> list[bytes]:
        body, self._body = self._body, []
        return joined(body)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_body(self, data: bytes) -> None:
        self._body.append(data)


class RequestParser(_Parser[RequestEvent]):
    """The server's side: requests in. Parsers of the same `limits` may share what is
    `familiar`."""

    __slots__ = ("_is_between", "_keep_alive", "_recognizer", "_target")

    _http: httptools.HttpRequestParser

    def __init__(
        self, limits: HeadLimits = USUAL_LIMITS, familiar: Familiar | None = None
    ) -> None:
        super().__init__(limits)
        self._target = b""
        self._keep_alive = True
        # What was fed so far ends with the end of a message, and another may come.
        self._is_between = True
        limit = min(limits.size, limits.target)
        self._recognizer = Recognizer(limit, familiar or Familiar())

    def feed(self, data: Buffer) -> list[RequestEvent]:
        if self._dead or not self._is_between:
            return super().feed(data)
        recognizer = self._recognizer
        events, end = recognizer.take(data)
        if end:
            self._head_fed = 0  # of empty lines before that
        if end == len(data) or recognizer.has_ended:
            self._dead = recognizer.has_ended  # what follows is nobody's
            return events
        rest = data[end:]
        head = recognizer.hand_over()
        if not hasattr(self, "_http"):
            self._http = httptools.HttpRequestParser(self)
        if head:
            super().feed(head)  # the event of it is known
        elif end:
            self._head_fed = -len(rest)  # not counted, as what follows a message is not
        more = super().feed(rest)
        if more and isinstance(more[0], Request) and not head:
            self._get_to_know(rest, more[0])
        events += more
        return events

    def _get_to_know(self, data: Buffer, request: Request) -> None:
        """Know heads like that of `request`, with which `data` begins, from now on."""
        is_usual = request.keep_alive or not request.has_body
        if is_usual and self._malformed is None and request.field(b"upgrade") is None:
            self._recognizer.get_to_know(data, request)

    @property
    def in_head(self) -> bool:
        """Whether a head has begun (as far as its target, if it shares its bytes with
        the end of another message) and is not complete."""
        return self._head_fed > 0 or self._target != b""

    def on_message_begin(self) -> None:
        self._is_between = False

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > (limit := self._limits.target):
            self._refuse(414, f"a request target may be {limit} bytes long")

    def on_headers_complete(self) -> None:
        http = self._http
        target, self._target = self._target, b""
        fields, hosts = self._take_head(len(target))
        version = http.get_http_version()
        http10 = version == "1.0"
        if not (http10 or version == "1.1"):
            self._refuse(400, f"HTTP/{version} is not spoken here, 1.1 is")
        if http10 and self._chunked:
            self._refuse(400, "HTTP/1.0 has no transfer codings")
        if hosts != 1 and not (http10 and not hosts):
            self._refuse(400, "a request has one Host field")
        self._keep_alive = keep = not http10 and http.should_keep_alive()
        self._in_body = body = self._chunked or self._length
        if body and http.should_upgrade() and not _is_empty(fields):
            self._refuse(400, "an upgrade cannot have a body")
        method = http.get_method()
        self._events.append(Request(method, target, fields, http10, keep, body))

    def on_message_complete(self) -> None:
        if self._in_body:
            self._in_body = False
            self._marks += 1
            self._fields.clear()  # of trailers, which the next head must not inherit
            if self._body:
                self._events += self._take_body()
            self._events.append(END)
        if not self._keep_alive:
            self._dead = True
            raise _Refused  # what follows: llhttp would keep HTTP/1.0 alive
        # A trailer may say that it is over: then llhttp is to refuse what comes.
        self._is_between = self._http.should_keep_alive()


class ResponseParser(_Parser[ResponseEvent]):
    """The client's side: responses in. Informational (1xx) heads are swallowed."""

    __slots__ = ("_informational", "_until_close")

    _http: httptools.HttpResponseParser

    def __init__(self) -> None:
        super().__init__(USUAL_LIMITS)
        self._until_close = False
        self._informational = False
        self._http = httptools.HttpResponseParser(self)

    def feed_eof(self) -> list[ResponseEvent]:
        """Take note that the peer sends no more.

        Only a body that was to last until then ends here; any other that is not
        complete by now has been cut short, and gets no END.
        """
        ended = self._in_body and self._until_close and not self._dead
        self._dead = True
        return [END] if ended else []

    def on_headers_complete(self) -> None:
        http = self._http
        fields, _ = self._take_head(0)
        status = http.get_status_code()
        self._informational = 100 <= status < 200
        if self._informational:
            if status > 103 and (self._chunked or self._length):
                # llhttp would wait for it, as for the body of the final response.
                self._refuse(502, "an informational response cannot have a body")
            return
        if http.get_http_version() not in {"1.1", "1.0"}:
            self._refuse(502, "the server does not speak HTTP/1.1")
        bodyless = status in {204, 304}
        self._until_close = not (self._chunked or self._length or bodyless)
        self._in_body = not bodyless
        keep_alive = http.should_keep_alive() and not self._until_close
        self._events.append(Response(status, fields, keep_alive, self._until_close))

    def on_message_complete(self) -> None:
        self._marks += 1
        if self._informational:
            return
        self._in_body = False
        self._fields.clear()  # of trailers, which the next head must not inherit
        if self._body:
            self._events += self._take_body()
        self._events.append(END)


# Framing of bodies to be sent (RFC 9112, 7.1).

CRLF: Final = b"\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


def chunk_head(size: int) -> bytes:
    """The line before `size` bytes of a chunk; CRLF comes after them."""
    return b"%x\r\n" % size


def chunk(data: bytes) -> bytes:
    """`data` as one chunk. Not for empty data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
