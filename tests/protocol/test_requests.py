"""What a request asks for, and how our clients write it."""

from __future__ import annotations

from typing import Final

import h11
import pytest
from hypothesis import given, settings, strategies as st

from tests.protocol.feeding import CHANNELS, TYPES, length, request, requests_in
from trickle_cli.protocol.events import END, Field, Request
from trickle_cli.protocol.names import DEFAULT_TYPE
from trickle_cli.protocol.ranges import ByteRange
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Inspect,
    Operation,
    Page,
    Preflight,
    Publish,
    ShowChannel,
    Subscribe,
    encode,
    has_foreign_origin,
    operation,
    to_http,
)
from trickle_cli.protocol.responses import Answer
from trickle_cli.protocol.sequence import MAX_SEQ

TEXT: Final = "text/plain; charset=utf-8"
PATHS: Final = "nothing here: the paths are /CHANNEL and /CHANNEL/SEQ"
NOT_A_SEQ: Final = "a seq is a whole number, or the word 'next'"
NOT_UTF8: Final = "the channel name is not valid UTF-8"
CONTROLS: Final = r"channel name 'a{}' contains control characters"


def ask(method: bytes, target: bytes, *fields: Field, base: bytes = b"/") -> object:
    return operation(request(method, target, *fields), base)


def refusal(status: int, text: str, *, allow: str = "") -> Answer:
    return Answer(status=status, type=TEXT, allow=allow, body=text.encode() + b"\n")


# The six operations.


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"POST", b"/c", Create("c", DEFAULT_TYPE)),
        (b"POST", b"/c/0", Publish("c", 0, DEFAULT_TYPE)),
        (b"POST", b"/c/12", Publish("c", 12, DEFAULT_TYPE)),
        (b"POST", b"/c/-1", Publish("c", -1, DEFAULT_TYPE)),
        (b"POST", b"/c/9007199254740991", Publish("c", MAX_SEQ, DEFAULT_TYPE)),
        (b"GET", b"/c/0", Subscribe("c", 0)),
        (b"GET", b"/c/12", Subscribe("c", 12)),
        (b"GET", b"/c/-1", Subscribe("c", -1)),
        (b"GET", b"/c/-2", Subscribe("c", -2)),
        (b"GET", b"/c/-300", Subscribe("c", -300)),
        (b"GET", b"/c/9007199254740991", Subscribe("c", MAX_SEQ)),
        (b"GET", b"/c/-9007199254740991", Subscribe("c", -MAX_SEQ)),
        (b"GET", b"/c/next", AskNext("c")),
        (b"DELETE", b"/c/0", EndSegment("c", 0)),
        (b"DELETE", b"/c/12", EndSegment("c", 12)),
        (b"DELETE", b"/c", Close("c")),
        # names that look like something else
        (b"POST", b"/next", Create("next", DEFAULT_TYPE)),
        (b"GET", b"/next/next", AskNext("next")),
        (b"GET", b"/0/1", Subscribe("0", 1)),
        (b"DELETE", b"/-1", Close("-1")),
        (b"GET", b"/_changes/0", Subscribe("_changes", 0)),
    ],
)
def test_each_operation_has_its_method_and_path(
    method: bytes, target: bytes, expected: Operation
) -> None:
    assert ask(method, target) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"expect-content", b"video/mp4")], "video/mp4"),
        ([(b"expect-content", b"  video/mp4 \t")], "video/mp4"),
        ([(b"expect-content", b"text/plain; x=\xe9")], "text/plain; x=é"),
        ([(b"expect-content", b"")], DEFAULT_TYPE),
        ([(b"expect-content", b" ")], DEFAULT_TYPE),
        ([(b"content-type", b"video/mp4")], DEFAULT_TYPE),
        (
            [(b"content-type", b"a/b"), (b"expect-content", b"video/mp4")],
            "video/mp4",
        ),
    ],
)
def test_a_channel_is_made_with_the_expected_content(
    fields: list[Field], expected: str
) -> None:
    assert ask(b"POST", b"/c", *fields) == Create("c", expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"content-type", b"video/mp4")], Publish("c", 1, "video/mp4")),
        ([(b"content-type", b" video/mp4\t")], Publish("c", 1, "video/mp4")),
        ([(b"content-type", b"\xa0")], Publish("c", 1, "\xa0")),
        ([(b"content-type", b"")], Publish("c", 1, DEFAULT_TYPE)),
        ([(b"content-type", b" ")], Publish("c", 1, DEFAULT_TYPE)),
        ([(b"expect-content", b"video/mp4")], Publish("c", 1, DEFAULT_TYPE)),
        ([(b"lp-trickle-reset", b"1")], Publish("c", 1, DEFAULT_TYPE, reset=True)),
        ([(b"lp-trickle-reset", b"")], Publish("c", 1, DEFAULT_TYPE, reset=True)),
        ([(b"lp-trickle-reset", b"no")], Publish("c", 1, DEFAULT_TYPE, reset=True)),
        ([(b"x-lp-trickle-reset", b"1")], Publish("c", 1, DEFAULT_TYPE)),
        (
            [(b"expect", b"100-continue")],
            Publish("c", 1, DEFAULT_TYPE, expect="100-continue"),
        ),
        (
            [(b"expect", b"100-Continue ")],
            Publish("c", 1, DEFAULT_TYPE, expect="100-continue"),
        ),
        ([(b"expect", b"tea")], Publish("c", 1, DEFAULT_TYPE, expect="tea")),
        (
            [
                (b"expect", b"100-continue"),
                (b"lp-trickle-reset", b"1"),
                (b"content-type", b"a/b"),
                (b"transfer-encoding", b"chunked"),
            ],
            Publish("c", 1, "a/b", reset=True, expect="100-continue"),
        ),
    ],
)
def test_a_segment_is_published_with_what_its_fields_say(
    fields: list[Field], expected: Publish
) -> None:
    assert ask(b"POST", b"/c/1", *fields) == expected


