"""Readiness of sockets, many at one waking.

A server with thousands of connections spends most of its time on being told that
one of them has something to read. A trio task for each, sleeping in
`wait_readable`, costs two calls of epoll_ctl and a task switch each time: measured,
that doubles the cost of relaying a short segment. So the sockets are in an epoll of
our own, registered once, and one task waits for that epoll and calls whoever is
ready. Nothing that is called may wait; what must (a peer that does not take its
bytes) gets a task of its own, see `connection`.

Level-triggered: what is not read is reported again, so a turn may end early, and a
connection that must not read for now is paused.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Final

import trio

#: Events taken from the kernel at a time.
_BATCH: Final = 256
#: Seconds after which other tasks get a turn, whatever else is ready.
_TURN: Final = 0.004

#: Whether this platform has what a Poller needs.
AVAILABLE: Final = hasattr(select, "epoll")


class Poller:
    """Calls back when sockets have something to read, or have failed."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}

    def close(self) -> None:
        """Let go of the epoll. Close what was added before."""
        self._epoll.close()

    def add(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        """Call `ready` whenever `sock` can be read. Remove it before it is closed:
        descriptors are used again."""
        self._ready[sock.fileno()] = ready
        self._epoll.register(sock, select.EPOLLIN)

    def pause(self, sock: socket.socket) -> None:
        """Report nothing but failures of `sock` until `resume`."""
        self._epoll.modify(sock, 0)

    def resume(self, sock: socket.socket) -> None:
        """Report again what can be read."""
        self._epoll.modify(sock, select.EPOLLIN)

    def remove(self, sock: socket.socket) -> None:
        """Forget `sock`."""
        del self._ready[sock.fileno()]
        self._epoll.unregister(sock)

    async def run(self) -> None:
        """Call whoever is ready, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._turn()

    def _turn(self) -> None:
        """Until nothing is ready: to look again costs less than trio's next waking."""
        end = time.perf_counter() + _TURN
        while events := self._epoll.poll(0, _BATCH):
            for descriptor, _ in events:
                # Whoever was called before may have closed this one.
                ready = self._ready.get(descriptor)
                if ready is not None:
                    ready()
                if time.perf_counter() > end:
                    return
