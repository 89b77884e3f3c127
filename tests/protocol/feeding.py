"""Ways to feed a parser, and its events in a form that does not depend on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import pytest
from hypothesis import strategies as st

from trickle_cli.protocol.events import End, Field, Malformed, Request, Response
from trickle_cli.protocol.http1 import RequestParser, ResponseParser

Event: TypeAlias = Request | Response | bytes | End | Malformed

#: The refusal of a rule that is llhttp's, whose words may change with its version.
BAD: Final = Malformed(400, "bad HTTP")


def feed(
    parser: RequestParser | ResponseParser, pieces: Iterable[bytes]
) -> list[Event]:
    """The events of all `pieces`, adjacent bytes joined."""
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
    return joined(events)


def joined(events: Iterable[Event]) -> list[Event]:
    """`events` with adjacent bytes joined, and without the words of llhttp."""
    found: list[Event] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        elif isinstance(event, Malformed) and event.reason.startswith("bad HTTP: "):
            found.append(Malformed(event.status, "bad HTTP"))
        else:
            found.append(event)
    return found


def requests_in(*pieces: bytes) -> list[Event]:
    return feed(RequestParser(), pieces)


def responses_in(*pieces: bytes) -> list[Event]:
    return feed(ResponseParser(), pieces)


def bytewise(data: bytes, size: int = 1) -> list[bytes]:
    """`data` in pieces of `size`."""
    return [data[i : i + size] for i in range(0, len(data), size)]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces that begin at `places` (taken modulo its length)."""
    starts = sorted({0, *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


#: A message and what comes behind it, in the pieces that are fed.
Split: TypeAlias = Callable[[bytes, bytes], list[bytes]]
every_way = pytest.mark.parametrize(
    "split",
    [
        pytest.param(lambda data, _: [data], id="whole"),
        pytest.param(lambda data, _: bytewise(data), id="byte by byte"),
        pytest.param(lambda data, more: [data + more], id="with more behind it"),
        pytest.param(
            lambda data, more: bytewise(data + more), id="with more, by bytes"
        ),
    ],
)

#: For `cut`.
PLACES: Final = st.lists(st.integers(0, 1 << 20), max_size=12)


def request(
    method: bytes,
    target: bytes,
    *fields: Field,
    http10: bool = False,
    keep_alive: bool = True,
    has_body: bool = False,
) -> Request:
    """A request's head whose first field is `Host: a`."""
    all_fields = [(b"host", b"a"), *fields]
    return Request(method, target, all_fields, http10, keep_alive, has_body)


def response(
    status: int, *fields: Field, keep_alive: bool = True, until_close: bool = False
) -> Response:
    return Response(status, list(fields), keep_alive, until_close)


def length(size: int) -> Field:
    return (b"content-length", b"%d" % size)


#: Names that a channel may have.
CHANNELS: Final = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/"),
    min_size=1,
    max_size=63,
).filter(lambda name: name not in {".", ".."})
#: MIME types, as far as a field can carry them.
TYPES: Final = st.from_regex(
    r"[a-z0-9.+-]{1,20}/[A-Za-z0-9.+*-]{1,20}(; ?[a-z]+=[\x21-\x7e\xa1-\xff]{1,9})?",
    fullmatch=True,
)
