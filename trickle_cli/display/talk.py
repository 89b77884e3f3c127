"""Saying things to a person, on standard error.

On a terminal there is a live view at the bottom, and what is said scrolls above it;
elsewhere there are only the lines. rich is imported when it is needed: most runs of
a pipeline's commands have no terminal.

Nobody's transfer waits for a person: while standard error takes nothing (Ctrl-S on a
terminal, a pager that was left alone), what there is to say is dropped, and counted.
"""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trickle_cli.display.formats import clean

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

#: Seconds between two pictures of the live view.
REFRESH: Final = 0.25


class Talk:
    """Says lines on behalf of one command. Made by `open_talk`."""

    def __init__(self, command: str, live: Live | None) -> None:
        self._command = command
        self._live = live
        self._render: Callable[[], RenderableType] | None = None
        self._dropped = 0

    @property
    def is_live(self) -> bool:
        """Whether there is a live view, which `show` fills."""
        return self._live is not None

    def say(self, text: str) -> None:
        """One line. Control characters from elsewhere do not get through."""
        if not _takes_more():
            self._dropped += 1
            return
        if self._dropped:
            self._print(f"{self._dropped} lines are missing here: nobody took them")
            self._dropped = 0
        self._print(text)

    def _print(self, text: str) -> None:
        line = f"trickle {self._command}: {clean(text)}"
        if self._live is not None:
            self._live.console.print(
                line, markup=False, emoji=False, highlight=False, soft_wrap=True
            )
        else:
            print_line(line)

    def show(self, render: Callable[[], RenderableType]) -> None:
        """From now on, show what `render` returns, a few times a second."""
        self._render = render

    async def refresh(self) -> None:
        """Keep the view up to date, until cancelled."""
        while True:
            if self._live is not None and self._render is not None and _takes_more():
                self._live.update(self._render(), refresh=True)
            await trio.sleep(REFRESH)


def _takes_more() -> bool:
    """Whether a line can be written to standard error without waiting."""
    if sys.stderr is None:
        return True  # there is nothing to wait for
    poll = select.poll()
    poll.register(sys.stderr, select.POLLOUT)
    return bool(poll.poll(0))


class TalkHandler(logging.Handler):
    """Says what the library logs."""

    def __init__(self, talk: Talk) -> None:
        super().__init__(logging.WARNING)
        self._talk = talk

    def emit(self, record: logging.LogRecord) -> None:
        self._talk.say(record.getMessage())


def print_line(line: str) -> None:
    """A line to standard error; nothing, if nobody listens there any more."""
    if sys.stderr is None:  # it was closed when we began; print would take stdout
        return
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@asynccontextmanager
async def open_talk(command: str, *, stdout: bool = False) -> AsyncIterator[Talk]:
    """Talk for `command`, live if there is a terminal for it alone: if the command
    writes to `stdout`, and that is a terminal too, the data goes there."""
    if not _has_terminal() or (stdout and os.isatty(1)):
        yield Talk(command, None)
        return
    live = _open_live()
    with live:
        async with trio.open_nursery() as nursery:
            talk = Talk(command, live)
            nursery.start_soon(talk.refresh)
            yield talk
            nursery.cancel_scope.cancel()


def _has_terminal() -> bool:
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    return os.environ.get("TERM") not in {None, "", "dumb"}


def _open_live() -> Any:
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
