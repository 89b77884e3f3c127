"""Ctrl-C and its kin: the first asks a command to finish, the second ends it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from trickle_cli.commands.running import ExitCode

_CODES: Final = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}


class Interruption:
    """What has been asked for: `code` is None before the first signal, and the exit
    code from then on. The first signal calls `cancel`, which may be set at any time;
    until it is, there is nothing to finish, and all of the block is cancelled.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self.code: ExitCode | None = None
        self.cancel = cancel


@asynccontextmanager
async def interruptible(
    finishing: Callable[[], None] = lambda: None, *, grace: float = 10
) -> AsyncIterator[Interruption]:
    """Let SIGINT and SIGTERM interrupt the block: the first calls `finishing`, to say
    so, and `cancel`; a second, or `grace` seconds, cancels all of it."""
    async with trio.open_nursery() as nursery:
        interruption = Interruption(nursery.cancel_scope.cancel)
        everything = nursery.cancel_scope
        await nursery.start(_listen, interruption, finishing, everything, grace)
        yield interruption
        nursery.cancel_scope.cancel()


async def _listen(
    interruption: Interruption,
    finishing: Callable[[], None],
    everything: trio.CancelScope,
    grace: float,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(*_CODES) as signals:
        task_status.started()
        async for number in signals:
            if interruption.code is not None:
                everything.cancel()
                continue
            finishing()
            interruption.code = _CODES[signal.Signals(number)]
            everything.deadline = trio.current_time() + grace
            interruption.cancel()
