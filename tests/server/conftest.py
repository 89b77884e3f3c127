from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from tests.server.peer import Peer
from trickle_cli.server import Server, ServerConfig, listen


class Running:
    """A server that runs, and the way to it."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.hub = server.hub
        self.port = port
        self._peers: list[Peer] = []

    async def connect(self) -> Peer:
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", self.port))
        self._peers.append(peer)
        return peer

    async def hang_up(self) -> None:
        for peer in self._peers:
            await trio.aclose_forcefully(peer.stream)


Start = Callable[[ServerConfig], Awaitable[Running]]


@pytest.fixture
async def start(nursery: trio.Nursery) -> AsyncIterator[Start]:
    """Start a server; it ends with the test."""
    started: list[Running] = []

    async def start(config: ServerConfig) -> Running:
        server = Server(config)
        listeners = await listen("127.0.0.1", 0)
        port = listeners[0].getsockname()[1]
        await nursery.start(server.run, listeners)
        started.append(Running(server, port))
        return started[-1]

    with trio.fail_after(60):
        yield start
    for running in started:
        await running.hang_up()


@pytest.fixture
async def running(start: Start) -> Running:
    """A server that lets everybody make channels."""
    return await start(ServerConfig(autocreate=True, allow_create=True))
