"""From inputs to a publisher: when it ends in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import trio
import trio.testing

from tests.splitters.streams import key, pat, pmt
from trickle_cli.client import Publisher
from trickle_cli.commands.inputs import Input
from trickle_cli.commands.publishing import Transfer
from trickle_cli.commands.running import ExitCode
from trickle_cli.commands.signals import Interruption
from trickle_cli.splitters import Content, Cutter, FormatSplitter, Splitter
from trickle_cli.splitters.transport import TransportStream


class Pipe:
    """A source of some reads, at whose end nothing more comes, nor an end."""

    def __init__(self, reads: Iterable[bytes]) -> None:
        self._reads = list(reads)

    async def receive_some(self) -> bytes:
        if not self._reads:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        return self._reads.pop(0)


class Segments:
    """A publisher that remembers. Each of its segments is open until it is closed."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []
        self.open = 0

    async def next(self) -> Segments:
        await trio.lowlevel.checkpoint()
        self.segments.append(b"")
        self.open += 1
        return self

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.segments[-1] += data

    async def close(self, data: bytes = b"") -> None:
        await self.write(data)
        self.open -= 1


def transfer(segments: Segments, interruption: Interruption) -> Transfer:
    publisher = cast("Publisher", segments)
    return Transfer(publisher, interruption, rate=None, tee=None, whole=False)


async def interrupted(source: Input, cutter: Cutter) -> Segments:
    """What was published when an interruption came while nothing else did."""
    segments = Segments()
    async with trio.open_nursery() as nursery:
        interruption = Interruption(nursery.cancel_scope.cancel)
        run = transfer(segments, interruption).run
        nursery.start_soon(run, source, cutter)
        await trio.testing.wait_all_tasks_blocked()
        interruption.code = ExitCode.INTERRUPTED
        interruption.cancel()
    assert not segments.open
    return segments


async def test_what_was_looked_at_is_sent_when_it_is_interrupted() -> None:
    source = Input("pipe", Pipe([b"G"]))
    with trio.move_on_after(0.01):
        await source.sniff()
    assert source.is_seen
    segments = Segments()
    interruption = Interruption(lambda: None)
    interruption.code = ExitCode.INTERRUPTED
    await transfer(segments, interruption).run(source, Splitter())
    assert segments.segments == [b"G"]


async def test_what_was_held_back_is_sent_when_it_is_interrupted() -> None:
    data = pat() + pmt() + key() * 3 + pat()
    source = Input("pipe", Pipe([data[:-9]]))
    segments = await interrupted(source, FormatSplitter(TransportStream()))
    assert b"".join(segments.segments).endswith(data[-188:-9])


async def test_nothing_is_looked_at_twice(autojump_clock: trio.abc.Clock) -> None:
    source = Input("pipe", Pipe([b"G", b"O", b""]))
    assert await source.sniff() == Content(type="text/plain")
    assert await source.sniff() == Content(type="text/plain")
    assert await source.receive_some() == b"GO"
    assert await source.receive_some() == b""


async def test_first_bytes_wait_for_more_but_not_for_long(
    autojump_clock: trio.abc.Clock,
) -> None:
    began = trio.current_time()
    source = Input("pipe", Pipe([b"G"]))
    assert await source.sniff() == Content(type="text/plain")
    assert trio.current_time() - began <= 0.3
    assert await source.receive_some() == b"G"
