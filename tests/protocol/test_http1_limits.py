"""What the parsers refuse for its size, also when it comes one byte at a time."""

from __future__ import annotations

import tracemalloc
from itertools import chain, cycle, repeat
from typing import Final

import pytest

from tests.protocol.feeding import (
    Event,
    bytewise,
    feed,
    joined,
    request,
    requests_in,
    response,
    responses_in,
)
from trickle_cli.protocol.events import END, LARGE_PIECE, Malformed, Request
from trickle_cli.protocol.http1 import (
    LAST_CHUNK,
    MAX_PADDING,
    USUAL_LIMITS,
    HeadLimits,
    RequestParser,
    ResponseParser,
    chunk,
)

MAX_HEAD, MAX_FIELDS, MAX_TARGET = USUAL_LIMITS
HEAD_TOO_LARGE: Final = Malformed(431, "a head may be 16384 bytes long")
TOO_MANY_FIELDS: Final = Malformed(431, "a head may have 100 fields")
TARGET_TOO_LONG: Final = Malformed(414, "a request target may be 4096 bytes long")
PADDED: Final = Malformed(400, "too much padding between chunks")
CHUNKED: Final = (b"transfer-encoding", b"chunked")
POST: Final = b"POST /a/0 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
POST_EVENT: Final = request(b"POST", b"/a/0", CHUNKED, has_body=True)
OK: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK_EVENT: Final = response(200, CHUNKED)
#: What a head that is fed whole may be longer: its line and ends are not counted.
LENIENCE: Final = 17

in_pieces = pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])


def test_the_limits_are_those_of_the_contract() -> None:
    limits = (MAX_HEAD, MAX_FIELDS, MAX_TARGET, MAX_PADDING)
    assert limits == (16 * 1024, 100, 4096, 16 * 1024)


def test_other_limits_may_be_set() -> None:
    def refusal(data: bytes) -> object:
        return RequestParser(HeadLimits(200, 3, 20)).feed(data)[-1]

    begin = b"GET /a HTTP/1.1\r\nHost: a\r\n"
    assert refusal(begin + b"X: " + b"x" * 200 + b"\r\n\r\n") == Malformed(
        431, "a head may be 200 bytes long"
    )
    assert refusal(begin + b"X: " + b"x" * 300) == Malformed(
        431, "a head may be 200 bytes long"
    )
    assert refusal(begin + b"X: y\r\n" * 3 + b"\r\n") == Malformed(
        431, "a head may have 3 fields"
    )
    assert refusal(b"GET /" + b"a" * 20 + b" HTTP/1.1\r\n") == Malformed(
        414, "a request target may be 20 bytes long"
    )


# Heads.


def head_of(size: int, count: int = 1) -> tuple[bytes, Event]:
    """A request's head of exactly `size` bytes in `count` long fields; its event."""
    begin, end = b"GET /a HTTP/1.1\r\nHost: a\r\n", b"\r\n"
    room = size - len(begin) - len(end) - count * len(b"X: \r\n")
    each, extra = divmod(room, count)
    values = [b"x" * (each + (i < extra)) for i in range(count)]
    head = begin + b"".join(b"X: %b\r\n" % value for value in values) + end
    assert len(head) == size
    return head, request(b"GET", b"/a", *((b"x", value) for value in values))


@in_pieces
@pytest.mark.parametrize("count", [1, 50])
def test_a_head_of_16_kib_is_taken(size: int, count: int) -> None:
    head, event = head_of(MAX_HEAD, count)
    parser = RequestParser()
    assert feed(parser, bytewise(head * 3, size)) == [event] * 3
    assert not parser.in_head


@in_pieces
@pytest.mark.parametrize("count", [1, 50])
def test_a_head_above_16_kib_is_refused(size: int, count: int) -> None:
    head, _ = head_of(MAX_HEAD + LENIENCE + 1, count)
    assert requests_in(*bytewise(head, size)) == [HEAD_TOO_LARGE]


@in_pieces
def test_a_head_above_16_kib_is_refused_after_a_good_one(size: int) -> None:
    good, event = head_of(100)
    head, _ = head_of(MAX_HEAD + LENIENCE + 1)
    assert requests_in(good, *bytewise(head, size)) == [event, HEAD_TOO_LARGE]


