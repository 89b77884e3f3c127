#!/usr/bin/env python
"""Any bytes, in any pieces: the codec never fails, and does not care for the pieces.

Run by scripts/fuzz. The first bytes of an input say where the rest is cut.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["trickle_cli"]):
    from trickle_cli.protocol.events import END, Malformed, Request
    from trickle_cli.protocol.familiar import Familiar
    from trickle_cli.protocol.http1 import RequestParser, ResponseParser
    from trickle_cli.protocol.requests import operation

#: Pieces that an input is cut into, at most.
_CUTS = 12


def _joined(events: list[object]) -> list[object]:
    """The events with bytes that belong together in one piece. The limits see more of
    a head that is fed whole, so what they refuse may differ in its reason."""
    joined: list[object] = []
    for event in events:
        if isinstance(event, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += event
        elif isinstance(event, Malformed):
            joined.append(Malformed)
        elif isinstance(event, Request):  # recognized or not, it says the same
            has_body = event.has_body or event.body is not None
            joined.append(event._replace(has_body=has_body, body=None, like=None))
            if event.body is not None:
                joined += [event.body, END] if event.body else [END]
        else:
            joined.append(event)
    return joined


def _feed(parser: RequestParser | ResponseParser, pieces: list[bytes]) -> list[object]:
    events: list[object] = []
    for piece in pieces:
        events += parser.feed(piece)
    if isinstance(parser, ResponseParser):
        events += parser.feed_eof()
    parser.close()
    assert parser.feed(b"GET / HTTP/1.1\r\n\r\n") == []
    return events


def _is_limit(events: list[object]) -> bool:
    """Whether a bound of size, not of form, has ended it."""
    last = events[-1] if events else None
    return isinstance(last, Malformed) and (
        last.status in {414, 431} or "padding" in last.reason
    )


def check(data: bytes) -> None:
    """One input."""
    provider = atheris.FuzzedDataProvider(data)
    cuts = sorted(provider.ConsumeIntInRange(0, 4096) for _ in range(_CUTS))
    rest = provider.ConsumeBytes(len(data))
    pieces = [rest[a:b] for a, b in zip([0, *cuts], [*cuts, len(rest)], strict=True)]
    # What the first has come across is familiar to the second.
    familiar = Familiar()
    for make in (lambda: RequestParser(familiar=familiar), ResponseParser):
        whole = _feed(make(), [rest] if rest else [])
        parts = _feed(make(), [piece for piece in pieces if piece])
        for events in (whole, parts):
            assert sum(len(e) for e in events if isinstance(e, bytes)) <= len(rest)
            refusals = [e for e in events if isinstance(e, Malformed)]
            assert refusals in ([], events[-1:])
        if not (_is_limit(whole) or _is_limit(parts)):
            assert _joined(whole) == _joined(parts), (whole, parts)
        for event in whole:
            if isinstance(event, Request):
                operation(event)
                operation(event, b"/live/")


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
