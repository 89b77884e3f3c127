"""The load that `trickle bench` makes: publishers and subscribers in one process, who
know by the beginning of each segment when it was sent."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import trio

from trickle_cli.client import ClientConfig, Control, Endpoint, Publisher, Subscriber
from trickle_cli.commands.publishing import Pace
from trickle_cli.display.histogram import Histogram
from trickle_cli.errors import TrickleError

#: What a segment begins with: when it was sent, in nanoseconds of the monotonic clock.
_STAMP: Final = struct.Struct(">Q")
STAMP_SIZE: Final = _STAMP.size
#: Seconds in which subscribers are to be there; to get what is left; to clean up.
_ATTACH_TIMEOUT: Final = 10.0
_DRAIN_TIMEOUT: Final = 30.0
_CLOSE_TIMEOUT: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is to be done. Each channel has a publisher, which sends `segments` of
    `size` bytes, or for so many `seconds`, in pieces of `chunk` bytes, at `rate` bytes
    a second if that is limited, and has `subscribers`."""

    publishers: int
    subscribers: int
    size: int
    chunk: int
    segments: float
    seconds: float
    rate: int | None
    lossless: bool


class Outcome:
    """What was measured; times in seconds, sizes in bytes."""

    def __init__(self) -> None:
        self.sent = self.received = 0
        self.sent_bytes = self.received_bytes = 0
        self.lost = self.incomplete = 0
        self.first_byte = Histogram()
        self.whole = Histogram()
        self.seconds = 0.0
        self.cpu = 0.0


@asynccontextmanager
async def channels(
    endpoints: list[Endpoint], config: ClientConfig, *, lossless: bool
) -> AsyncIterator[None]:
    """Make the channels; close them afterwards, whatever happens."""
    try:
        for endpoint in endpoints:
            async with Control(endpoint, config) as control:
                await control.create(lossless=lossless)
        yield
    finally:
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            for endpoint in endpoints:
                with suppress(TrickleError):
                    async with Control(endpoint, config) as control:
                        await control.close()


async def run(
    load: Load, endpoints: list[Endpoint], config: ClientConfig, outcome: Outcome
) -> None:
    """Do it, and put what comes of it into `outcome`."""
    async with channels(endpoints, config, lossless=load.lossless):
        begun = _Beginning(load.publishers)
        async with trio.open_nursery() as nursery:
            for endpoint in endpoints:
                nursery.start_soon(_publish, load, endpoint, config, outcome, begun)
                for _ in range(load.subscribers):
                    nursery.start_soon(_subscribe, endpoint, config, outcome)
            await begun.all.wait()
            started, cpu = time.monotonic(), time.process_time()
            begun.go.set()
            await begun.over.wait()
            nursery.cancel_scope.deadline = trio.current_time() + _DRAIN_TIMEOUT
        outcome.seconds = time.monotonic() - started
        outcome.cpu = time.process_time() - cpu


class _Beginning:
    """Lets publishers begin at once, and tells when they are through."""

    def __init__(self, publishers: int) -> None:
        self.all = trio.Event()
        self.go = trio.Event()
        self.over = trio.Event()
        self._waiting = self._left = publishers

    async def wait(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self.all.set()
        await self.go.wait()

    def done(self) -> None:
        self._left -= 1
        if not self._left:
            self.over.set()


async def _publish(
    load: Load,
    endpoint: Endpoint,
    config: ClientConfig,
    outcome: Outcome,
    begun: _Beginning,
) -> None:
    rest = bytes(load.size - STAMP_SIZE)
    chunk = load.chunk
    pace = None if load.rate is None else Pace(load.rate)
    async with Publisher(endpoint, lossless=load.lossless, config=config) as publisher:
        with trio.move_on_after(_ATTACH_TIMEOUT), suppress(TrickleError):
            await publisher.wait_for_readers(load.subscribers)
        await begun.wait()
        until = time.monotonic() + load.seconds
        left = load.segments
        while left > 0 and time.monotonic() < until:
            left -= 1
            segment = await publisher.next()
            if pace is not None:
                await pace.wait(min(chunk, load.size))
            data = _STAMP.pack(time.monotonic_ns()) + rest
            for position in range(0, load.size - chunk, chunk):
                await segment.write(data[position : position + chunk])
                if pace is not None:
                    await pace.wait(min(chunk, load.size - chunk - position))
            await segment.close(data[(load.size - 1) // chunk * chunk :])
            outcome.sent += 1
            outcome.sent_bytes += load.size
        await publisher.flush()
        begun.done()
        outcome.lost += len(publisher.lost)
        await publisher.close()


async def _subscribe(
    endpoint: Endpoint, config: ClientConfig, outcome: Outcome
) -> None:
    async with Subscriber(endpoint, start=0, config=config) as subscriber:
        async for segment in subscriber:
            sent = 0
            head = b""
            async for data in segment:
                if not sent:
                    head += data[:STAMP_SIZE]
                    if len(head) >= STAMP_SIZE:
                        (sent,) = _STAMP.unpack_from(head)
                        outcome.first_byte.add((time.monotonic_ns() - sent) / 1e9)
            outcome.received += 1
            outcome.received_bytes += segment.size
            if sent and not segment.incomplete:
                outcome.whole.add((time.monotonic_ns() - sent) / 1e9)
        statistics = subscriber.statistics()
        outcome.lost += statistics.lost
        outcome.incomplete += statistics.incomplete