# Paths.


@pytest.mark.parametrize(
    ("base", "target", "expected"),
    [
        (b"/", b"/c/3", Subscribe("c", 3)),
        (b"/a/b/", b"/a/b/c/3", Subscribe("c", 3)),
        (b"/a/b/", b"/a/b/a/3", Subscribe("a", 3)),
        (b"/a/b/", b"/a/b/c/next", AskNext("c")),
        (b"/a/b/", b"http://h/a/b/c/3", Subscribe("c", 3)),
        (b"/a/b/", b"/a/b/c/3?x=/d/4", Subscribe("c", 3)),
        (b"/a/b/", b"/c/3", refusal(404, "nothing here")),
        (b"/a/b/", b"/a/c/3", refusal(404, "nothing here")),
        (b"/a/b/", b"/a/b", Page.CHANNELS),
        (b"/a/b/", b"/a/bc/3", refusal(404, "nothing here")),
        (b"/a/b/", b"/A/b/c/3", refusal(404, "nothing here")),
        (b"/a/b/", b"/a/b?c/3", Page.CHANNELS),
        (b"/a/b/", b"/", refusal(404, "nothing here")),
        (b"/a/b/", b"/a/b/", Page.CHANNELS),
        (b"/a/b/", b"/a/b//3", refusal(404, PATHS)),
        (b"/a/b/", b"/a/b/c/3/4", refusal(404, PATHS)),
    ],
)
def test_only_paths_below_the_base_path_are_ours(
    base: bytes, target: bytes, expected: object
) -> None:
    assert ask(b"GET", target, base=base) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/c/3?", Subscribe("c", 3)),
        (b"/c/3?x", Subscribe("c", 3)),
        (b"/c/3?x=y&z=/d/4", Subscribe("c", 3)),
        (b"/c/3?x?y", Subscribe("c", 3)),
        (b"/c/3?http://h/d/4", Subscribe("c", 3)),
        (b"/c/next?x", AskNext("c")),
        (b"/c%3Fx/3", Subscribe("c?x", 3)),
        (b"/c/?3", refusal(404, PATHS)),
        (b"/?/c/3", Page.CHANNELS),
        (b"?/c/3", refusal(404, "nothing here")),
    ],
)
def test_a_query_is_ignored(target: bytes, expected: object) -> None:
    assert ask(b"GET", target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://h/c/3", Subscribe("c", 3)),
        (b"http://h:2939/c/3?x", Subscribe("c", 3)),
        (b"HTTPS://h/c/next", AskNext("c")),
        (b"http://[::1]:80/c/-1", Subscribe("c", -1)),
        (b"http://h/c/3/4", refusal(404, PATHS)),
        (b"http://h/", Page.CHANNELS),
        (b"http://h", Page.CHANNELS),
        (b"http://h?/c/3", Page.CHANNELS),
        (b"http://h?x=c", Page.CHANNELS),
        (b"http://h/_/health", Page.HEALTH),
        (b"http:", refusal(404, "nothing here")),
        (b"http:/c/3", refusal(404, "nothing here")),
        (b"h:80", refusal(404, "nothing here")),
        (b"c/3", refusal(404, "nothing here")),
        (b"*", refusal(404, "nothing here")),
        (b"", refusal(404, "nothing here")),
    ],
)
def test_a_target_may_be_absolute(target: bytes, expected: object) -> None:
    assert ask(b"GET", target) == expected


