"""The access log of `serve`: a line of JSON for each request, to a file or stdout."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import trio

from trickle_cli.outputs import open_log, open_stdout

if TYPE_CHECKING:
    from trickle_cli.commands.serving import Speaker
    from trickle_cli.outputs import Output
    from trickle_cli.server import Entry

#: Seconds between writes, and lines that may wait for one: what is more is dropped.
_INTERVAL: Final = 0.1
_MAX_WAITING: Final = 20_000
#: Bytes that a pipe takes together, so that lines of several processes do not mix: the
#: least that PIPE_BUF is on Linux.
_PIECE: Final = 4096
#: Seconds that the last lines may take.
_PATIENCE: Final = 1


class AccessLog:
    """Takes entries at any time, and writes them when `run` runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._reopen = trio.Event()

    def record(self, entry: Entry) -> None:
        """Have `entry` written."""
        if len(self._waiting) < _MAX_WAITING:
            self._waiting.append(entry.encode() + "\n")
        else:
            self._dropped += 1

    def reopen(self) -> None:
        """Go on in a new file of that name: the old one has been moved away."""
        self._reopen.set()

    async def run(
        self,
        talk: Speaker,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Write until cancelled, and then what is left."""
        while True:
            self._reopen = trio.Event()
            opening = open_stdout() if self._name == "-" else open_log(self._name)
            async with opening as output:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                try:
                    while not self._reopen.is_set():
                        with trio.move_on_after(_INTERVAL):
                            await self._reopen.wait()
                        await self._write(output, talk)
                finally:
                    with trio.move_on_after(_PATIENCE, shield=True):
                        await self._write(output, talk)

    async def _write(self, output: Output, talk: Speaker) -> None:
        if not self._waiting:
            return
        lines, self._waiting = self._waiting, deque()
        dropped, self._dropped = self._dropped, 0
        try:
            for piece in _pieces(lines):
                await output.write(piece)
        except OSError as error:
            dropped += len(lines)
            talk.warn(f"{self._name}: {error.strerror or error}")
        if dropped:
            talk.warn(f"{dropped} lines are missing in the access log")


def _pieces(lines: Iterable[str]) -> Iterator[bytes]:
    """Whole lines, to be written together."""
    piece = b""
    for line in lines:
        data = line.encode()
        if piece and len(piece) + len(data) > _PIECE:
            yield piece
            piece = b""
        piece += data
    if piece:
        yield piece
