"""Requests that are like one before are taken as llhttp would take them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from trickle_cli.protocol.events import (
    END,
    Buffer,
    Likeness,
    Malformed,
    Request,
    RequestEvent,
)
from trickle_cli.protocol.familiar import MAX_HEAD, MAX_KNOWN, Familiar
from trickle_cli.protocol.http1 import HeadLimits, RequestParser
from trickle_cli.protocol.requests import Publish, operation, operation_like

FIELDS = b"Host: a\r\nX-Some: thing\r\n"


class Forgetful(RequestParser):
    """Has llhttp look at everything."""

    __slots__ = ()

    def _get_to_know(self, data: Buffer, request: Request) -> None:
        """Nothing is known ever."""


def head(line: bytes, fields: bytes = FIELDS) -> bytes:
    return line + b" HTTP/1.1\r\n" + fields + b"\r\n"


CHUNKED = FIELDS + b"Transfer-Encoding: chunked\r\n"
CLOSING = b"Connection: close\r\n"
#: Whole messages, plain and odd, most of them alike.
MESSAGES = [
    *(head(b"GET /cam/%d" % seq) for seq in (0, 1, 2, 999999999999999, 10**16)),
    head(b"GET /cam/-1"),
    head(b"GET /cam/007"),
    head(b"GET /cam/"),
    head(b"GET /cam/next"),
    head(b"GET /dog/1"),
    head(b"GET /cam/1?x"),
    head(b"HEAD /cam/1"),
    head(b"GET /cam/1", FIELDS + b"Upgrade: x\r\nConnection: upgrade\r\n"),
    head(b"GET /cam/1", FIELDS + CLOSING),
    b"GET /cam/1 HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET /cam/1 HTTP/1.1\r\n\r\n",
    b"\r\n" + head(b"GET /cam/3"),
    *(
        head(b"POST /cam/%d" % seq, CHUNKED) + body
        for seq in (0, 1, 22)
        for body in (
            b"0\r\n\r\n",
            b"3\r\nabc\r\n0\r\n\r\n",
            b"00A\r\n0123456789\r\n0\r\n\r\n",
            b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            b"3;x=y\r\nabc\r\n0\r\n\r\n",
            b"0\r\nTrailer: x\r\n\r\n",
            b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
            b"+3\r\nabc\r\n0\r\n\r\n",
            b"3 \r\nabc\r\n0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
        )
    ),
    *(
        head(b"POST " + path, CHUNKED) + b"1\r\nx\r\n0\r\n\r\n"
        for path in (b"/dog/3", b"//7", b"/a/b/%ff~/8", b"/9", b"/x/" + b"1" * 16)
    ),
    head(b"POST /long" + b"g" * 130 + b"/5", CHUNKED) + b"0\r\n\r\n",
    head(b"POST /cam/5", FIELDS + b"Content-Length: 4\r\n") + b"\r\n\r\n",
    head(b"POST /cam/5", FIELDS + b"Content-Length: 3\r\n") + b"abc",
    head(b"POST /cam/6", FIELDS + b"Content-Length: 3\r\n") + b"\r\n0",
    head(b"POST /cam/6", FIELDS + b"Content-Length: 0\r\n"),
    head(b"GET /cam/6", FIELDS + b"Content-Length: 2\r\n") + b"GE",
    head(b"POST /cam/1"),
    head(b"GET /cam/1", CHUNKED) + b"0\r\n\r\n",
    head(b"POST /cam/1", CHUNKED + CLOSING) + b"1\r\nx\r\n0\r\n\r\n",
    head(b"POST /cam/1", FIELDS + CLOSING + b"Content-Length: 1\r\n") + b"x",
    head(b"POST /cam/1", CHUNKED) + b"0\r\n" + CLOSING + b"\r\n",
    b"\r\n" * 200 + head(b"GET /cam/3"),
    b"\r\n" * 200,
]


def fed(parser: RequestParser, data: bytes, cuts: list[int]) -> list[RequestEvent]:
    """All events, with bodies apart from their heads, and their pieces joined: how they
    come differs with cuts, but not what they say."""
    events: list[RequestEvent] = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        for event in parser.feed(memoryview(data)[start:end]):
            if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                events[-1] += event
            elif isinstance(event, Request):
                events.append(event._replace(like=None))
                if event.body is not None:
                    events[-1] = event._replace(has_body=True, body=None, like=None)
                    events += [event.body] if event.body else []
                    events.append(END)
            else:
                events.append(event)
    return events


LIMITS = HeadLimits(size=300, target=120)


@given(
    st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=8),
    st.lists(st.integers(0, 2000), max_size=6),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=2),
)
def test_whatever_comes_the_events_are_those_of_llhttp(
    messages: list[bytes], cuts: list[int], changes: list[tuple[int, int]]
) -> None:
    """Of messages that are cut anywhere, and of some that are damaged."""
    data = bytearray(b"".join(messages))
    for place, value in changes:
        data[place % len(data)] = value
    between = [sum(map(len, messages[:count])) for count in range(len(messages))]
    for where in (cuts, between, cuts + between):
        expected = fed(Forgetful(LIMITS), bytes(data), where)
        assert fed(RequestParser(LIMITS), bytes(data), where) == expected


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=4),
            st.lists(st.integers(0, 2000), max_size=3),
            st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=1),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_so_they_are_when_connections_share_what_is_familiar(
    connections: list[tuple[list[bytes], list[int], list[tuple[int, int]]]],
) -> None:
    familiar = Familiar()
    for messages, cuts, changes in connections:
        data = bytearray(b"".join(messages))
        for place, value in changes:
            data[place % len(data)] = value
        between = [sum(map(len, messages[:count])) for count in range(len(messages))]
        for where in (between, cuts + between):
            expected = fed(Forgetful(LIMITS), bytes(data), where)
            assert fed(RequestParser(LIMITS, familiar), bytes(data), where) == expected


def test_what_came_on_one_connection_is_known_on_another() -> None:
    familiar = Familiar()
    RequestParser(familiar=familiar).feed(head(b"GET /cam/1"))
    RequestParser(familiar=familiar).feed(head(b"POST /a/1", CHUNKED) + b"0\r\n\r\n")
    parser = Watched(familiar)
    parser.feed(head(b"GET /dog/3") + head(b"POST /a/2", CHUNKED) + b"0\r\n\r\n")
    parser.feed(head(b"GET /cam/4"))
    assert parser.given == 0
    parser.feed(head(b"GET /cam/5", FIELDS + b"More: x\r\n"))
    assert parser.given == 1
    stranger = Watched(Familiar())
    stranger.feed(head(b"GET /cam/1"))
    assert stranger.given == 1


def test_what_ends_the_connection_is_known_and_ends_it() -> None:
    familiar = Familiar()
    closing = head(b"GET /cam/1", FIELDS + CLOSING)
    for times in (1, 0):
        parser = Watched(familiar)
        (request,) = parser.feed(closing + head(b"GET /cam/2"))
        assert isinstance(request, Request)
        assert not request.keep_alive
        assert parser.feed(head(b"GET /cam/3")) == []
        assert not parser.in_head
        assert parser.given == times


def test_a_closing_request_with_a_body_is_for_llhttp() -> None:
    """What comes after its end is nobody's, wherever that is cut."""
    closing = head(b"POST /cam/1", CHUNKED + CLOSING)
    for cut in range(len(closing), len(closing) + 11):
        familiar = Familiar()
        for _ in range(2):
            parser = Watched(familiar)
            data = closing + b"1\r\nx\r\n0\r\n\r\n" + head(b"GET /cam/2")
            request, *others = parser.feed(data[:cut]) + parser.feed(data[cut:])
            assert isinstance(request, Request)
            assert others == [b"x", END]
            assert parser.given == 1


