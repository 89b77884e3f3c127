"""The fixed words of the contract, and what may be a channel's name."""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from trickle_cli.errors import BadAddress

CHANGEFEED: Final = "_changes"
RESERVED_PREFIX: Final = "_"
DEFAULT_PORT: Final = 2939
DEFAULT_SERVER: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
DEFAULT_TYPE: Final = "application/octet-stream"
CHANGEFEED_TYPE: Final = "application/json"

# Field names as we send them. We look fields up in lower case.
SEQ: Final = b"Lp-Trickle-Seq"
LATEST: Final = b"Lp-Trickle-Latest"
CLOSED: Final = b"Lp-Trickle-Closed"
RESET: Final = b"Lp-Trickle-Reset"
EPOCH: Final = b"Lp-Trickle-Epoch"
INCOMPLETE: Final = b"Lp-Trickle-Incomplete"
SIZE: Final = b"Lp-Trickle-Size"
COMPLETE: Final = b"Lp-Trickle-Complete"
TIMEOUT: Final = b"Lp-Trickle-Timeout"
EXPECT_CONTENT: Final = b"Expect-Content"
#: Who publishes, a secret of theirs, and the byte of the segment that a body begins at.
PUBLISHER: Final = b"Lp-Trickle-Publisher"
OFFSET: Final = b"Lp-Trickle-Offset"
#: How the channel treats readers that fall behind, what such a reader calls itself, how
#: many wait for the head, and how many were let go because they took nothing.
DELIVERY: Final = b"Lp-Trickle-Delivery"
SUBSCRIBER: Final = b"Lp-Trickle-Subscriber"
READERS: Final = b"Lp-Trickle-Readers"
LET_GO: Final = b"Lp-Trickle-Let-Go"

#: The only value of Lp-Trickle-Delivery.
LOSSLESS: Final = b"lossless"
#: The only value of Lp-Trickle-Closed.
TERMINATED: Final = b"terminated"
#: The values of Lp-Trickle-Timeout: what a GET said it would wait for has not begun
#: in that time; the first byte of a POST has not come in time.
WAIT: Final = "wait"
FIRST_BYTE: Final = "first-byte"

#: "The channel exists, the segment does not": a status of Trickle's own.
SEGMENT_MISSING: Final = 470

MAX_NAME_BYTES: Final = 255


def check_channel_name(name: str) -> str:
    """Return `name` if a channel may be called so.

    A name is 1 to 255 bytes of UTF-8, one path part: no `/`, no control
    characters, and neither `.` nor `..`, which URL libraries resolve away.
    Raises BadAddress with a reason for a person.
    """
    if not name:
        raise BadAddress("a channel name cannot be empty")
    if "/" in name:
        raise BadAddress(f"channel name {name!r} contains '/': use a name without it")
    if name in {".", ".."}:
        raise BadAddress(f"channel name {name!r} is a path step, not a name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadAddress(f"channel name {name!a} is not valid text") from None
    if size > MAX_NAME_BYTES:
        raise BadAddress(
            f"channel name of {size} bytes: at most {MAX_NAME_BYTES} are allowed"
        )
    if not name.isprintable() and any(map(_is_control, name)):
        raise BadAddress(f"channel name {name!a} contains control characters")
    return name


def _is_control(character: str) -> bool:
    """C0 and C1 controls, and the two separators that break lines of a log."""
    return (
        ord(character) < 0x20
        or 0x7F <= ord(character) <= 0x9F
        or (character in "\u2028\u2029")
    )


def quote_channel(name: str) -> str:
    """The name as one part of a URL's path."""
    return quote(name, safe="")


@lru_cache(maxsize=1024)  # a peer asks for the same few over and over
def unquote_channel(part: bytes) -> str:
    """The name in one part of a request target; BadAddress if it cannot be one."""
    if b"%" in part:
        part = unquote_to_bytes(part)
    try:
        return check_channel_name(part.decode())
    except UnicodeDecodeError:
        raise BadAddress("the channel name is not valid UTF-8") from None
