"""What a client does that is measured, in a process of its own: ours, or httpx or
aiohttp with the same requests. `python -m bench.client_work JSON`.

It publishes, or gets, `segments` segments of `size` bytes, in pieces of 64 KiB, or as
many as come within `seconds`, and says what processor time that took, and how long.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx
import trio

from bench.peers import say, wait_to_go
from trickle_cli.client import Endpoint, Publisher, Subscriber

_PIECE: Final = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Work:
    kind: str
    client: str
    side: str
    port: int
    channel: str
    segments: int
    size: int
    seconds: float = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.channel}"

    def pieces(self) -> list[bytes]:
        whole, rest = divmod(self.size, _PIECE)
        return [b"x" * _PIECE] * whole + ([b"x" * rest] if rest else [])

    async def body(self) -> AsyncIterator[bytes]:
        for piece in self.pieces():
            yield piece


class Watch:
    """What has been taken since everybody was ready."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.done = 0
        wait_to_go()
        self._cpu = _cpu()
        self._begun = time.monotonic()

    def goes_on(self) -> bool:
        """Count a segment, if there is to be one more."""
        spent = time.monotonic() - self._begun
        if self.done == self._work.segments or 0 < self._work.seconds < spent:
            return False
        self.done += 1
        return True

    def tell(self, *, lost: int = 0) -> None:
        took = time.monotonic() - self._begun
        say(cpu=_cpu() - self._cpu, seconds=took, segments=self.done, lost=lost)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def publish_ours(work: Work) -> None:
    endpoint = Endpoint.parse(work.url)
    async with Publisher(endpoint, type_="text/plain") as publisher:
        watch = Watch(work)
        pieces = work.pieces()
        while watch.goes_on():
            if len(pieces) == 1:
                await publisher.write(pieces[0])
                continue
            segment = await publisher.next()
            for piece in pieces:
                await segment.write(piece)
            await segment.close()
        await publisher.flush()
        watch.tell()


async def subscribe_ours(work: Work) -> None:
    async with Subscriber(Endpoint.parse(work.url), start=0) as subscriber:
        watch = Watch(work)
        while watch.goes_on():
            async for _ in await subscriber.read():
                pass
        watch.tell(lost=subscriber.statistics().lost)


async def publish_httpx(work: Work) -> None:
    async with httpx.AsyncClient() as client:
        watch = Watch(work)
        while watch.goes_on():
            url = f"{work.url}/{watch.done - 1}"
            (await client.post(url, content=work.body())).raise_for_status()
        watch.tell()


async def subscribe_httpx(work: Work) -> None:
    async with httpx.AsyncClient() as client:
        watch = Watch(work)
        while watch.goes_on():
            async with client.stream("GET", f"{work.url}/{watch.done - 1}") as answer:
                answer.raise_for_status()
                async for _ in answer.aiter_raw():
                    pass
        watch.tell()


async def publish_aiohttp(work: Work) -> None:
    async with aiohttp.ClientSession() as client:
        watch = Watch(work)
        while watch.goes_on():
            url = f"{work.url}/{watch.done - 1}"
            async with client.post(url, data=work.body()) as answer:
                answer.raise_for_status()
        watch.tell()


async def subscribe_aiohttp(work: Work) -> None:
    async with aiohttp.ClientSession() as client:
        watch = Watch(work)
        while watch.goes_on():
            async with client.get(f"{work.url}/{watch.done - 1}") as answer:
                answer.raise_for_status()
                async for _ in answer.content.iter_any():
                    pass
        watch.tell()


_WORK: Final[dict[str, Callable[[Work], None]]] = {
    "publish ours": lambda work: trio.run(publish_ours, work),
    "subscribe ours": lambda work: trio.run(subscribe_ours, work),
    "publish httpx": lambda work: trio.run(publish_httpx, work),
    "subscribe httpx": lambda work: trio.run(subscribe_httpx, work),
    "publish aiohttp": lambda work: asyncio.run(publish_aiohttp(work)),
    "subscribe aiohttp": lambda work: asyncio.run(subscribe_aiohttp(work)),
}


if __name__ == "__main__":
    _work = Work(**json.loads(sys.argv[1]))
    _WORK[f"{_work.side} {_work.client}"](_work)
