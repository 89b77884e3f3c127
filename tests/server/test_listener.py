from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from tests.waiting import until
from trickle_cli.server.listener import accept_from, listen
from trickle_cli.server.poller import AVAILABLE, Poller

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="there is no epoll here")


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


async def test_once_it_is_cancelled_what_connects_is_for_others(
    poller: Poller, nursery: trio.Nursery
) -> None:
    """Processes share listeners."""
    (listener,) = await listen("127.0.0.1", 0)
    served: list[socket.socket] = []
    nursery.start_soon(poller.run)
    with listener:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(
                accept_from, listener, lambda sock, _: served.append(sock), poller
            )
            with socket.create_connection(listener.getsockname()):
                await until(lambda: served)
            accepting.cancel_scope.cancel()
        with socket.create_connection(listener.getsockname()):
            await trio.testing.wait_all_tasks_blocked()
            assert len(served) == 1
            listener.accept()[0].close()
    served[0].close()


class Exhausted(socket.socket):
    """A listener of a process that has no descriptors left."""

    calls = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.calls += 1
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_out_of_descriptors_it_looks_again_now_and_then(
    poller: Poller, nursery: trio.Nursery
) -> None:
    (listener,) = await listen("127.0.0.1", 0)
    nursery.start_soon(poller.run)
    with Exhausted(fileno=listener.detach()) as exhausted:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(accept_from, exhausted, lambda *_: None, poller)
            with socket.create_connection(exhausted.getsockname()):
                began = trio.current_time()
                await until(lambda: exhausted.calls >= 3)
                assert trio.current_time() - began > 0.1  # two pauses
            accepting.cancel_scope.cancel()
