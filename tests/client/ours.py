"""Our own server in this process, for tests of both ends together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.client.scripted import PATIENCE
from tests.waiting import until
from trickle_cli.client import Endpoint
from trickle_cli.relay import Hub
from trickle_cli.server import Server, ServerConfig, listen


class OurServer:
    """From `serving`. `hub` has its channels."""

    def __init__(self, server: Server, port: int) -> None:
        self._server = server
        self.hub: Hub = server.hub
        self.url = f"http://127.0.0.1:{port}{server.base_path}"

    def endpoint(self, channel: str = "cam") -> Endpoint:
        return Endpoint.parse(channel, self.url)

    @property
    def connections(self) -> int:
        return self._server.statistics().connections

    def answers(self, status: int) -> int:
        """How many it has given with that status."""
        return self._server.ledger.statuses[status]

    async def until_preconnected(self, seq: int, channel: str = "cam") -> None:
        """Wait for a POST of segment `seq`, which has not begun."""

        def is_there() -> bool:
            found = [c._awaited.get(seq) for c in self.hub.all() if c.name == channel]
            return any(segment is not None and segment.writers for segment in found)

        await until(is_there)

    async def stop(self) -> None:
        await self._server.stop()


@asynccontextmanager
async def serving(config: ServerConfig | None = None) -> AsyncIterator[OurServer]:
    """A server that makes channels for whoever asks, unless `config` says else."""
    server = Server(config or ServerConfig(autocreate=True))
    listeners = await listen("127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run, listeners)
            yield OurServer(server, port)
            nursery.cancel_scope.cancel()
