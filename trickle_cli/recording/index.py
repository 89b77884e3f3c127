"""The lines of an index, written and read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from trickle_cli.errors import BadConfiguration

INDEX: Final = "index.jsonl"
#: Of this shape; others may come.
_VERSION: Final = 1
#: A file of ours: nothing that could be in another directory.
_FILE: Final = re.compile(r"[0-9]{1,20}(-[0-9]{1,9})?\.[A-Za-z0-9]{1,16}")
_MAX_SIZE: Final = 2**53


@dataclass(frozen=True, kw_only=True)
class Session:
    """What was recorded at one go: when it was `started` (RFC 3339), and from which
    channel, whose content is of this `type`."""

    channel: str
    type: str
    started: str

    def line(self) -> str:
        """For the index."""
        return json.dumps({"recording": _VERSION, **asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A segment in `file`. `chunks` are (seconds since it began, bytes that came)."""

    seq: int
    file: str
    size: int
    epoch: str
    began: float
    ended: float
    complete: bool
    chunks: Sequence[tuple[float, int]]

    def line(self) -> str:
        """For the index."""
        return json.dumps(asdict(self))


def open_segment(directory: str, segment: Recorded) -> IO[bytes]:
    """What was recorded of it. BadConfiguration if that is not all there; OSError."""
    path = Path(directory) / segment.file
    file = open(path, "rb", opener=_open_here)  # noqa: SIM115 - the caller's
    if os.fstat(file.fileno()).st_size != segment.size:
        file.close()
        raise BadConfiguration(f"{path}: it has not {segment.size} bytes any more")
    return file


def _open_here(path: str, flags: int) -> int:
    """Open that file, and no other one that is linked there."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def read_index(directory: str) -> list[tuple[Session, list[Recorded]]]:
    """All that was recorded in `directory`, in order. BadConfiguration if that is no
    recording, or a broken one; OSError."""
    path = Path(directory) / INDEX
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        Path(directory).stat()  # it may be that which is missing
        raise BadConfiguration(
            f"{directory} is no recording: there is no {INDEX} in it"
        ) from None
    except UnicodeDecodeError:
        raise BadConfiguration(f"{path}: not a text") from None
    sessions: list[tuple[Session, list[Recorded]]] = []
    for number, content in _lines(text, path):
        try:
            if "recording" in content:
                sessions.append((_session(content), []))
            else:
                sessions[-1][1].append(_recorded(content))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise BadConfiguration(f"{path}: line {number} is broken") from error
    if not sessions:
        raise BadConfiguration(f"{path}: nothing was recorded")
    return sessions


def _lines(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        is_last = number == len(lines)  # without its end: it was not written to that
        if is_last or not line:
            continue
        try:
            content = json.loads(line)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise BadConfiguration(f"{path}: line {number} is broken")
        yield number, content


def _session(content: dict[str, Any]) -> Session:
    if content["recording"] != _VERSION:
        raise ValueError("another version")
    texts = {name: content[name] for name in ("channel", "type", "started")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("not a text")
    return Session(**texts)


def _recorded(content: dict[str, Any]) -> Recorded:
    segment = Recorded(
        seq=_count(content["seq"]),
        file=str(content["file"]),
        size=_count(content["size"]),
        epoch=str(content["epoch"]),
        began=float(content["began"]),
        ended=float(content["ended"]),
        complete=bool(content["complete"]),
        chunks=[(float(time), _count(size)) for time, size in content["chunks"]],
    )
    if not _FILE.fullmatch(segment.file):
        raise ValueError("not a file of ours")
    if not 0 <= segment.began <= segment.ended < _MAX_SIZE:
        raise ValueError("not in time")
    if not all(0 <= time < _MAX_SIZE for time, _ in segment.chunks):
        raise ValueError("not in time")
    if sum(size for _, size in segment.chunks) != segment.size:
        raise ValueError("not all of it")
    return segment


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < _MAX_SIZE:
        raise ValueError("not a number of anything")
    return value
