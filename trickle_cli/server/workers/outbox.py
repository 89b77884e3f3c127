"""Letters to one other worker, in order. Nobody waits for them: what cannot be sent at
once is sent by a task."""

from __future__ import annotations

import errno
import logging
import math
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import trio

from trickle_cli.server.workers.letters import Letter, Link

_log = logging.getLogger(__name__)

#: Letters that may wait; with more, connections are closed. What else there is to be
#: sent is bounded by what it is about.
_MAX_WAITING: Final = 1024
#: Seconds after which it is tried again, whatever the kernel says.
_AGAIN: Final = 0.05


class Closable(Protocol):
    """A socket or its like."""

    def close(self) -> None:
        """Close it."""


class _Waiting(NamedTuple):
    letter: Letter
    owned: tuple[Closable, ...]
    deadline: float


class Outbox:
    """Sends by way of `link`, which it owns."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._waiting: deque[_Waiting] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._empty = trio.lowlevel.ParkingLot()
        self._is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether something waits for room."""
        return bool(self._waiting)

    async def emptied(self) -> None:
        """Wait until nothing waits any more."""
        while self._waiting:
            await self._empty.park()

    def post(
        self,
        letter: Letter,
        owned: tuple[Closable, ...] = (),
        *,
        patience: float = math.inf,
    ) -> None:
        """Send it, or drop it after `patience` seconds. What is `owned` (the sockets
        whose descriptors are in it) is closed when that is done."""
        sent = self._is_closed
        if not (self._waiting or sent):
            sent = self._try(letter)
        if sent or (owned and len(self._waiting) >= _MAX_WAITING):
            _close(owned)
            return
        deadline = trio.current_time() + patience
        self._waiting.append(_Waiting(letter, owned, deadline))
        self._arrived.unpark_all()

    def _try(self, letter: Letter) -> bool:
        """Whether it is done with: it is sent, or never can be."""
        try:
            return self.link.send_nowait(letter)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOMEM}:
                return False
            _log.warning("a worker cannot be reached: %s", error.strerror)
            return True

    async def run(self) -> None:
        """Send what waits, until closed or cancelled."""
        try:
            while not self._is_closed:
                if not self._waiting:
                    self._empty.unpark_all()
                    await self._arrived.park()
                    continue
                first = self._waiting[0]
                if trio.current_time() > first.deadline or self._try(first.letter):
                    self._waiting.popleft()
                    _close(first.owned)
                    continue
                with trio.move_on_after(_AGAIN):
                    await self._wait()
        finally:
            self.close()

    async def _wait(self) -> None:
        with suppress(trio.ClosedResourceError, OSError):
            await self.link.wait_writable()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Send nothing more: the other has gone."""
        self._is_closed = True
        for _, owned, _ in self._waiting:
            _close(owned)
        self._waiting.clear()
        self._arrived.unpark_all()
        self._empty.unpark_all()
        self.link.close()


def _close(owned: tuple[Closable, ...]) -> None:
    for each in owned:
        each.close()