@pytest.mark.parametrize(
    "target",
    [
        b"//",
        b"//c",
        b"//3",
        b"//c/3",
        b"/c/",
        b"/c//",
        b"/c//3",
        b"/c/3/",
        b"/c/3/4",
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE", b"PUT"])
def test_any_other_path_is_not_found(method: bytes, target: bytes) -> None:
    assert ask(method, target) == refusal(404, PATHS)


@pytest.mark.parametrize(
    ("part", "channel"),
    [
        (b"%63", "c"),
        (b"a%20b", "a b"),
        (b"a+b", "a+b"),
        (b"%C3%A9", "é"),
        (b"%c3%a9", "é"),
        (b"%E3%82%AB", "カ"),
        (b"%25", "%"),
        (b"%252F", "%2F"),
        (b"a%3Fb%23c", "a?b#c"),
        (b"...", "..."),
        (b"x" * 255, "x" * 255),
        (b"%C3%A9" * 127, "é" * 127),
    ],
)
def test_a_channel_is_named_percent_encoded(part: bytes, channel: str) -> None:
    assert ask(b"GET", b"/" + part + b"/3") == Subscribe(channel, 3)
    assert ask(b"DELETE", b"/" + part) == Close(channel)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b"a%2Fb", "channel name 'a/b' contains '/': use a name without it"),
        (b"%2f", "channel name '/' contains '/': use a name without it"),
        (b".", "channel name '.' is a path step, not a name"),
        (b"..", "channel name '..' is a path step, not a name"),
        (b"%2e%2E", "channel name '..' is a path step, not a name"),
        (b"a%00", CONTROLS.format(r"\x00")),
        (b"a%0A", CONTROLS.format(r"\n")),
        (b"a%1b", CONTROLS.format(r"\x1b")),
        (b"a%7F", CONTROLS.format(r"\x7f")),
        (b"a%C2%85", CONTROLS.format(r"\x85")),
        (b"a%E2%80%A8", CONTROLS.format(r"\u2028")),
        (b"%FF", NOT_UTF8),
        (b"%C3", NOT_UTF8),
        (b"%ED%A0%80", NOT_UTF8),
        (b"x" * 256, "channel name of 256 bytes: at most 255 are allowed"),
        (b"%78" * 256, "channel name of 256 bytes: at most 255 are allowed"),
        (b"%C3%A9" * 128, "channel name of 256 bytes: at most 255 are allowed"),
    ],
)
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        (b"POST", b""),
        (b"DELETE", b""),
        (b"GET", b"/3"),
        (b"GET", b"/next"),
        (b"PUT", b""),
    ],
)
def test_a_name_that_may_not_be_is_a_bad_request(
    part: bytes, reason: str, method: bytes, rest: bytes
) -> None:
    assert ask(method, b"/" + part + rest) == refusal(400, reason)


# Seqs.