def test_a_trailer_that_ends_the_connection_ends_it_whatever_is_known() -> None:
    familiar = Familiar()
    RequestParser(familiar=familiar).feed(head(b"GET /cam/1"))
    for known in (familiar, None):
        parser = RequestParser(familiar=known)
        parser.feed(head(b"POST /a/1", CHUNKED) + b"0\r\n" + CLOSING + b"\r\n")
        (refusal,) = parser.feed(head(b"GET /cam/1"))
        assert isinstance(refusal, Malformed)


def test_long_heads_are_not_kept() -> None:
    familiar = Familiar()
    limits = HeadLimits(size=10**6, target=10**6)
    fields = FIELDS + b"Long: " + b"x" * MAX_HEAD + b"\r\n"
    for _ in range(2):
        parser = RequestParser(limits, familiar)
        (request,) = parser.feed(head(b"GET /cam/1", fields))
        assert isinstance(request, Request)
        assert request.like is None


def test_not_more_is_known_than_is_useful() -> None:
    familiar = Familiar()
    for number in range(MAX_KNOWN + 1):
        fields = FIELDS + b"Number: %d\r\n" % number
        RequestParser(familiar=familiar).feed(head(b"GET /cam/1", fields))
    givens = []
    for number in (1, MAX_KNOWN, 0):
        parser = Watched(familiar)
        parser.feed(head(b"GET /cam/1", FIELDS + b"Number: %d\r\n" % number))
        givens.append(parser.given)
    assert givens == [0, 0, 1]


def test_what_is_like_one_before_means_the_same_but_for_its_path() -> None:
    parser = RequestParser()
    fields = CHUNKED + b"Lp-Trickle-Publisher: secret\r\nContent-Type: text/x\r\n"
    body = b"3\r\nabc\r\n0\r\n\r\n"
    parser.feed(head(b"POST /base/a%20b/1", fields) + body)
    (first,) = parser.feed(head(b"POST /base/a%20b/2", fields) + body)
    assert isinstance(first, Request)
    assert first.like is not None
    wanted = operation(first, b"/base/")
    assert isinstance(wanted, Publish)
    for path in (b"/base/a%20b/12", b"/base/c/007", b"/base/%C3%A4/0"):
        (second,) = parser.feed(head(b"POST " + path, fields) + body)
        assert isinstance(second, Request)
        assert (second.has_body, second.body) == (False, b"abc")
        assert second.like is first.like
        found = operation_like(second, wanted, b"/base/")
        assert found == operation(second, b"/base/")
        assert isinstance(found, Publish)
    for path in (b"/base/12", b"/c/12", b"/base/c/d/12", b"/base//12", b"/base/%ff/1"):
        (other,) = parser.feed(head(b"POST " + path, fields) + body)
        assert isinstance(other, Request)
        assert other.like is first.like
        assert operation_like(other, wanted, b"/base/") is None
    other, *_ = parser.feed(head(b"POST /base/c/12", fields + b"More: x\r\n") + body)
    assert isinstance(other, Request)
    assert other.like is not first.like