@in_pieces
def test_the_target_counts_as_a_part_of_the_head(size: int) -> None:
    target = b"/" + b"a" * 4000
    fields = b"Host: a\r\nX: " + b"x" * (MAX_HEAD - 4000)
    head = b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (target, fields)
    assert requests_in(*bytewise(head, size)) == [HEAD_TOO_LARGE]


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"\r\n"),
        (b"GET /a HTTP/1.1\r\n", b"X: y\r\n"),
        (b"GET /a HTTP/1.1\r\nX:", b" "),
        (b"GET /a HTTP/1.1\r\nX: ", b"y"),
        (b"GET /a HTTP/1.1\r\n", b"x"),
    ],
)
@in_pieces
def test_a_head_without_an_end_is_refused_in_time(
    begin: bytes, more: bytes, size: int
) -> None:
    parser = RequestParser()
    fed, events = feed_until_refused(parser, begin + more * MAX_HEAD, size)
    assert events == [HEAD_TOO_LARGE]
    assert fed == MAX_HEAD // size * size + size


def feed_until_refused(
    parser: RequestParser | ResponseParser, data: bytes, size: int
) -> tuple[int, list[Event]]:
    """Feed `data` in pieces of `size` up to an event; how many bytes that took."""
    fed = 0
    for piece in bytewise(data, size):
        events = parser.feed(piece)
        fed += size
        if events:
            return fed, joined(events)
    return fed, []


@in_pieces
def test_100_fields_are_taken(size: int) -> None:
    fields = [(b"x-%d" % i, b"y") for i in range(MAX_FIELDS - 1)]
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    head = b"GET /a HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    expected: list[Event] = [request(b"GET", b"/a", *fields)]
    assert requests_in(*bytewise(head, size)) == expected


@in_pieces
def test_101_fields_are_refused(size: int) -> None:
    head = b"GET /a HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MAX_FIELDS + b"\r\n"
    assert requests_in(*bytewise(head, size)) == [TOO_MANY_FIELDS]


@in_pieces
def test_a_target_of_4096_bytes_is_taken(size: int) -> None:
    target = b"/" + b"a" * (MAX_TARGET - 1)
    head = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
    events = requests_in(*bytewise(head * 2, size))
    assert events == [request(b"GET", target)] * 2


@in_pieces
def test_a_target_of_4097_bytes_is_refused(size: int) -> None:
    target = b"/" + b"a" * MAX_TARGET
    head = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target
    assert requests_in(*bytewise(head, size)) == [TARGET_TOO_LONG]


def test_a_target_without_an_end_is_refused_as_soon_as_it_is_too_long() -> None:
    parser = RequestParser()
    data = b"GET /" + b"a" * 10000
    assert feed_until_refused(parser, data, 1) == (4 + 4097, [TARGET_TOO_LONG])


@in_pieces
def test_a_response_has_the_limits_of_a_request(size: int) -> None:
    line = b"HTTP/1.1 200 OK\r\n"
    value = b"x" * (MAX_HEAD - len(line) - len(b"X: \r\n\r\n"))
    good = line + b"X: " + value + b"\r\n\r\n"
    begin = response(200, (b"x", value), keep_alive=False, until_close=True)
    assert responses_in(*bytewise(good, size)) == [begin]
    long = line + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    assert responses_in(*bytewise(long, size)) == [HEAD_TOO_LARGE]
    many = line + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n"
    assert responses_in(*bytewise(many, size)) == [TOO_MANY_FIELDS]
    endless = b"HTTP/1.1 200 " + b"O" * (2 * MAX_HEAD)
    assert responses_in(*bytewise(endless, size)) == [HEAD_TOO_LARGE]


@in_pieces
def test_an_informational_response_has_the_same_limits(size: int) -> None:
    head = b"HTTP/1.1 100 Continue\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    assert responses_in(*bytewise(head, size)) == [HEAD_TOO_LARGE]


