"""What is not text stays away from terminals: it would only upset them."""

from __future__ import annotations

import codecs
import os
import re
from typing import Final

from trickle_cli.errors import BadConfiguration

_TEXT_TYPE: Final = re.compile(
    r"text/.*|application/(json|xml|yaml|toml|x-ndjson|x-yaml|javascript|sql|jsonl)|.*\+(json|xml|yaml)"
)
_OPAQUE_TYPE: Final = re.compile(r"(audio|video|image|font|model)/.*")
#: Controls that texts have: backspace, tab, the ends of lines and pages, escape.
_HARMLESS: Final = frozenset(b"\b\t\n\r\f\x1b")
#: Bytes at the beginning that tell what the rest is like.
_LOOK: Final = 1024


def refuse_binary(type_: str, first: bytes, *, force: bool) -> None:
    """Raise BadConfiguration if standard output is a terminal, and what is to be
    written there, of this MIME type and with these bytes at its beginning, is no text;
    unless that is what somebody wants."""
    if force or not os.isatty(1) or is_text(type_, first):
        return
    raise BadConfiguration(
        f"this is not text ({type_ or 'of no type'}), and would upset the terminal —"
        " pipe it, or name a file with -o, or insist with --force"
    )


def is_text(type_: str, first: bytes) -> bool:
    """Whether content of this MIME type, that begins so, is something to read."""
    kind = type_.partition(";")[0].strip().lower()
    if _TEXT_TYPE.fullmatch(kind):
        return b"\0" not in first
    return not _OPAQUE_TYPE.fullmatch(kind) and _looks_like_text(first[:_LOOK])


def _looks_like_text(data: bytes) -> bool:
    if any(byte < 0x20 and byte not in _HARMLESS for byte in data):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)  # the last may be cut off
    except UnicodeDecodeError:
        return False
    return True