@pytest.mark.parametrize(
    "part",
    [
        b"+1",
        b" 1",
        b"1%20",
        b"%31",
        b"1_0",
        b"-0",
        b"--1",
        b"-",
        b"12345678901234567890",
        b"-12345678901234567890",
        b"9007199254740992",
        b"0x1",
        b"1.0",
        b"1e3",
        b"Next",
        b"next%20",
        b"nex",
        b"nexts",
        b"n%65xt",
        b"%D9%A1",
        b"\xb2",
        pytest.param(b"-" * 4000, id="4000 minuses"),
        pytest.param(b"1" * 4000, id="4000 digits"),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE", b"PUT"])
def test_a_bad_seq_is_a_bad_request(method: bytes, part: bytes) -> None:
    assert ask(method, b"/c/" + part) == refusal(400, NOT_A_SEQ)


@pytest.mark.parametrize("seq", [-2, -3, -300, -MAX_SEQ])
def test_a_segment_is_not_published_behind_the_head(seq: int) -> None:
    text = "a segment is published at its number, or at -1"
    assert ask(b"POST", b"/c/%d" % seq) == refusal(400, text)


@pytest.mark.parametrize("seq", [-1, -2, -300, -MAX_SEQ])
def test_a_segment_is_not_ended_by_its_distance_from_the_head(seq: int) -> None:
    text = "a segment is ended by its number, not from the end"
    assert ask(b"DELETE", b"/c/%d" % seq) == refusal(400, text)


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        (b"PUT", b"/c", "DELETE, GET, HEAD, POST"),
        (b"PATCH", b"/c", "DELETE, GET, HEAD, POST"),
        (b"PUT", b"/c/3", "DELETE, GET, HEAD, POST"),
        (b"PATCH", b"/c/-5", "DELETE, GET, HEAD, POST"),
        (b"POST", b"/c/next", "GET, HEAD"),
        (b"DELETE", b"/c/next", "GET, HEAD"),
        (b"PUT", b"/c/next", "GET, HEAD"),
        (b"POST", b"/", "GET, HEAD"),
        (b"DELETE", b"/_/health", "GET, HEAD"),
        (b"PUT", b"/_/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_answered_with_those_that_are_allowed(
    method: bytes, target: bytes, allow: str
) -> None:
    text = f"{method.decode()} is not for this path"
    assert ask(method, target) == refusal(405, text, allow=allow)


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        (b"/c", "DELETE, GET, HEAD, POST"),
        (b"/c/3", "DELETE, GET, HEAD, POST"),
        (b"/c/next", "GET, HEAD"),
        (b"/", "GET, HEAD"),
        (b"/_/health", "GET, HEAD"),
    ],
)
def test_web_pages_ask_first_what_they_may(target: bytes, allow: str) -> None:
    assert ask(b"OPTIONS", target) == Preflight(allow)


@pytest.mark.parametrize(
    ("method", "target", "page"),
    [
        (b"GET", b"/", Page.CHANNELS),
        (b"HEAD", b"/", Page.CHANNELS),
        (b"GET", b"/_/health", Page.HEALTH),
        (b"GET", b"/_/metrics?x", Page.METRICS),
        (b"GET", b"/c", ShowChannel("c")),
        (b"HEAD", b"/c", ShowChannel("c")),
        (b"GET", b"/_changes", ShowChannel("_changes")),
        (b"HEAD", b"/c/next", AskNext("c")),
        (b"HEAD", b"/c/3", Inspect("c", 3)),
        (b"HEAD", b"/c/-1", Inspect("c", -1)),
    ],
)
def test_the_server_has_pages(method: bytes, target: bytes, page: object) -> None:
    assert ask(method, target) == page


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (b"range", b"bytes=0-", ByteRange(0)),
        (b"range", b"bytes=5-9", ByteRange(5, 9)),
        (b"range", b" Bytes = 5-5 ", ByteRange(5, 5)),
        (b"range", b"bytes=7-9007199254740991", ByteRange(7)),
        (b"range", b"bytes=9-5", None),
        (b"range", b"bytes=-5", None),
        (b"range", b"bytes=0-1,3-4", None),
        (b"range", b"bytes=", None),
        (b"range", b"bytes=a-b", None),
        (b"range", b"lines=0-5", None),
        (b"range", b"bytes=%b-" % (b"1" * 30), None),
        (b"range", "bytes=\u0661-".encode(), None),
    ],
)
def test_a_range_that_is_not_served_is_none(
    field: bytes, value: bytes, expected: ByteRange | None
) -> None:
    asked = Request(b"GET", b"/c/3", [(field, value)], False, True, False)
    assert operation(asked) == Subscribe("c", 3, range=expected)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (b"wait=20", 20),
        (b"WAIT = 20 ", 20),
        (b'wait="20"', 20),
        (b"respond-async, wait=0", 0),
        (b"wait=20; x=y", 20),
        (b"wait", None),
        (b"wait=-1", None),
        (b"wait=1.5", None),
        (b"wait=soon", None),
        (b"return=minimal", None),
    ],
)
def test_a_wait_is_preferred_in_seconds(value: bytes, wait: int | None) -> None:
    asked = Request(b"GET", b"/c/3", [(b"prefer", value)], False, True, False)
    assert operation(asked) == Subscribe("c", 3, wait=wait)


