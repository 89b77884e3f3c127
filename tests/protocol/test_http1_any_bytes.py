"""The parsers under any split of what is valid, and any bytes that are not."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given, settings, strategies as st

from tests.protocol.feeding import (
    PLACES,
    Event,
    bytewise,
    cut,
    feed,
    requests_in,
    responses_in,
)
from tests.protocol.test_http1 import GET, OFFER, POST_CHUNKED, REQUESTS
from tests.protocol.test_http1_responses import INFORMATIONAL, OK, OK_CHUNKED, RESPONSES
from trickle_cli.protocol.events import END, Malformed, Request, Response
from trickle_cli.protocol.http1 import LAST_CHUNK, ResponseParser, chunk

VALID: Final = [
    *(data for data, _ in REQUESTS.values()),
    b"".join(data for data, _ in REQUESTS.values()),
]
VALID_RESPONSES: Final = [
    *(data for data, _ in RESPONSES.values() if len(data) < 10000),
    OK + INFORMATIONAL + OK_CHUNKED + chunk(b"x" * 300) + LAST_CHUNK + OK,
]

#: Parts of messages, good and bad; any order of them is worth a try.
PARTS: Final = [
    GET,
    POST_CHUNKED,
    OK,
    OK_CHUNKED,
    INFORMATIONAL,
    b"GET /a HTTP/1.1\r\n",
    b"POST /a/0 HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 199 X\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"X:\r\n",
    OFFER,
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b"abc",
    b"3\r\nabc\r\n",
    b"0\r\n",
    LAST_CHUNK,
]
ANY_BYTES: Final = st.lists(
    st.sampled_from(PARTS) | st.binary(max_size=4), max_size=12
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID), PLACES)
def test_any_split_of_valid_requests_gives_the_same_events(
    data: bytes, places: list[int]
) -> None:
    assert requests_in(*cut(data, places)) == requests_in(data)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(VALID_RESPONSES), PLACES)
def test_any_split_of_valid_responses_gives_the_same_events(
    data: bytes, places: list[int]
) -> None:
    assert responses_in(*cut(data, places)) == responses_in(data)


@settings(max_examples=400, deadline=None)
@given(ANY_BYTES, PLACES)
@example(POST_CHUNKED + b"0\r\nX: y\r\n\r\n" + POST_CHUNKED + b"1", [])
def test_no_bytes_break_the_request_parser(data: bytes, places: list[int]) -> None:
    events = requests_in(*cut(data, places))
    assert events == requests_in(data)
    assert events == requests_in(*bytewise(data))
    assert_in_order(events)


@settings(max_examples=400, deadline=None)
@given(ANY_BYTES, PLACES)
def test_no_bytes_break_the_response_parser(data: bytes, places: list[int]) -> None:
    parser = ResponseParser()
    events = feed(parser, cut(data, places))
    assert events == responses_in(data)
    assert events == responses_in(*bytewise(data))
    assert_in_order([*events, *parser.feed_eof()])


def assert_in_order(events: list[Event]) -> None:
    """Heads, then their bodies, then their ends; a refusal is the last event."""
    in_body = False
    for event in events[:-1]:
        assert not isinstance(event, Malformed)
    for event in events:
        if isinstance(event, Request | Response):
            assert not in_body
            in_body = not isinstance(event, Request) or event.has_body
        elif not isinstance(event, Malformed):
            assert in_body
            in_body = event is not END
