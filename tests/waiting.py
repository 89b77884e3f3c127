"""Waiting for what other tasks do, where they have no events for it."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

#: Those who wait here: what they do concerns nobody.
_waiting: set[trio.lowlevel.Task] = set()


class _Steps(trio.abc.Instrument):
    """Unparks whoever is in `lot` when a task has done something."""

    def __init__(self) -> None:
        self.lot = trio.lowlevel.ParkingLot()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task not in _waiting:
            self.lot.unpark_all()


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds, which is looked at after each step of any task."""
    await trio.lowlevel.checkpoint()
    steps = _Steps()
    task = trio.lowlevel.current_task()
    trio.lowlevel.add_instrument(steps)
    _waiting.add(task)
    try:
        while not condition():
            await steps.lot.park()
    finally:
        _waiting.remove(task)
        trio.lowlevel.remove_instrument(steps)


async def linger(chance: random.Random) -> None:
    """Let the others go on, for a longer or shorter while."""
    for _ in range(chance.randrange(300)):
        await trio.lowlevel.checkpoint()