@pytest.mark.parametrize(
    ("origin", "host", "foreign"),
    [
        (None, b"127.0.0.1:2939", False),
        (b"http://127.0.0.1:2939", b"127.0.0.1:2939", False),
        (b"http://Example.NET", b"example.net:80", False),
        (b"https://example.net:443", b"example.net", False),
        (b"http://evil.example", b"127.0.0.1:2939", True),
        (b"http://127.0.0.1:3000", b"127.0.0.1:2939", True),
        (b"null", b"127.0.0.1:2939", True),
        (b"", b"127.0.0.1:2939", True),
    ],
)
def test_a_page_of_another_place_is_told_by_its_origin(
    origin: bytes | None, host: bytes, foreign: bool
) -> None:
    fields = [(b"host", host)]
    if origin is not None:
        fields.append((b"origin", origin))
    asked = Request(b"POST", b"/c/3", fields, False, True, False)
    assert has_foreign_origin(asked) is foreign


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"GET", b"HEAD", b"POST", b"DELETE", b"PUT"]),
    st.lists(
        st.sampled_from(
            [b"/", b"c", b"-", b"1", b"next", b"?", b"%", b"2F", b"://", b"."]
        )
        | st.binary(max_size=3)
    ).map(b"".join),
    st.sampled_from([b"/", b"/c/"]),
)
def test_any_target_is_an_operation_or_a_refusal(
    method: bytes, target: bytes, base: bytes
) -> None:
    wanted = operation(request(method, target), base)
    if isinstance(wanted, Answer):
        assert wanted.status in {400, 404, 405}
        assert (wanted.status == 405) is bool(wanted.allow)
    else:
        expected, path, _ = to_http(wanted)
        if method != b"HEAD":  # which many things that are GET can be, too
            assert expected == method.decode()
        again = operation(request(method, base + path.encode()), base)
        assert again == wanted


# What our clients send.


