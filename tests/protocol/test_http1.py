"""What the parser of requests makes of bytes, good and bad, however they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from tests.protocol.feeding import (
    BAD,
    Event,
    Split,
    bytewise,
    every_way,
    feed,
    joined,
    length,
    request,
    requests_in,
    response,
)
from trickle_cli.protocol.events import END, LARGE_PIECE, Malformed, Request
from trickle_cli.protocol.http1 import (
    CRLF,
    LAST_CHUNK,
    RequestParser,
    chunk,
    chunk_head,
)

GET: Final = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
GET_EVENT: Final = request(b"GET", b"/a")
CHUNKED: Final = (b"transfer-encoding", b"chunked")
POST_CHUNKED: Final = (
    b"POST /a/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
)
POST_EVENT: Final = request(b"POST", b"/a/0", CHUNKED, has_body=True)
OFFER: Final = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
OFFER_FIELDS: Final = ((b"connection", b"Upgrade"), (b"upgrade", b"h2c"))

REQUESTS: Final[dict[str, tuple[bytes, list[Event]]]] = {
    "a GET": (GET, [GET_EVENT]),
    "names of fields in lower case, values as they are, and their order": (
        b"GET /a HTTP/1.1\r\n"
        b"HOST: a\r\nX-One: B, c\r\nx-one:d\r\nlp-Trickle-RESET:\t1\r\n\r\n",
        [
            request(
                b"GET",
                b"/a",
                (b"x-one", b"B, c"),
                (b"x-one", b"d"),
                (b"lp-trickle-reset", b"1"),
            )
        ],
    ),
    "fields without a value": (
        b"GET /a HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\nZ: z\r\nLast:\r\n\r\n",
        [
            request(
                b"GET", b"/a", (b"x", b""), (b"y", b""), (b"z", b"z"), (b"last", b"")
            )
        ],
    ),
    "a Host without a value": (
        b"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
        [Request(b"GET", b"/a", [(b"host", b"")], False, True, False)],
    ),
    "bytes above ASCII in a value": (
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n",
        [request(b"GET", b"/a", (b"x", b"\xe9\xff"))],
    ),
    "an absolute target, with a query": (
        b"GET http://h:1/a/0?b=c&d HTTP/1.1\r\nHost: a\r\n\r\n",
        [request(b"GET", b"http://h:1/a/0?b=c&d")],
    ),
    "empty lines before a request": (b"\r\n\r\n" + GET, [GET_EVENT]),
    "a body of known length": (
        b"POST /a/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        [request(b"POST", b"/a/0", length(5), has_body=True), b"hello", END],
    ),
    "a body of length 0, which has an end": (
        b"POST /a/0 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        [request(b"POST", b"/a/0", length(0), has_body=True), END],
    ),
    "a POST without framing, which has no body": (
        b"POST /a HTTP/1.1\r\nHost: a\r\n\r\n",
        [request(b"POST", b"/a")],
    ),
    "a GET with a body": (
        b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        [request(b"GET", b"/a", length(3), has_body=True), b"abc", END],
    ),
    "chunks": (
        POST_CHUNKED + b"3\r\nabc\r\n00A\r\n0123456789\r\n1\r\n\0\r\n0\r\n\r\n",
        [POST_EVENT, b"abc0123456789\0", END],
    ),
    "an empty chunked body": (POST_CHUNKED + b"0\r\n\r\n", [POST_EVENT, END]),
    "a chunk that looks like the end": (
        POST_CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        [POST_EVENT, b"0\r\n\r\n", END],
    ),
    "chunk extensions": (
        POST_CHUNKED + b'3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n',
        [POST_EVENT, b"abc", END],
    ),
    "the coding in capitals": (
        b"POST /a/0 HTTP/1.1\r\nHost: a\r\nTRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n",
        [
            request(
                b"POST", b"/a/0", (b"transfer-encoding", b"Chunked"), has_body=True
            ),
            END,
        ],
    ),
    "trailers, which are dropped": (
        POST_CHUNKED + b"3\r\nabc\r\n0\r\nLp-Trickle-Reset: 1\r\nX: y\r\n\r\n",
        [POST_EVENT, b"abc", END],
    ),
    "a body between requests": (
        GET + POST_CHUNKED + b"1\r\nx\r\n0\r\n\r\n" + GET,
        [GET_EVENT, POST_EVENT, b"x", END, GET_EVENT],
    ),
    "two bodies, which are not joined": (
        2 * (POST_CHUNKED + b"1\r\nx\r\n0\r\n\r\n"),
        [POST_EVENT, b"x", END, POST_EVENT, b"x", END],
    ),
    "many pipelined requests": (GET * 50, [GET_EVENT] * 50),
    "an offer to upgrade": (
        b"GET /a HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n" + GET,
        [request(b"GET", b"/a", *OFFER_FIELDS), GET_EVENT],
    ),
    "an offer to upgrade with an empty body": (
        b"POST /a/0 HTTP/1.1\r\nHost: a\r\n"
        + OFFER
        + b"Content-Length: 0\r\n\r\n"
        + GET,
        [
            request(b"POST", b"/a/0", *OFFER_FIELDS, length(0), has_body=True),
            END,
            GET_EVENT,
        ],
    ),
    "an offer to upgrade before a body": (
        b"GET /a HTTP/1.1\r\nHost: a\r\n"
        + OFFER
        + b"\r\n"
        + POST_CHUNKED
        + b"1\r\nx\r\n0\r\n\r\n",
        [request(b"GET", b"/a", *OFFER_FIELDS), POST_EVENT, b"x", END],
    ),
    "an offer to upgrade without its Connection field": (
        b"POST /a/0 HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\nx",
        [
            request(b"POST", b"/a/0", (b"upgrade", b"x"), length(1), has_body=True),
            b"x",
            END,
        ],
    ),
    "CONNECT": (
        b"CONNECT b:1 HTTP/1.1\r\nHost: a\r\n\r\n" + GET,
        [request(b"CONNECT", b"b:1"), GET_EVENT],
    ),
    "an upgrade in the trailers, which means nothing": (
        POST_CHUNKED + b"0\r\n" + OFFER + b"\r\n" + GET,
        [POST_EVENT, END, GET_EVENT],
    ),
    "nothing": (b"", []),
}


@every_way
@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_gives_the_same_events_however_it_is_fed(
    case: str, split: Split
) -> None:
    data, events = REQUESTS[case]
    assert requests_in(*split(data, b"GET /next HTT")) == events


@every_way
@pytest.mark.parametrize(
    ("data", "events"),
    [
        pytest.param(
            b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            [request(b"GET", b"/a", (b"connection", b"close"), keep_alive=False)],
            id="Connection: close",
        ),
        pytest.param(
            b"POST /a/0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Length: 1\r\n\r\nx",
            [
                request(
                    b"POST",
                    b"/a/0",
                    (b"connection", b"close"),
                    length(1),
                    keep_alive=False,
                    has_body=True,
                ),
                b"x",
                END,
            ],
            id="Connection: close with a body",
        ),
        pytest.param(
            b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n"
            b"Upgrade: x\r\n\r\n",
            [
                request(
                    b"GET",
                    b"/a",
                    (b"connection", b"upgrade, close"),
                    (b"upgrade", b"x"),
                    keep_alive=False,
                )
            ],
            id="Connection: close with an offer to upgrade",
        ),
        pytest.param(
            b"GET /a HTTP/1.0\r\n\r\n",
            [Request(b"GET", b"/a", [], True, False, False)],
            id="HTTP/1.0",
        ),
        pytest.param(
            b"GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
            [
                request(
                    b"GET",
                    b"/a",
                    (b"connection", b"keep-alive"),
                    http10=True,
                    keep_alive=False,
                )
            ],
            id="HTTP/1.0 that asks to be kept alive",
        ),
        pytest.param(
            b"POST /a/0 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n"
            b"Content-Length: 1\r\n\r\nx",
            [
                request(
                    b"POST",
                    b"/a/0",
                    (b"connection", b"keep-alive"),
                    length(1),
                    http10=True,
                    keep_alive=False,
                    has_body=True,
                ),
                b"x",
                END,
            ],
            id="HTTP/1.0 with a body that asks to be kept alive",
        ),
    ],
)
@pytest.mark.parametrize("more", [GET, b"\0\xff", b"GET /" + b"x" * 5000, b"x" * 40000])
def test_what_follows_the_last_request_of_a_connection_is_ignored(
    data: bytes, events: list[Event], split: Split, more: bytes
) -> None:
    parser = RequestParser()
    assert feed(parser, split(data, more)) == events
    assert parser.feed(GET) == []


def get(fields: bytes, *, version: bytes = b"1.1") -> bytes:
    return b"GET /a HTTP/%b\r\n%b\r\n" % (version, fields)


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /a/0 HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (fields, body)


ONE_HOST: Final = Malformed(400, "a request has one Host field")
ONE_CODING: Final = Malformed(400, "the only transfer coding here is chunked")
NO_BODY: Final = Malformed(400, "an upgrade cannot have a body")

REFUSED: Final[dict[str, tuple[bytes, Malformed]]] = {
    "no Host": (get(b""), ONE_HOST),
    "no Host, but fields like it": (get(b"X-Host: a\r\nHosts: b\r\n"), ONE_HOST),
    "a second Host": (get(b"Host: a\r\nHost: b\r\n"), ONE_HOST),
    "a second Host that is equal": (get(b"Host: a\r\nX: y\r\nhOST: a\r\n"), ONE_HOST),
    "a second Host on 1.0": (get(b"Host: a\r\nHost: a\r\n", version=b"1.0"), ONE_HOST),
    "a second length": (post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"x"), BAD),
    "a second length that is equal": (
        post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"x"),
        BAD,
    ),
    "a list of lengths": (post(b"Content-Length: 1, 1\r\n", b"x"), BAD),
    "a signed length": (post(b"Content-Length: +1\r\n", b"x"), BAD),
    "a negative length": (post(b"Content-Length: -1\r\n", b"x"), BAD),
    "a hexadecimal length": (post(b"Content-Length: 0x1\r\n", b"x"), BAD),
    "an empty length": (post(b"Content-Length:\r\n", b"x"), BAD),
    "a length of 30 digits": (post(b"Content-Length: %d\r\n" % 10**29, b"x"), BAD),
    "a length, then a coding": (
        post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        BAD,
    ),
    "a coding, then a length": (
        post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
        BAD,
    ),
    "another coding": (post(b"Transfer-Encoding: gzip\r\n"), ONE_CODING),
    "no coding": (post(b"Transfer-Encoding: identity\r\n"), ONE_CODING),
    "an empty coding": (post(b"Transfer-Encoding:\r\n"), BAD),
    "two codings": (post(b"Transfer-Encoding: gzip, chunked\r\n"), ONE_CODING),
    "two codings in two fields": (
        post(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
        ONE_CODING,
    ),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked\r\n"), BAD),
    "chunked twice in two fields": (
        post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        BAD,
    ),
    "chunked, then another": (post(b"Transfer-Encoding: chunked, gzip\r\n"), BAD),
    "chunked with a parameter": (
        post(b"Transfer-Encoding: chunked;q=1\r\n"),
        ONE_CODING,
    ),
    "almost chunked": (post(b"Transfer-Encoding: xchunked\r\n"), ONE_CODING),
    "chunked behind a vertical tab": (post(b"Transfer-Encoding: \vchunked\r\n"), BAD),
    "a coding on 1.0": (
        b"POST /a/0 HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Malformed(400, "HTTP/1.0 has no transfer codings"),
    ),
    "bare LF after the request line": (b"GET /a HTTP/1.1\nHost: a\r\n\r\n", BAD),
    "bare LF after a field": (b"GET /a HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", BAD),
    "bare LF after the last field": (b"GET /a HTTP/1.1\r\nHost: a\n\r\n", BAD),
    "bare LF at the end of the head": (b"GET /a HTTP/1.1\r\nHost: a\r\n\n", BAD),
    "bare LF everywhere": (b"GET /a HTTP/1.1\nHost: a\n\n", BAD),
    "bare CR after a field": (b"GET /a HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", BAD),
    "CR CR LF": (b"GET /a HTTP/1.1\r\nHost: a\r\r\n\r\n", BAD),
    "obs-fold": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", BAD),
    "obs-fold by a tab": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", BAD),
    "obs-fold of an empty value": (
        b"GET /a HTTP/1.1\r\nHost: a\r\nX:\r\n z\r\n\r\n",
        BAD,
    ),
    "a blank before the first field": (b"GET /a HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    "a blank before the colon": (b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n", BAD),
    "a field without a name": (b"GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", BAD),
    "a field without a colon": (b"GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", BAD),
    "NUL in a value": (b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", BAD),
    "NUL in a name": (b"GET /a HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n", BAD),
    "NUL in the target": (b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "NUL in the method": (b"G\0ET /a HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "NUL first": (b"\0" + GET, BAD),
    "a control character in a value": (
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\x01z\r\n\r\n",
        BAD,
    ),
    "a target that is not ASCII": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "a blank in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "version 0.9": (
        get(b"Host: a\r\n", version=b"0.9"),
        Malformed(400, "HTTP/0.9 is not spoken here, 1.1 is"),
    ),
    "version 0.9 without saying so": (
        b"GET /a\r\n\r\n",
        Malformed(400, "HTTP/0.9 is not spoken here, 1.1 is"),
    ),
    "version 1.2": (get(b"Host: a\r\n", version=b"1.2"), BAD),
    "version 2.0": (
        get(b"Host: a\r\n", version=b"2.0"),
        Malformed(400, "HTTP/2.0 is not spoken here, 1.1 is"),
    ),
    "version 2": (get(b"Host: a\r\n", version=b"2"), BAD),
    "version 1.10": (get(b"Host: a\r\n", version=b"1.10"), BAD),
    "version 01.1": (get(b"Host: a\r\n", version=b"01.1"), BAD),
    "a version in lower case": (b"GET /a http/1.1\r\nHost: a\r\n\r\n", BAD),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    "the start of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD),
    "an unknown method": (b"FETCH /a HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "a method in lower case": (b"get /a HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
    "an upgrade with a body of known length": (
        post(OFFER + b"Content-Length: 29\r\n", b"DELETE /a HTTP/1.1\r\nHost: a\r\n"),
        NO_BODY,
    ),
    "an upgrade with a request for a body": (
        post(OFFER + b"Content-Length: %d\r\n" % len(GET), GET),
        NO_BODY,
    ),
    "an upgrade with chunks": (
        post(OFFER + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        NO_BODY,
    ),
    "CONNECT with a body": (
        b"CONNECT b:1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(GET)
        + GET,
        NO_BODY,
    ),
}


@every_way
@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_head_is_refused_however_it_is_fed(case: str, split: Split) -> None:
    data, refusal = REFUSED[case]
    assert requests_in(*split(data, GET)) == [refusal]


@every_way
@pytest.mark.parametrize("case", REFUSED)
def test_a_malformed_head_is_refused_after_a_good_request(
    case: str, split: Split
) -> None:
    data, refusal = REFUSED[case]
    assert requests_in(*split(GET + data, GET)) == [GET_EVENT, refusal]


@every_way
@pytest.mark.parametrize(
    ("body", "taken"),
    [
        pytest.param(b"3\nabc\r\n0\r\n\r\n", b"", id="bare LF after a size"),
        pytest.param(b"3;a\nabc\r\n0\r\n\r\n", b"", id="bare LF after an extension"),
        pytest.param(b"3\r\nabc\n0\r\n\r\n", b"abc", id="bare LF after a chunk"),
        pytest.param(b"3\r\nabc\r\n0\n\r\n", b"abc", id="bare LF after the last size"),
        pytest.param(b"3\r\nabc\r\n0\r\n\n", b"abc", id="bare LF at the end"),
        pytest.param(b"3\r\nabc\r\n0\r\nX: y\n\r\n", b"abc", id="bare LF in a trailer"),
        pytest.param(
            b"3\r\nabc\r\n0\r\nX: y\r\n\n", b"abc", id="bare LF after trailers"
        ),
        pytest.param(b"3\r\nabcd\r\n0\r\n\r\n", b"abc", id="a chunk that is too long"),
        pytest.param(b"3\r\nab\r\n0\r\n\r\n", b"ab\r", id="a chunk that is too short"),
        pytest.param(b"\r\nabc\r\n", b"", id="no size"),
        pytest.param(b";x\r\nabc\r\n", b"", id="an extension without a size"),
        pytest.param(b"-3\r\nabc\r\n", b"", id="a negative size"),
        pytest.param(b"+3\r\nabc\r\n", b"", id="a signed size"),
        pytest.param(b"0x3\r\nabc\r\n", b"", id="a size with 0x"),
        pytest.param(b" 3\r\nabc\r\n", b"", id="a blank before a size"),
        pytest.param(b"3 \r\nabc\r\n", b"", id="a blank after a size"),
        pytest.param(b"1" + b"0" * 16 + b"\r\nabc", b"", id="a size of 68 bits"),
        pytest.param(b"3;\0\r\nabc\r\n", b"", id="NUL in an extension"),
        pytest.param(b"0\r\nX: \0\r\n\r\n", b"", id="NUL in a trailer"),
        pytest.param(b"0\r\nX: y\r\n z\r\n\r\n", b"", id="obs-fold in a trailer"),
        pytest.param(
            b"0\r\nContent-Length: 3\r\n\r\n", b"", id="a length in a trailer"
        ),
        pytest.param(
            b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"", id="a coding in a trailer"
        ),
    ],
)
def test_malformed_chunks_are_refused_without_an_end(
    body: bytes, taken: bytes, split: Split
) -> None:
    events: list[Event] = [POST_EVENT, taken, BAD] if taken else [POST_EVENT, BAD]
    assert requests_in(*split(POST_CHUNKED + body, GET)) == events


def test_nothing_comes_after_a_refusal() -> None:
    parser = RequestParser()
    assert joined(parser.feed(GET + b"\0" + GET)) == [GET_EVENT, BAD]
    assert parser.feed(GET) == []
    assert parser.feed(b"") == []


def test_trailers_do_not_become_fields_of_the_next_request() -> None:
    trailers = b"0\r\nHost: b\r\nLp-Trickle-Reset: 1\r\n\r\n"
    data = POST_CHUNKED + trailers + POST_CHUNKED + b"1\r\nx\r\n" + trailers + GET
    events = [POST_EVENT, END, POST_EVENT, b"x", END, GET_EVENT]
    assert requests_in(data) == events
    assert requests_in(*bytewise(data)) == events


def test_thousands_of_offers_to_upgrade_in_one_feed_are_all_served() -> None:
    connect = b"CONNECT b:1 HTTP/1.1\r\nHost: a\r\n\r\n"
    events = requests_in(connect * 5000 + b"\0")
    assert events == [request(b"CONNECT", b"b:1")] * 5000 + [BAD]


def test_a_closed_parser_gives_nothing_and_can_be_closed_again() -> None:
    parser = RequestParser()
    parser.feed(b"GET /a HT")
    parser.close()
    parser.close()
    assert parser.feed(b"TP/1.1\r\nHost: a\r\n\r\n") == []


@pytest.mark.parametrize(
    ("data", "in_head"),
    [
        (b"", False),
        (b"G", True),
        (GET[:-1], True),
        (GET, False),
        (POST_CHUNKED, False),
        (POST_CHUNKED + b"1\r", False),
        (POST_CHUNKED + b"0\r\nX: ", False),
        (POST_CHUNKED + b"0\r\n\r\n", False),
        (GET + b"GET /b", True),
        (GET + b"GET /b HTTP/1.1\r\nHost: a", True),
        (POST_CHUNKED + b"0\r\n\r\nGET /b", True),
        (GET + b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n", False),
    ],
)
def test_a_parser_knows_that_a_head_has_begun(data: bytes, in_head: bool) -> None:
    parser = RequestParser()
    parser.feed(data)
    assert parser.in_head is in_head
    parser = RequestParser()
    feed(parser, bytewise(data))
    assert parser.in_head is in_head


def test_a_field_is_found_by_its_name_and_the_first_one_counts() -> None:
    found = request(b"GET", b"/a", (b"x", b"1"), (b"x", b"2"))
    assert found.field(b"x") == b"1"
    assert found.field(b"host") == b"a"
    assert found.field(b"y") is None
    answer = response(200, (b"x", b"1"), (b"x", b"2"))
    assert answer.field(b"x") == b"1"
    assert answer.field(b"y") is None


# Pieces of bodies.


def test_small_pieces_of_a_body_are_joined() -> None:
    data = POST_CHUNKED + b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n"
    parser = RequestParser()
    assert parser.feed(data) == [POST_EVENT, b"abcdef"]
    assert parser.feed(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n") == [b"abc", END]


def test_large_pieces_of_a_body_are_not_joined() -> None:
    large = b"x" * (LARGE_PIECE + 1)
    parser = RequestParser()
    assert parser.feed(POST_CHUNKED + chunk(large) * 3) == [POST_EVENT, *[large] * 3]
    assert parser.feed(chunk(large) * 2 + LAST_CHUNK) == [large, large, END]


def test_pieces_of_a_body_are_joined_up_to_the_limit_on_average() -> None:
    limit = b"x" * LARGE_PIECE
    parser = RequestParser()
    assert parser.feed(POST_CHUNKED + chunk(limit) * 2) == [POST_EVENT, limit * 2]
    assert parser.feed(chunk(limit + b"y") + chunk(limit)) == [limit + b"y", limit]
    assert parser.feed(chunk(limit + b"y") + chunk(b"z")) == [limit + b"yz"]


def test_pieces_of_different_bodies_are_not_joined() -> None:
    one = POST_CHUNKED + chunk(b"a") + chunk(b"b") + LAST_CHUNK
    assert RequestParser().feed(one + one) == [POST_EVENT, b"ab", END] * 2


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_what_was_fed_may_be_overwritten(
    kind: Callable[[bytearray], bytes | bytearray | memoryview],
) -> None:
    data = bytearray(POST_CHUNKED + chunk(b"abc") + LAST_CHUNK + GET)
    fed = kind(data)
    offer = bytearray(b"GET /a HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n" + GET)
    offered = kind(offer)
    parser = RequestParser()
    events = parser.feed(fed) + parser.feed(offered)
    data[:] = b"\0" * len(data)
    offer[:] = b"\0" * len(offer)
    upgrade = request(b"GET", b"/a", *OFFER_FIELDS)
    assert events == [POST_EVENT, b"abc", END, GET_EVENT, upgrade, GET_EVENT]


def test_chunks_are_framed_as_rfc_9112_says() -> None:
    assert chunk(b"0123456789abcdef") == b"10\r\n0123456789abcdef\r\n"
    assert chunk_head(255) == b"ff\r\n"
    assert chunk_head(16) + b"0123456789abcdef" + CRLF == chunk(b"0123456789abcdef")
    assert LAST_CHUNK == b"0\r\n\r\n"
