"""`python -m tests.e2e.aiohttp_publisher URL`: a segment for each line of stdin.

Like publishers in the field, it has two POSTs open at a time: a line begins its segment
before the line before it is all there.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator

import aiohttp


class Segment:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._began = asyncio.Event()
        self._answer = asyncio.create_task(self._post(session, url))

    async def _post(self, session: aiohttp.ClientSession, url: str) -> int:
        async with session.post(url, data=self._body()) as answer:
            await answer.read()
            return answer.status

    async def _body(self) -> AsyncIterator[bytes]:
        while (line := await self._lines.get()) is not None:
            yield line
            self._began.set()

    async def begin(self, data: bytes) -> None:
        """Write the first of it; it has been sent when this returns."""
        await self._lines.put(data)
        await self._began.wait()

    async def end(self, data: bytes) -> None:
        await self._lines.put(data)
        await self._lines.put(None)
        assert await self._answer == 200


async def publish(url: str) -> None:
    loop = asyncio.get_running_loop()
    open_one, rest = None, b""
    async with aiohttp.ClientSession() as session:
        for seq in itertools.count():
            line = await loop.run_in_executor(None, sys.stdin.buffer.readline)
            if line:
                following = Segment(session, f"{url}/{seq}")
                await following.begin(line[:1])
            if open_one is not None:
                await open_one.end(rest)
            if not line:
                break
            open_one, rest = following, line[1:]
        async with session.delete(url) as answer:
            assert answer.status == 200


asyncio.run(publish(sys.argv[1]))