# Padding.


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        pytest.param(b"", b"0", id="zeros before a size"),
        pytest.param(b"1;", b"x", id="one extension"),
        pytest.param(b"1", b";x=y", id="many extensions"),
        pytest.param(b'1;x="', b"y", id="a quoted extension"),
        pytest.param(b"0;", b"x", id="an extension of the last chunk"),
        pytest.param(b"0\r\nX: ", b"y", id="one trailer"),
        pytest.param(b"0\r\n", b"X: y\r\n", id="many trailers"),
        pytest.param(b"0\r\n", b"x", id="the name of a trailer"),
        pytest.param(b"0\r\nX:", b" ", id="blanks in a trailer"),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_endless_padding_is_refused_in_time(
    begin: bytes, more: bytes, size: int
) -> None:
    data = begin + more * (2 * MAX_PADDING)
    for parser, head in ((RequestParser(), POST), (ResponseParser(), OK)):
        feed(parser, [head])
        fed, events = feed_until_refused(parser, data, size)
        assert events == [PADDED]
        assert fed == MAX_PADDING // size * size + size


def test_padding_in_one_feed_is_refused() -> None:
    parser = RequestParser()
    assert parser.feed(POST) == [POST_EVENT]
    assert parser.feed(b"1;" + b"x" * MAX_PADDING) == [PADDED]


@pytest.mark.parametrize(
    ("size", "taken"), [(1, 181), (7, 181), (1000, 186), (40_000, 373)]
)
def test_padding_between_bytes_of_a_body_adds_up(size: int, taken: int) -> None:
    # A chunk has 107 bytes here; what is between excuses 17 of them, so 182 chunks
    # are the limit, and the rest of the piece that goes beyond it comes along.
    data = (b"1;" + b"x" * 100 + b"\r\ny\r\n") * 1000
    events = requests_in(POST, *bytewise(data, size))
    assert events == [POST_EVENT, b"y" * taken, PADDED]


def test_refused_padding_leaves_little_in_memory() -> None:
    begin = POST + b"0\r\n"
    line = b"X: y\r\n"
    parsers = [RequestParser() for _ in range(10)]
    tracemalloc.start()
    try:
        for parser in parsers:
            for piece in chain(bytewise(begin), repeat(line, 20_000)):
                parser.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # a field of 6 bytes costs two objects and a tuple: about 200 bytes
    assert peak < len(parsers) * MAX_PADDING * 40


@pytest.mark.parametrize("size", [1, 5, 6, 7, 1000, 1 << 20])
@pytest.mark.parametrize("each", [b"1\r\nx\r\n", b"1;y\r\nx\r\n", b"0001;a=b\r\nx\r\n"])
def test_an_honest_body_of_small_chunks_is_taken(each: bytes, size: int) -> None:
    count = 8000 if size == 1 else 40_000
    pieces = bytewise(POST + each * count + LAST_CHUNK, size)
    assert requests_in(*pieces) == [POST_EVENT, b"x" * count, END]


def test_an_honest_chunk_may_come_byte_by_byte() -> None:
    body = b"x" * 30_000
    pieces = bytewise(POST + chunk(body) + LAST_CHUNK)
    assert requests_in(*pieces) == [POST_EVENT, body, END]
    pieces = bytewise(OK + chunk(body) + LAST_CHUNK)
    assert responses_in(*pieces) == [OK_EVENT, body, END]


def test_body_does_not_pay_for_padding_to_come() -> None:
    parser = RequestParser()
    body = b"x" * (LARGE_PIECE * 100)
    assert parser.feed(POST) == [POST_EVENT]
    assert parser.feed(chunk(body)) == [body]
    assert parser.feed(b"1;" + b"x" * (MAX_PADDING + 1)) == [PADDED]


def test_padding_counts_for_each_message_anew() -> None:
    padding = b"1;" + b"x" * (MAX_PADDING - 1000) + b"\r\ny\r\n"
    parser = RequestParser()
    for _ in range(5):
        head, *body = feed(parser, [POST, *bytewise(padding, 100), LAST_CHUNK])
        assert isinstance(head, Request)
        assert [head._replace(like=None), *body] == [POST_EVENT, b"y", END]


@pytest.mark.parametrize("framing", [b"Content-Length: 100000\r\n", b""])
def test_a_body_that_is_not_chunked_has_no_padding(framing: bytes) -> None:
    sizes = cycle([1, 2, 3, 5000])
    body = b"\r\n;=" * 25_000
    pieces = []
    rest = body
    while rest:
        size = next(sizes)
        pieces.append(rest[:size])
        rest = rest[size:]
    parser = ResponseParser()
    head = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n"
    events = feed(parser, [head, *pieces]) + parser.feed_eof()
    assert events[1:] == [body, END]
