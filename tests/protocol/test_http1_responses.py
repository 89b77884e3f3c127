"""What the parser of responses makes of bytes, good and bad, however they come."""

from __future__ import annotations

from typing import Final

import pytest

from tests.protocol.feeding import (
    BAD,
    Event,
    Split,
    bytewise,
    every_way,
    feed,
    length,
    response,
    responses_in,
)
from tests.protocol.test_http1 import CHUNKED, GET, OFFER, OFFER_FIELDS, ONE_CODING
from trickle_cli.protocol.events import END, Malformed
from trickle_cli.protocol.http1 import ResponseParser

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_EVENTS: Final[list[Event]] = [response(200, length(2)), b"ok", END]
OK_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INFORMATIONAL: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
    b"HTTP/1.1 199 What\r\n\r\n"
)

RESPONSES: Final[dict[str, tuple[bytes, list[Event]]]] = {
    "a body of known length": (OK, OK_EVENTS),
    "an empty body": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nLp-Trickle-Seq: 7\r\n\r\n",
        [response(200, length(0), (b"lp-trickle-seq", b"7")), END],
    ),
    "chunks": (
        OK_CHUNKED + b"2\r\nok\r\n1;x=y\r\n!\r\n0\r\n\r\n",
        [response(200, CHUNKED), b"ok!", END],
    ),
    "trailers, which are dropped": (
        OK_CHUNKED + b"2\r\nok\r\n0\r\nLp-Trickle-Seq: 9\r\n\r\n" + OK,
        [response(200, CHUNKED), b"ok", END, *OK_EVENTS],
    ),
    "one response after the other": (OK * 30, OK_EVENTS * 30),
    "100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, OK_EVENTS),
    "any informational one": (INFORMATIONAL + OK + INFORMATIONAL + OK, OK_EVENTS * 2),
    "many informational ones": (b"HTTP/1.1 100 C\r\n\r\n" * 2000 + OK, OK_EVENTS),
    "an informational one alone": (INFORMATIONAL, []),
    "an upgrade that nobody asked for": (
        b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + OK,
        OK_EVENTS,
    ),
    "an offer to upgrade": (
        b"HTTP/1.1 200 OK\r\n" + OFFER + b"Content-Length: 2\r\n\r\nok" + OK,
        [response(200, *OFFER_FIELDS, length(2)), b"ok", END, *OK_EVENTS],
    ),
    "204, which has no body": (
        b"HTTP/1.1 204 No Content\r\n\r\n" + OK,
        [response(204), END, *OK_EVENTS],
    ),
    "204 with a length": (
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n" + OK,
        [response(204, length(2)), END, *OK_EVENTS],
    ),
    "304, which has the length of another body": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n" + OK,
        [response(304, length(2)), END, *OK_EVENTS],
    ),
    "304 with a coding": (
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n" + OK,
        [response(304, CHUNKED), END, *OK_EVENTS],
    ),
    "Trickle's own status": (
        b"HTTP/1.1 470 No Such Segment\r\n"
        b"Lp-Trickle-Latest: 3\r\nContent-Length: 0\r\n\r\n",
        [response(470, (b"lp-trickle-latest", b"3"), length(0)), END],
    ),
    "a status without a reason": (
        b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n",
        [response(599, length(0)), END],
    ),
    "a status with an empty reason": (
        b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
        [response(404, length(0)), END],
    ),
    "a reason that is not ASCII": (
        b"HTTP/1.1 404 N\xc3\xa4\r\nContent-Length: 0\r\n\r\n",
        [response(404, length(0)), END],
    ),
    "HTTP/1.0 that keeps the connection": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        [response(200, (b"connection", b"keep-alive"), length(2)), b"ok", END],
    ),
    "nothing": (b"", []),
}


@every_way
@pytest.mark.parametrize("case", RESPONSES)
def test_a_response_gives_the_same_events_however_it_is_fed(
    case: str, split: Split
) -> None:
    data, events = RESPONSES[case]
    parser = ResponseParser()
    assert feed(parser, split(data, b"HTTP/1.1 2")) == events
    assert parser.feed_eof() == []


