"""What is published: standard input, or files, and what they are."""

from __future__ import annotations

import errno
import math
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from trickle_cli.commands.running import naming

if TYPE_CHECKING:
    from trickle_cli.display.talk import Talk
    from trickle_cli.splitters import Content
    from trickle_cli.stdio import Source

STDIN: Final = "-"
#: Seconds for which first bytes wait for those that would tell what they are.
_SNIFFING: Final = 0.3


def check_files(names: Sequence[str]) -> None:
    """Raise an OSError if one of the files cannot be published: before anything is,
    for they are opened one after the other."""
    for name in names:
        if name == STDIN:
            continue
        code = 0
        if stat.S_ISDIR(os.stat(name).st_mode):
            code = errno.EISDIR  # reading would say so too late
        elif not os.access(name, os.R_OK):
            code = errno.EACCES
        if code:
            raise OSError(code, os.strerror(code), name)


class Input:
    """Bytes from a source, which can be looked at before they are taken. `place` is
    what a person calls it."""

    def __init__(self, place: str, source: Source, *, is_typed: bool = False) -> None:
        self.place = place
        self._source = source
        self._is_typed = is_typed  # a person types them
        self._seen = b""
        self._has_ended = False

    @property
    def is_seen(self) -> bool:
        """Whether bytes are at hand that were not taken."""
        return bool(self._seen)

    async def receive_some(self) -> bytes:
        """Wait for some bytes; b"" at the end. Loses nothing if it is cancelled."""
        import trio

        if self._seen or self._has_ended:
            await trio.lowlevel.checkpoint()
            seen, self._seen = self._seen, b""
            return seen
        return await self._read()

    async def _read(self) -> bytes:
        with naming(self.place):
            return await self._source.receive_some()

    async def sniff(self) -> Content:
        """Wait for the first bytes, and for what shows what they are, but not for
        long. Loses nothing if it is cancelled."""
        import trio

        from trickle_cli.splitters import Content, sniff
        from trickle_cli.splitters.sniffing import TEXT

        if self._is_typed:
            return Content(type=TEXT)
        deadline = math.inf
        while True:
            content = sniff(self._seen, is_all=self._has_ended)
            if content is not None:
                return content
            with trio.move_on_at(deadline) as waiting:
                data = await self._read()
                self._seen += data
                self._has_ended = not data
            if waiting.cancelled_caught:
                return sniff(self._seen, is_all=True) or Content()
            deadline = min(deadline, trio.current_time() + _SNIFFING)


@asynccontextmanager
async def open_input(name: str, talk: Talk) -> AsyncIterator[Input]:
    """The file called `name`, or standard input. OSError."""
    from trickle_cli.stdio import open_path, open_source

    if name == STDIN:
        is_typed = os.isatty(0)
        if is_typed:
            talk.say("reading from the terminal; Ctrl-D ends")
        async with open_source(0) as source:
            yield Input("standard input", source, is_typed=is_typed)
        return
    async with (
        open_path(name, os.O_RDONLY) as descriptor,
        open_source(descriptor) as source,
    ):
        yield Input(name, source)