@pytest.mark.parametrize(
    ("wanted", "head"),
    [
        (
            Create("c", "video/mp4"),
            b"POST /c HTTP/1.1\r\nHost: h:1\r\nExpect-Content: video/mp4\r\n\r\n",
        ),
        (
            Publish("c", 3, "a/b"),
            b"POST /c/3 HTTP/1.1\r\nHost: h:1\r\nContent-Type: a/b\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
        ),
        (
            Publish("c", -1, "a/b", reset=True),
            b"POST /c/-1 HTTP/1.1\r\nHost: h:1\r\nContent-Type: a/b\r\n"
            b"Lp-Trickle-Reset: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (Subscribe("c", -2), b"GET /c/-2 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (AskNext("c"), b"GET /c/next HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (
            Subscribe("c", 3, range=ByteRange(5), wait=20),
            b"GET /c/3 HTTP/1.1\r\nHost: h:1\r\nRange: bytes=5-\r\n"
            b"Prefer: wait=20\r\n\r\n",
        ),
        (Inspect("c", 3), b"HEAD /c/3 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (ShowChannel("c"), b"GET /c HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (Page.METRICS, b"GET /_/metrics HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (EndSegment("c", 7), b"DELETE /c/7 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        (Close("é/ "), b"DELETE /%C3%A9%2F%20 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
    ],
)
def test_a_request_is_written_as_the_contract_says(
    wanted: Operation, head: bytes
) -> None:
    assert encode(wanted, host="h:1") == head


def test_a_request_may_have_fields_of_the_callers() -> None:
    fields = [(b"Authorization", b"Bearer x")]
    head = encode(AskNext("c"), host="h", fields=fields)
    assert head == (
        b"GET /c/next HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\n\r\n"
    )


def test_a_request_is_written_below_the_base_path() -> None:
    head = encode(Subscribe("c", 3), host="h", base_path="/a/b/")
    assert head == b"GET /a/b/c/3 HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("wanted", "parts"),
    [
        (Create("é", "a/b"), ("POST", "%C3%A9", [(b"Expect-Content", b"a/b")])),
        (Publish("c", 3, "a/b"), ("POST", "c/3", [(b"Content-Type", b"a/b")])),
        (
            Publish("c", -1, "a/b", reset=True),
            (
                "POST",
                "c/-1",
                [(b"Content-Type", b"a/b"), (b"Lp-Trickle-Reset", b"1")],
            ),
        ),
        (Subscribe("c", -2), ("GET", "c/-2", [])),
        (AskNext("c"), ("GET", "c/next", [])),
        (EndSegment("c", 7), ("DELETE", "c/7", [])),
        (Close("c"), ("DELETE", "c", [])),
    ],
)
def test_another_http_library_gets_the_parts_of_a_request(
    wanted: Operation, parts: tuple[str, str, list[Field]]
) -> None:
    assert to_http(wanted) == parts


SEQS: Final = st.integers(0, MAX_SEQ)
OPERATIONS: Final[st.SearchStrategy[Operation]] = st.one_of(
    st.builds(Create, CHANNELS, TYPES, st.booleans()),
    st.builds(
        Publish,
        CHANNELS,
        st.just(-1) | SEQS,
        TYPES,
        st.booleans(),
        st.just(""),
        st.just(False),
        st.sampled_from([b"", b"0123456789abcdef"]),
        SEQS,
        st.booleans(),
    ),
    st.builds(
        Subscribe,
        CHANNELS,
        st.integers(-MAX_SEQ, MAX_SEQ),
        st.none() | st.builds(ByteRange, SEQS, st.none()),
        st.none() | SEQS,
        st.sampled_from([b"", b'"a-1"', b'"a", W/"b"']),
        st.sampled_from([b"", b'"a-1"']),
        st.sampled_from([b"", b"me"]),
    ),
    st.builds(Inspect, CHANNELS, st.integers(-MAX_SEQ, MAX_SEQ)),
    st.builds(ShowChannel, CHANNELS),
    st.sampled_from(Page),
    st.builds(AskNext, CHANNELS),
    st.builds(EndSegment, CHANNELS, SEQS),
    st.builds(Close, CHANNELS),
)
HOSTS: Final = st.sampled_from(["h", "127.0.0.1:2939", "[::1]:80", "a-b.example"])
BASES: Final = st.sampled_from(["/", "/a/b/", "/%20/", "/next/0/"])


@settings(max_examples=300, deadline=None)
@given(OPERATIONS, HOSTS, BASES)
def test_what_a_client_of_ours_sends_is_what_our_server_understands(
    wanted: Operation, host: str, base: str
) -> None:
    head = encode(wanted, host=host, base_path=base)
    parsed, *more = requests_in(head + b"0\r\n\r\n" * isinstance(wanted, Publish))
    assert isinstance(parsed, Request)
    assert operation(parsed, base.encode()) == wanted
    assert parsed.field(b"host") == host.encode()
    assert parsed.keep_alive
    assert not parsed.http10
    assert more == [END] * isinstance(wanted, Publish)


@settings(max_examples=300, deadline=None)
@given(OPERATIONS, HOSTS, BASES)
def test_what_a_client_of_ours_sends_is_http_to_h11(
    wanted: Operation, host: str, base: str
) -> None:
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(encode(wanted, host=host, base_path=base))
    parsed = judge.next_event()
    assert isinstance(parsed, h11.Request)
    assert parsed.http_version == b"1.1"
    has_body = isinstance(wanted, Publish)
    fields = list(parsed.headers)
    ours = Request(parsed.method, parsed.target, fields, False, True, has_body)
    assert operation(ours, base.encode()) == wanted
    framing = [(b"transfer-encoding", b"chunked")] if has_body else []
    _, _, own_fields = to_http(wanted)
    lower = [(name.lower(), value) for name, value in own_fields]
    assert fields == [(b"host", host.encode()), *lower, *framing]
    judge.receive_data(b"0\r\n\r\n" if has_body else b"")
    assert isinstance(judge.next_event(), h11.EndOfMessage)


def test_a_request_is_understood_from_its_bytes() -> None:
    data = (
        b"POST /live/caf%C3%A9/-1?x HTTP/1.1\r\nHost: a\r\nLP-Trickle-RESET: x\r\n"
        b"Content-type: video/mp2t  \r\nexpect: 100-Continue\r\nContent-Length: 2\r\n"
        b"\r\nhi"
    )
    head, *body = requests_in(data)
    assert isinstance(head, Request)
    assert operation(head, b"/live/") == Publish(
        "café", -1, "video/mp2t", reset=True, expect="100-continue"
    )
    assert head.fields[-1] == length(2)
    assert body == [b"hi", END]