@pytest.mark.parametrize(
    ("data", "events"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            [
                response(200, (b"connection", b"close"), length(2), keep_alive=False),
                b"ok",
                END,
            ],
            id="Connection: close",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            [response(200, length(2), keep_alive=False), b"ok", END],
            id="HTTP/1.0",
        ),
    ],
)
def test_the_last_response_of_a_connection_says_so(
    data: bytes, events: list[Event]
) -> None:
    assert responses_in(data) == events
    assert responses_in(*bytewise(data)) == events


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
    ],
)
@pytest.mark.parametrize("body", [b"", b"ok", OK, b"\r\n\0" * 20000])
def test_a_body_without_framing_ends_with_the_connection(
    head: bytes, body: bytes
) -> None:
    begin = response(int(head[9:12]), keep_alive=False, until_close=True)
    events: list[Event] = [begin, body] if body else [begin]
    for pieces in ([head + body], [head, *bytewise(body, 3)]):
        parser = ResponseParser()
        assert feed(parser, pieces) == events
        assert parser.feed_eof() == [END]
        assert parser.feed_eof() == []
        assert parser.feed(b"more") == []


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", []),
        (OK[:-1], [response(200, length(2)), b"o"]),
        (OK[:-2], [response(200, length(2))]),
        (OK_CHUNKED, [response(200, CHUNKED)]),
        (OK_CHUNKED + b"5\r\nhel", [response(200, CHUNKED), b"hel"]),
        (OK_CHUNKED + b"2\r\nok\r\n", [response(200, CHUNKED), b"ok"]),
        (OK_CHUNKED + b"2\r\nok\r\n0\r\n", [response(200, CHUNKED), b"ok"]),
        (OK_CHUNKED + b"2\r\nok\r\n0\r\nX: y\r\n", [response(200, CHUNKED), b"ok"]),
        (OK + INFORMATIONAL + OK[:-1], [*OK_EVENTS, response(200, length(2)), b"o"]),
    ],
)
def test_a_response_that_is_cut_short_gets_no_end(
    data: bytes, events: list[Event]
) -> None:
    parser = ResponseParser()
    assert feed(parser, [data]) == events
    assert parser.feed_eof() == []


CODING_OF_RESPONSE: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\nok"
INFORMATIONAL_BODY: Final = Malformed(
    502, "an informational response cannot have a body"
)
VERSION: Final = Malformed(502, "the server does not speak HTTP/1.1")

REFUSED_RESPONSES: Final[dict[str, tuple[bytes, Malformed]]] = {
    "not HTTP": (b"<html>hello</html>", BAD),
    "a request": (GET, BAD),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", BAD),
    "version 0.9": (b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", VERSION),
    "version 1.2": (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", BAD),
    "version 2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", VERSION),
    "a status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", BAD),
    "a status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", BAD),
    "a status that is a word": (b"HTTP/1.1 OK\r\n\r\n", BAD),
    "a negative status": (b"HTTP/1.1 -20 OK\r\n\r\n", BAD),
    "bare LF after the status": (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", BAD),
    "bare LF after a field": (b"HTTP/1.1 200 OK\r\nX: y\nZ: 0\r\n\r\n", BAD),
    "bare LF at the end of the head": (b"HTTP/1.1 200 OK\r\nX: y\r\n\n", BAD),
    "obs-fold": (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", BAD),
    "NUL in a value": (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", BAD),
    "a second length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        BAD,
    ),
    "a length and a coding": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        BAD,
    ),
    "another coding": (CODING_OF_RESPONSE % b"gzip", ONE_CODING),
    "two codings": (CODING_OF_RESPONSE % b"gzip, chunked", ONE_CODING),
    "chunked, then another": (CODING_OF_RESPONSE % b"chunked, gzip", ONE_CODING),
    "an informational one with a length": (
        b"HTTP/1.1 199 What\r\nContent-Length: 3\r\n\r\nabc" + OK,
        INFORMATIONAL_BODY,
    ),
    "an informational one with chunks": (
        b"HTTP/1.1 104 What\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK,
        INFORMATIONAL_BODY,
    ),
    "101 without an upgrade": (b"HTTP/1.1 101 S\r\n\r\n" + OK, BAD),
}


@every_way
@pytest.mark.parametrize("case", REFUSED_RESPONSES)
def test_a_malformed_response_is_refused_however_it_is_fed(
    case: str, split: Split
) -> None:
    data, refusal = REFUSED_RESPONSES[case]
    parser = ResponseParser()
    assert feed(parser, split(OK + data, OK)) == [*OK_EVENTS, refusal]
    assert parser.feed(OK) == []
    assert parser.feed_eof() == []


def test_malformed_chunks_of_a_response_are_refused_without_an_end() -> None:
    parser = ResponseParser()
    data = OK_CHUNKED + b"2\r\nok!"
    assert feed(parser, [data]) == [response(200, CHUNKED), b"ok", BAD]
    assert parser.feed_eof() == []
