"""A command for each segment, which gets the bytes on its standard input.

It is started when the segment is complete: it can be told the size then, and never sees
a part of one. Until then the bytes are in a file without a name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Final

import trio

from trickle_cli.outputs.taken import Segment, Taken

#: Seconds that a command may go on when all is to end.
_ENDING: Final = 5.0
#: Bytes of what a command says that are passed on.
_LAST: Final = 4096

#: Gets each line that a command has written to its standard error.
Said = Callable[[str], None]
#: What is told of a command that failed: its segment, and how it ended.
Failed = Callable[[Taken, int], None]


class Commands:
    """Made by `open_commands`."""

    def __init__(
        self,
        command: str,
        jobs: int,
        failed: Failed,
        said: Said | None,
        nursery: trio.Nursery,
    ) -> None:
        self._command = command
        self._slots = trio.Semaphore(jobs)
        self._failed = failed
        self._said = said
        self._nursery = nursery

    def open(self, segment: Segment) -> CommandInput:  # noqa: ARG002 - of any segment
        return CommandInput(self)

    async def start(self, taken: Taken, content: IO[bytes]) -> None:
        """Start a command for `taken`, once there are few enough; `content` is closed
        when it has ended."""
        await self._slots.acquire()
        self._nursery.start_soon(self._run, taken, content)

    async def _run(self, taken: Taken, content: IO[bytes]) -> None:
        try:
            with content, tempfile.TemporaryFile() as complaints:
                done = await trio.run_process(
                    ["/bin/sh", "-c", self._command],
                    stdin=content.fileno(),
                    stderr=None if self._said is None else complaints.fileno(),
                    env={**os.environ, **_environment(taken)},
                    check=False,
                    deliver_cancel=_end,
                )
                if self._said is not None:
                    for line in _last_lines(complaints):
                        self._said(line)
        finally:
            self._slots.release()
        if done.returncode:
            self._failed(taken, done.returncode)


class CommandInput:
    """The bytes for one command."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._content: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        assert self._content is not None
        self._content.write(data)

    async def finish(self, taken: Taken) -> Taken:
        if not taken.complete or self._content is None:
            self.drop()
            await trio.lowlevel.checkpoint()
            return taken
        self._content.flush()
        self._content.seek(0)
        await self._commands.start(taken, self._content)
        self._content = None  # the command's now
        return taken

    def drop(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None


def _last_lines(file: IO[bytes]) -> list[str]:
    """The end of what is in `file`."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LAST))
    return file.read().decode(errors="replace").splitlines()


async def _end(process: trio.Process) -> None:
    """Ask it to end, and end it if it does not listen. Called with a shield, and
    cancelled when it has ended."""
    process.terminate()
    await trio.sleep(_ENDING)
    process.kill()


def _environment(taken: Taken) -> dict[str, str]:
    segment = taken.segment
    told = {
        "TRICKLE_CHANNEL": segment.channel,
        "TRICKLE_SEQ": str(segment.seq),
        "TRICKLE_TYPE": segment.type,
        "TRICKLE_SIZE": str(taken.size),
    }
    return {**told, "TRICKLE_FILE": taken.file} if taken.file else told


@asynccontextmanager
async def open_commands(
    command: str, *, jobs: int, failed: Failed, said: Said | None = None
) -> AsyncIterator[Commands]:
    """Run `command` by /bin/sh for each segment, `jobs` at a time, and call `failed` of
    those that do. With `said`, that gets the end of what each has to say, when it has
    ended; else that goes to standard error at once. Leaving waits for those that still
    run."""
    async with trio.open_nursery() as nursery:
        yield Commands(command, jobs, failed, said, nursery)