class Watched(RequestParser):
    """Counts what llhttp is given."""

    __slots__ = ("given",)

    def __init__(self, familiar: Familiar | None = None) -> None:
        super().__init__(familiar=familiar)
        self.given = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.given += 1


def test_most_requests_of_a_client_are_recognized() -> None:
    """Else all of this would be for nothing."""
    parser = Watched()
    kinds = [parser.feed(head(b"GET /cam/1")), parser.feed(head(b"POST /a/1", CHUNKED))]
    parser.feed(b"0\r\n\r\n")
    assert parser.given == 2
    kinds += map(
        parser.feed,
        (
            head(b"GET /cam/2") + head(b"GET /dog/3"),
            head(b"POST /b/1", CHUNKED) + b"1\r\nx\r\n0\r\n\r\n",
            head(b"POST /b/2", CHUNKED),
            b"1\r\nx\r\n",
            b"2\r\nyz\r\n0\r\n\r\n" + head(b"GET /cam/4"),
            head(b"POST /b/3", CHUNKED) + b"2\r\nab\r\n",
            b"0\r\n\r\n",
        ),
    )
    assert parser.given == 2
    requests = [e for events in kinds for e in events if isinstance(e, Request)]
    assert len(requests) == 8
    assert len({id(request.like) for request in requests[2:]}) == 2
    assert {type(request.like) for request in requests[2:]} == {Likeness}
    assert sum(end is END for events in kinds for end in events) == 2


def test_bodies_of_the_same_length_are_recognized_when_they_are_whole() -> None:
    parser = Watched()
    fields = FIELDS + b"Content-Length: 4\r\n"
    parser.feed(head(b"POST /a/1", fields) + b"abcd")
    (second,) = parser.feed(head(b"POST /b/2", fields) + b"efgh")
    assert isinstance(second, Request)
    assert (second.has_body, second.body) == (False, b"efgh")
    assert parser.given == 1
    third, text = parser.feed(head(b"POST /b/3", fields) + b"ij")
    assert isinstance(third, Request)
    assert (third.has_body, third.body, text) == (True, None, b"ij")
    assert parser.feed(b"kl") == [b"kl", END]
    assert parser.given == 2
    (fourth,) = parser.feed(head(b"POST /b/4", fields) + b"mnop")
    assert isinstance(fourth, Request)
    assert fourth.body == b"mnop"


def test_what_is_odd_in_a_body_is_for_llhttp() -> None:
    parser = Watched()
    parser.feed(head(b"POST /a/1", CHUNKED) + b"0\r\n\r\n")
    parser.feed(head(b"POST /a/2", CHUNKED) + b"1\r\nx\r\n")
    assert parser.given == 1
    assert parser.feed(b"3;more=x\r\nab") == [b"ab"]
    assert parser.given == 2
    assert parser.feed(b"c\r\n0\r\nTrailer: x\r\n\r\n") == [b"c", END]
    (third,) = parser.feed(head(b"POST /a/3", CHUNKED) + b"1\r\nz\r\n0\r\n\r\n")
    assert isinstance(third, Request)
    assert third.body == b"z"


def test_many_chunks_are_for_llhttp() -> None:
    """It takes them apart quicker, once it has been told of the head."""
    parser = Watched()
    parser.feed(head(b"POST /a/1", CHUNKED) + b"0\r\n\r\n")
    many = b"1\r\nx\r\n" * 1000
    request, *pieces = parser.feed(head(b"POST /a/2", CHUNKED) + many)
    assert isinstance(request, Request)
    assert b"".join(p for p in pieces if isinstance(p, bytes)) == b"x" * 1000
    assert len(pieces) <= 2
    assert parser.given == 2
    assert parser.feed(b"1\r\ny\r\n0\r\n\r\n") == [b"y", END]
    parser.feed(head(b"POST /a/3", CHUNKED))
    assert parser.given == 2
    assert len(parser.feed(many)) <= 2
    assert parser.given == 3


def test_an_empty_line_between_messages_begins_no_head() -> None:
    for apart in (True, False):
        parser = RequestParser()
        for seq in range(10_000):
            message = head(b"POST /a/%d" % seq, CHUNKED) + b"1\r\nx\r\n0\r\n\r\n"
            pieces = [message, b"\r\n"] if apart else [message + b"\r\n"]
            events = [event for piece in pieces for event in parser.feed(piece)]
            assert isinstance(events[0], Request)
            assert apart or not parser.in_head
