"""Writing a recording. Files are small enough, and disks quick enough, to write where
we are: nothing here waits for a peer."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from trickle_cli.errors import BadConfiguration
from trickle_cli.recording.index import INDEX, Recorded, Session, read_index

#: Bytes that come within so many seconds are one chunk; within more of them, the more
#: chunks a segment has.
_TOGETHER: Final = 0.01
_MAX_CHUNKS: Final = 4096
#: Where a segment is written until it has ended.
_PART: Final = ".part"

#: What a file of that type is called; others are segments.
_EXTENSIONS: Final = {
    "video/mp2t": "ts",
    "video/mp4": "mp4",
    "audio/mp4": "m4a",
    "audio/aac": "aac",
    "audio/mpeg": "mp3",
    "video/webm": "webm",
    "image/jpeg": "jpg",
    "image/png": "png",
    "application/json": "json",
    "text/plain": "txt",
    "text/html": "html",
}


def extension_of(type_: str) -> str:
    """What files of that MIME type are called."""
    return _EXTENSIONS.get(type_.partition(";")[0].strip().lower(), "seg")


class Timing:
    """When the bytes of a segment came: (seconds since it began, bytes), coarse enough
    to be no burden, whatever its length."""

    def __init__(self) -> None:
        self.chunks: list[tuple[float, int]] = []
        self._together = _TOGETHER

    def add(self, time: float, size: int) -> None:
        """So many bytes came then."""
        chunks = self.chunks
        if chunks and time - chunks[-1][0] < self._together:
            chunks[-1] = (chunks[-1][0], chunks[-1][1] + size)
        else:
            chunks.append((round(time, 4), size))
        while len(chunks) > _MAX_CHUNKS:
            self._together *= 2
            before, chunks = chunks, []
            self.chunks = chunks
            for when, count in before:
                if chunks and when - chunks[-1][0] < self._together:
                    chunks[-1] = (chunks[-1][0], chunks[-1][1] + count)
                else:
                    chunks.append((when, count))


class Recorder:
    """Writes to `directory`, which is made. Use it as `with`. `clock` is in seconds.

    BadConfiguration if there is something in it, unless that is a recording and this
    one is to be `append`ed; OSError.
    """

    def __init__(
        self, directory: str, clock: Callable[[], float], *, append: bool = False
    ) -> None:
        self._directory = Path(directory)
        self._clock = clock
        self._began = 0.0
        self._extension = ""
        self._index: IO[str] | None = None
        self._file: IO[bytes] | None = None
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            self._prepare(append=append)
            undo.pop_all()
        self._started = clock()

    def _prepare(self, *, append: bool) -> None:
        directory = self._directory
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadConfiguration(
                f"{directory} is recorded to already — choose another"
            ) from None
        if append and (directory / INDEX).exists():
            read_index(str(directory))
            _cut_torn_line(directory / INDEX)
        elif any(directory.iterdir()):
            is_one = (directory / INDEX).exists()
            hint = "choose another, or --append" if is_one else "choose another"
            raise BadConfiguration(f"{directory} is not empty — {hint}")

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for file in (self._file, self._index):
            if file is not None:
                with suppress(OSError):  # it was told when it was written to
                    file.close()
        os.close(self._lock)

    @property
    def has_begun(self) -> bool:
        return self._index is not None

    def start(self, session: Session) -> None:
        """What is recorded, before its first segment."""
        self._extension = extension_of(session.type)
        path = self._directory / INDEX
        self._index = path.open("a", encoding="utf-8")
        self._append(session.line())

    def _append(self, line: str) -> None:
        assert self._index is not None
        self._index.write(f"{line}\n")
        self._index.flush()

    def begin(self, seq: int, epoch: str) -> None:
        """Segment `seq` begins now."""
        self._seq, self._epoch = seq, epoch
        self._name = self._free_name(seq)
        self._timing = Timing()
        self._size = 0
        self._began = self._clock()
        path = self._directory / (self._name + _PART)
        self._file = open(path, "wb", buffering=0, opener=_open_here)  # noqa: SIM115

    def _free_name(self, seq: int) -> str:
        """Of a file that is not there: numbers may begin anew."""
        name, number = f"{seq:08}.{self._extension}", 1
        while (self._directory / name).exists():
            number += 1
            name = f"{seq:08}-{number}.{self._extension}"
        return name

    def write(self, data: bytes) -> None:
        """More of it has come."""
        assert self._file is not None
        self._timing.add(self._clock() - self._began, len(data))
        self._size += len(data)
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def end(self, *, complete: bool) -> Recorded:
        """It has ended."""
        assert self._file is not None
        self._file.close()
        self._file = None
        path = self._directory / self._name
        os.rename(self._directory / (self._name + _PART), path)
        segment = Recorded(
            seq=self._seq,
            file=self._name,
            size=self._size,
            epoch=self._epoch,
            began=round(self._began - self._started, 4),
            ended=round(self._clock() - self._started, 4),
            complete=complete,
            chunks=self._timing.chunks,
        )
        self._append(segment.line())
        return segment


def _open_here(path: str, flags: int) -> int:
    """Open that file, and no other one that is linked there."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _cut_torn_line(path: Path) -> None:
    """Drop the end of a line that was not written to its end."""
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
