from __future__ import annotations

from typing import Any, cast

import trio
import trio.testing

from trickle_cli.client import Endpoint, Subscriber
from trickle_cli.commands.taking import Taking
from trickle_cli.display.manner import Manner
from trickle_cli.display.talk import Talk
from trickle_cli.outputs.taken import Segment, Taken


class OneSegment:
    """A subscriber, and the only segment that it gets."""

    seq, size, type, lost, restarted, incomplete = 0, 0, "", range(0), False, False

    def __init__(self, channel: str) -> None:
        self.endpoint = Endpoint.parse(channel)
        self._left: list[Any] = [self]

    def __aiter__(self) -> OneSegment:
        return self

    async def __anext__(self) -> Any:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class SlowOutlet:
    """Where segments go, but not before `ready` is set."""

    def __init__(self) -> None:
        self.ready = trio.Event()
        self.finished: list[Taken] = []

    def open(self, segment: Segment) -> SlowOutlet:
        return self

    async def write(self, data: bytes) -> None:
        raise AssertionError(data)

    async def finish(self, taken: Taken) -> Taken:
        await self.ready.wait()
        self.finished.append(taken)
        return taken

    def drop(self) -> None:
        pass


async def test_channels_that_end_a_segment_at_once_take_no_more_than_the_count() -> (
    None
):
    outlet = SlowOutlet()
    async with trio.open_nursery() as nursery:
        taking = Taking(
            talk=Talk("sub", Manner(quiet=True), None),
            enough=nursery.cancel_scope.cancel,
            outlets=[outlet],
            count=1,
        )
        for channel in ("a", "b"):
            one = cast(Subscriber, OneSegment(channel))
            nursery.start_soon(taking.run, one)
        await trio.testing.wait_all_tasks_blocked()
        outlet.ready.set()
    assert len(outlet.finished) == 1
