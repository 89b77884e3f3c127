"""A proxy that is far away: `python -m bench.delaying PORT SECONDS` passes all to PORT
on this machine, and each byte, either way, gets there so much later.

It delays and does not slow down: what comes within the delay is on its way all at once.
A new connection takes a round trip, as the handshake of TCP would.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

_PIECE: Final = 64 * 1024
#: Pieces on their way, at most.
_BOUND: Final = 10_000


async def _carry(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float
) -> None:
    """All that comes from `source`, and its end, to `sink`, `delay` seconds later."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_BOUND)

    async def take() -> None:
        data = b"-"
        while data:
            data = await source.read(_PIECE)
            await under_way.put((clock() + delay, data))

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                break
            sink.write(data)
            await sink.drain()
        sink.write_eof()


async def _serve(port: int, delay: float) -> None:
    async def pass_on(
        near: asyncio.StreamReader, to_near: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(2 * delay)
        far, to_far = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ExceptionGroup):  # whoever broke off knows
            async with asyncio.TaskGroup() as group:
                group.create_task(_carry(near, to_far, delay))
                group.create_task(_carry(far, to_near, delay))
        to_near.close()
        to_far.close()

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
