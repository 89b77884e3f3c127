"""Programs of ours on a terminal, and what a person sees there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import pyte
import trio

PATIENCE: Final = 30

_COMMANDS: Final = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_COLOURS: Final = re.compile(
    rb"\x1b\[(?:[0-9;]*;)?(?:[349][0-7]|10[0-7])(?:;[0-9;]*)?m"
)


class Terminal:
    """What has come to a terminal of this size. Made by `open_terminal`."""

    def __init__(self, columns: int, lines: int, descriptor: int) -> None:
        self.columns = columns
        self.descriptor = descriptor  # of the side that programs write to
        self.keyboard: trio.lowlevel.FdStream | None = None
        self.raw = b""
        self._screen = pyte.Screen(columns, lines)
        self._wide_screen = pyte.Screen(1000, lines)  # on which nothing is wrapped
        self._streams = [
            pyte.ByteStream(self._screen),
            pyte.ByteStream(self._wide_screen),
        ]
        self._changed = trio.lowlevel.ParkingLot()

    def feed(self, data: bytes) -> None:
        self.raw += data
        for stream in self._streams:
            stream.feed(data)
        self._changed.unpark_all()

    async def type_in(self, data: bytes) -> None:
        """What a person types, which the terminal shows."""
        assert self.keyboard is not None
        await self.keyboard.send_all(data)

    @property
    def screen(self) -> list[str]:
        """The lines that are not empty."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def view(self) -> list[str]:
        """The lines that are not said, as long as they were written."""
        lines = (line.rstrip() for line in self._wide_screen.display)
        return [line for line in lines if line and not line.startswith("trickle ")]

    @property
    def shows_cursor(self) -> bool:
        return not self._screen.cursor.hidden

    @property
    def has_commands(self) -> bool:
        return _COMMANDS.search(self.raw) is not None

    @property
    def has_colours(self) -> bool:
        return _COLOURS.search(self.raw) is not None

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so on the screen."""
        with trio.move_on_after(PATIENCE):
            while not is_so():
                await self._changed.park()
            return
        raise AssertionError("\n".join(["the screen remains:", *self.screen]))

    async def find(self, pattern: str) -> re.Match[str]:
        """Wait for `pattern` in one line, however the terminal wraps it."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            lines = [line.rstrip() for line in self._wide_screen.display]
            found.extend(filter(None, (re.search(pattern, line) for line in lines)))
            return bool(found)

        await self.until(is_there)
        return found[0]


@asynccontextmanager
async def open_terminal(columns: int = 80, lines: int = 24) -> AsyncIterator[Terminal]:
    person, program = pty.openpty()
    size = struct.pack("HHHH", lines, columns, 0, 0)
    fcntl.ioctl(program, termios.TIOCSWINSZ, size)
    terminal = Terminal(columns, lines, program)
    with open(program, "wb", buffering=0):  # noqa: ASYNC230 - never waits
        async with (
            trio.lowlevel.FdStream(person) as stream,
            trio.open_nursery() as tasks,
        ):
            terminal.keyboard = stream
            tasks.start_soon(_read, stream, terminal)
            yield terminal
            tasks.cancel_scope.cancel()


async def _read(stream: trio.lowlevel.FdStream, terminal: Terminal) -> None:
    while data := await stream.receive_some():
        terminal.feed(bytes(data))


class Program:
    """One of our commands that runs on a terminal. Made by `running`."""

    def __init__(self, process: trio.Process, terminal: Terminal) -> None:
        self._process = process
        self._terminal = terminal

    async def send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send_all(data)

    async def end_input(self) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def receive(self, size: int | None = None) -> bytes:
        """So many bytes of standard output; all to its end if None."""
        assert self._process.stdout is not None
        data = b""
        with trio.fail_after(PATIENCE):
            while size is None or len(data) < size:
                more = await self._process.stdout.receive_some()
                if not more:
                    break
                data += more
        return data

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for the end of the program, and of what it writes; its exit code."""
        with trio.fail_after(PATIENCE):
            code = await self._process.wait()
        os.write(self._terminal.descriptor, _MARK)
        await self._terminal.until(lambda: self._terminal.raw.endswith(_MARK))
        self._terminal.raw = self._terminal.raw.removesuffix(_MARK)
        return code


#: Save and restore the cursor: nothing that can be seen.
_MARK: Final = b"\x1b7\x1b8"


@asynccontextmanager
async def running(
    terminal: Terminal,
    *arguments: str,
    shares_stdin: bool = False,
    shares_stdout: bool = False,
    environment: Mapping[str, str | None] | None = None,
) -> AsyncIterator[Program]:
    """`trickle` with its standard error on `terminal`, and its standard input and
    output, if it shares those. A variable that is None is not set."""
    variables: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        **(environment or {}),
    }
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "trickle_cli", *arguments],
        stdin=terminal.descriptor if shares_stdin else subprocess.PIPE,
        stdout=terminal.descriptor if shares_stdout else subprocess.PIPE,
        stderr=terminal.descriptor,
        env={name: value for name, value in variables.items() if value is not None},
    )
    try:
        yield Program(process, terminal)
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    await stream.aclose()
