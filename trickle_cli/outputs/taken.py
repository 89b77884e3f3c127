"""A segment on its way to an outlet, and what there is to say of it then."""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from trickle_cli.errors import BadConfiguration
from trickle_cli.times import stamp


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Segment `seq` of `channel`, whose MIME type is `type`. It `started` to come then
    (seconds since 1970); `lost` are how many were missed before it."""

    channel: str
    seq: int
    type: str
    started: float
    lost: int


@dataclass(frozen=True, kw_only=True)
class Taken:
    """It has come, with `size` bytes, and `ended` then; whether that is `complete`.
    `payload` are its bytes, if somebody wants them; `file` is where they are, if they
    are in a file of their own."""

    segment: Segment
    size: int
    ended: float
    complete: bool
    payload: bytes = b""
    file: str = ""


_EXAMPLE: Final = Taken(
    segment=Segment(channel="any", seq=0, type="", started=0, lost=0),
    size=0,
    ended=0,
    complete=True,
)


class Writer(Protocol):
    """Takes one segment. Raises OSError."""

    async def write(self, data: bytes) -> None:
        """Some bytes of it, as they come."""

    async def finish(self, taken: Taken) -> Taken:
        """It has ended. Returns `taken`, with what is known about it now."""

    def drop(self) -> None:
        """It will not be finished. Harmless if it has been."""


class Outlet(Protocol):
    """Where segments go, of any number of channels at once."""

    def open(self, segment: Segment) -> Writer:
        """For a segment that begins. OSError."""


_Field = Callable[[Taken], object]

#: In how to write a field: more than any line has room for, or any memory.
_TOO_WIDE: Final = re.compile(r"[0-9]{4}")

#: What there is to say of a segment, by the names that users write.
FIELDS: Final[Mapping[str, _Field]] = {
    "channel": lambda taken: taken.segment.channel,
    "seq": lambda taken: taken.segment.seq,
    "size": lambda taken: taken.size,
    "started": lambda taken: stamp(taken.segment.started),
    "ended": lambda taken: stamp(taken.ended),
    "duration": lambda taken: round(taken.ended - taken.segment.started, 3),
    "type": lambda taken: taken.segment.type,
    "complete": lambda taken: taken.complete,
    "lost": lambda taken: taken.segment.lost,
    "file": lambda taken: taken.file,
    "text": lambda taken: taken.payload.decode(errors="replace"),
    "base64": lambda taken: base64.b64encode(taken.payload).decode(),
}
#: Those for which the bytes are needed.
_PAYLOADS: Final = frozenset({"text", "base64"})
_JSON: Final = (
    "channel",
    "seq",
    "size",
    "started",
    "ended",
    "type",
    "complete",
    "lost",
)


class Line(Protocol):
    """How a segment is told of."""

    @property
    def wants_payload(self) -> bool:
        """Whether it tells of the segment's bytes."""

    def of(self, taken: Taken) -> bytes:
        """The line, with its end."""


class JsonLine:
    """An object of JSON; with a `payload`, "text" or "base64", the bytes in it."""

    def __init__(self, payload: str | None) -> None:
        self._payload = payload

    @property
    def wants_payload(self) -> bool:
        return self._payload is not None

    def of(self, taken: Taken) -> bytes:
        told = {name: FIELDS[name](taken) for name in _JSON}
        if taken.file:
            told["file"] = taken.file
        if self._payload is not None:
            told["payload"] = FIELDS[self._payload](taken)
        return json.dumps(told).encode() + b"\n"


class FormattedLine:
    """As a user has written it: `{seq} {size} {text}`. BadConfiguration."""

    def __init__(self, form: str) -> None:
        self._parts = parse_form(form, FIELDS, "--format")
        try:
            self.of(_EXAMPLE)
        except ValueError as error:
            raise BadConfiguration(f"--format: '{form}': {error}") from error

    @property
    def wants_payload(self) -> bool:
        return any(name in _PAYLOADS for _, name, _ in self._parts)

    def of(self, taken: Taken) -> bytes:
        text = "".join(
            literal + ("" if name is None else format(FIELDS[name](taken), spec))
            for literal, name, spec in self._parts
        )
        return text.encode(errors="replace") + b"\n"


class FileName:
    """The name of its file, with a NUL behind it, once that is complete."""

    wants_payload = False

    def of(self, taken: Taken) -> bytes:
        if not (taken.file and taken.complete):
            return b""
        # Where it begins with a channel's name, that is no option of what gets it.
        name = f"./{taken.file}" if taken.file.startswith("-") else taken.file
        return name.encode(errors="surrogateescape") + b"\0"


def parse_form(
    form: str, fields: Mapping[str, object], option: str
) -> list[tuple[str, str | None, str]]:
    """The parts of `form`: some text, the name of a field that stands after it (None at
    the end), and how to write that. BadConfiguration if that is no form, or not for
    these `fields`."""
    try:
        parsed = list(string.Formatter().parse(form))
    except ValueError as error:
        raise BadConfiguration(f"{option}: '{form}': {error}") from error
    parts = []
    for literal, name, spec, conversion in parsed:
        if name is not None and (name not in fields or conversion):
            known = ", ".join(f"{{{field}}}" for field in fields)
            text = f"{{{name}}} is not one of {known}; a brace itself is written twice"
            raise BadConfiguration(f"{option}: {text}")
        if name != "time" and _TOO_WIDE.search(spec or ""):
            raise BadConfiguration(f"{option}: '{{{name}:{spec}}}' is too wide")
        parts.append((literal, name, spec or ""))
    return parts
