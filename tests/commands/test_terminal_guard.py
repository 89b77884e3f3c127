from __future__ import annotations

import pytest

from trickle_cli.commands.terminal_guard import is_text

TEXT = [
    ("text/plain", b"hello\n"),
    ("text/plain; charset=latin-1", b"gr\xfc\xdfe"),
    ("application/json", b"{}"),
    ("application/problem+json", b"{}"),
    ("image/svg+xml", b"<svg/>"),
    ("application/octet-stream", "größe\t\x1b[1m\r\n".encode()),
    ("application/octet-stream", "größe".encode()[:3]),
    ("application/octet-stream", ("ä" * 600).encode()),
    ("", b""),
]
BINARY = [
    ("video/mp2t", b"G@"),
    ("image/png", b"text"),
    ("text/plain", b"a\0"),
    ("application/octet-stream", b"\xff\xfe"),
    ("application/octet-stream", b"a\x01"),
    ("", b"\0"),
]


@pytest.mark.parametrize(("type_", "data"), TEXT)
def test_what_a_person_can_read(type_: str, data: bytes) -> None:
    assert is_text(type_, data)


@pytest.mark.parametrize(("type_", "data"), BINARY)
def test_what_would_upset_a_terminal(type_: str, data: bytes) -> None:
    assert not is_text(type_, data)
