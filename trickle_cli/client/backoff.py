"""How long to wait before trying again."""

from __future__ import annotations

import random
from typing import Final

import trio

from trickle_cli.errors import TrickleError

#: Seconds before the first new attempt; every further one waits twice as long.
FIRST: Final = 0.1
#: The longest pause: while a segment is open and its readers wait, and else.
CAP_IN_SEGMENT: Final = 1.0
CAP: Final = 30.0


class Backoff:
    """Pauses that double up to `cap` seconds, each shortened by chance, so that
    clients of a server that comes back do not come back all at once."""

    def __init__(self, cap: float = CAP) -> None:
        self.cap = cap
        self._next = FIRST

    def reset(self) -> None:
        """It worked: start over."""
        self._next = FIRST

    async def pause(self, at_least: float = 0) -> None:
        """Wait."""
        pause = min(self._next, self.cap)
        self._next = pause * 2
        await trio.sleep(max(at_least, pause * random.uniform(0.5, 1)))  # noqa: S311


def given_up(error: TrickleError, tried: float) -> TrickleError:
    """`error`, with a note of the seconds for which it was tried to get around it."""
    if tried >= 1:
        error.add_note(f"gave up after {tried:.0f} s")
    return error
