"""Saying things to a person, or to a program, on standard error.

On a terminal there is a live view at the bottom, and what is said scrolls above it;
elsewhere there are only the lines, or objects of JSON, and now and then how far it has
got. rich is imported when it is needed: most runs of a pipeline's commands have no
terminal.

Nobody's transfer waits for a person: while standard error takes nothing (Ctrl-S on a
terminal, a pager that was left alone), what there is to say is dropped, and counted.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

import trio

from trickle_cli.display.formats import clean
from trickle_cli.display.lines import print_line
from trickle_cli.display.manner import Manner, Progress
from trickle_cli.times import stamp

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

#: Seconds between two pictures of the live view.
REFRESH: Final = 0.25
#: A table is more to draw, and to read.
_TABLE_REFRESH: Final = 0.5
#: Seconds between two lines that say how far it has got; between two objects of JSON.
_PLAIN_INTERVAL: Final = 5.0
_JSON_INTERVAL: Final = 1.0


class View(Protocol):
    """How far a command has got, for whoever wants to see it."""

    def render(self) -> RenderableType:
        """For a terminal."""

    def line(self) -> str:
        """In one line of text."""

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""


class Talk:
    """Says lines on behalf of one command. Made by `open_talk`."""

    def __init__(
        self,
        command: str,
        manner: Manner,
        live: Live | None,
        *,
        is_table: bool = False,
    ) -> None:
        self._command = command
        self._manner = manner
        self._live = live
        self._is_table = is_table
        # Lines pass above a table only if they were to come to the same terminal.
        self._is_apart = is_table and not (sys.stderr and sys.stderr.isatty())
        self._view: View | None = None
        self._dropped = 0

    @property
    def is_live(self) -> bool:
        """Whether there is a live view, which `show` fills."""
        return self._live is not None

    @property
    def is_verbose(self) -> bool:
        """Whether somebody wants to know everything."""
        return self._manner.verbose

    @property
    def has_table(self) -> bool:
        """Whether that is a table on standard output, in place of lines there."""
        return self._is_table

    @property
    def is_chosen(self) -> bool:
        """Whether a manner of showing was asked for."""
        return self._manner.progress is not Progress.AUTO

    def say(self, text: str, **more: object) -> None:
        """One line; where objects are wanted, `more` is part of it. Control characters
        from elsewhere do not get through."""
        if not self._manner.quiet:
            self.warn(text, **more)

    def warn(self, text: str, **more: object) -> None:
        """As `say`, of what went wrong: that is told also to those who want quiet."""
        if not _takes_more():
            self._dropped += 1
            return
        if self._dropped:
            self._print(f"{self._dropped} lines are missing here: nobody took them")
            self._dropped = 0
        self._print(text, more)

    def _print(self, text: str, more: Mapping[str, object] | None = None) -> None:
        if self._manner.progress is Progress.JSON:
            self._print_record({"event": "message", "text": text, **(more or {})})
            return
        line = f"trickle {self._command}: {clean(text)}"
        if self._live is not None and not self._is_apart:
            self._live.console.print(
                line, markup=False, emoji=False, highlight=False, soft_wrap=True
            )
        else:
            print_line(line)

    def _print_record(self, record: Mapping[str, object]) -> None:
        told = {"time": stamp(time.time()), "command": self._command, **record}
        print_line(json.dumps(told))

    def show(self, view: View) -> None:
        """From now on, show that again and again, in the manner that was chosen."""
        self._view = view

    async def refresh(self) -> None:
        """Keep what is shown up to date, until cancelled."""
        progress = self._manner.progress
        if self._live is not None:
            interval = _TABLE_REFRESH if self._is_table else REFRESH
        elif progress is Progress.JSON:
            interval = _JSON_INTERVAL
        elif progress is Progress.PLAIN:
            interval = _PLAIN_INTERVAL
        else:
            return
        while True:
            self._refresh(self._view)
            await trio.sleep(interval)

    def look(self) -> None:
        """Bring what is shown live up to date at once."""
        if self._live is not None:
            self._refresh(self._view)

    def _refresh(self, view: View | None) -> None:
        if (
            view is None
            or not _is_in_front()
            or not _takes_more(sys.stdout if self._is_table else None)
        ):
            return
        if self._live is not None:
            self._live.update(view.render(), refresh=True)
        elif self._manner.progress is Progress.JSON:
            self._print_record({"event": "progress", **view.record()})
        else:
            print_line(f"trickle {self._command}: {clean(view.line())}")


def _is_in_front() -> bool:
    """Whether the terminal is ours to draw on: not if we run in the background."""
    try:
        return os.tcgetpgrp(2) == os.getpgrp()
    except OSError:
        return True  # it is no terminal that anybody has jobs on


def _takes_more(stream: TextIO | None = None) -> bool:
    """Whether a line can be written to `stream`, or standard error, without waiting."""
    stream = stream or sys.stderr
    if stream is None:
        return True  # there is nothing to wait for
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    return bool(poll.poll(0))


class TalkHandler(logging.Handler):
    """Says what the library logs."""

    def __init__(self, talk: Talk) -> None:
        super().__init__(logging.WARNING)
        self._talk = talk

    def emit(self, record: logging.LogRecord) -> None:
        self._talk.warn(record.getMessage())


@asynccontextmanager
async def open_talk(
    command: str,
    manner: Manner,
    *,
    stdin: bool = False,
    stdout: bool = False,
    table: bool = False,
) -> AsyncIterator[Talk]:
    """Talk for `command` in that `manner`. Without a choice it is live if there is a
    terminal for it alone: if the command reads `stdin` or writes to `stdout`, and that
    is a terminal too, what is typed or the data goes there. With `table`, that terminal
    gets what is shown instead, and keeps the last of it."""
    is_table = table and can_show_table(manner)
    has_other_use = (stdin and os.isatty(0)) or (stdout and os.isatty(1))
    is_live = is_table or _is_live(manner, has_other_use=has_other_use)
    live = _open_live(stdout=is_table) if is_live else None
    with live or nullcontext():
        talk = Talk(command, manner, live, is_table=is_table)
        try:
            async with trio.open_nursery() as nursery:
                if is_table or not manner.quiet:
                    nursery.start_soon(talk.refresh)
                yield talk
                nursery.cancel_scope.cancel()
        finally:
            if is_table:
                talk.look()


def can_show_table(manner: Manner) -> bool:
    """Whether standard output is a terminal for it."""
    is_wanted = manner.progress in {Progress.AUTO, Progress.LIVE}
    return is_wanted and _has_terminal(sys.stdout)


def _is_live(manner: Manner, *, has_other_use: bool) -> bool:
    if manner.quiet:
        return False
    if manner.progress is Progress.AUTO:
        return _has_terminal(sys.stderr) and not has_other_use
    return manner.progress is Progress.LIVE and sys.stderr is not None


def _has_terminal(stream: TextIO | None) -> bool:
    if stream is None or not stream.isatty():
        return False
    return os.environ.get("TERM") not in {None, "", "dumb"}


def _open_live(*, stdout: bool) -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=not stdout),
        auto_refresh=False,
        transient=not stdout,
        redirect_stdout=False,
        redirect_stderr=False,
    )
