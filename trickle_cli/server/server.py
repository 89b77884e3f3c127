"""The server: configuration, listeners, and an orderly end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from socket import socket

import trio

from trickle_cli.errors import BadAddress
from trickle_cli.relay import Hub, Limits
from trickle_cli.server.connection import Connection, Patience
from trickle_cli.server.handlers import Creation, Handlers
from trickle_cli.server.listener import accept_from
from trickle_cli.server.poller import AVAILABLE, Poller
from trickle_cli.server.transport import SocketTransport, StreamTransport, Transport
from trickle_cli.statistics import ChannelStatistics, ServerStatistics

#: Seconds between looks at connections whose peers may be too slow.
_WATCH_INTERVAL = 1.0
#: Seconds between looks, during a shutdown, at whether readers are done.
_DRAIN_INTERVAL = 0.05


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What a server does. Over HTTP it makes no channel unless it is told to.

    `base_path` the prefix of all paths · `autocreate` a first POST of a segment
    makes its channel · `allow_create` a POST to the channel makes it ·
    `changefeed` publish `_changes` · `idle_timeout` seconds without a byte after
    which a channel is closed, looked at every `sweep_interval` seconds ·
    `drain` seconds that readers get at shutdown to take what there is.
    """

    base_path: str = "/"
    autocreate: bool = False
    allow_create: bool = False
    changefeed: bool = False
    idle_timeout: float = 300
    sweep_interval: float = 60
    drain: float = 5
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        if not (self.base_path.startswith("/") and self.base_path.isascii()):
            raise BadAddress(f"base path {self.base_path!r} does not begin with '/'")


class Server:
    """Serves the channels of `hub` over HTTP.

    `run` it in a nursery of yours; `stop` ends it in order, cancelling it ends
    it at once.
    """

    def __init__(self, config: ServerConfig | None = None) -> None:
        self.config = config = config or ServerConfig()
        self.hub = Hub(
            changefeed=config.changefeed,
            idle_timeout=config.idle_timeout,
            sweep_interval=config.sweep_interval,
            limits=config.limits,
        )
        base = config.base_path
        self.base_path = base if base.endswith("/") else base + "/"
        self._handlers = Handlers(
            self.hub,
            base_path=self.base_path,
            creation=Creation(
                automatic=config.autocreate, explicit=config.allow_create
            ),
        )
        self._connections: set[Connection] = set()
        self._poller: Poller | None = None
        self._stopping = trio.Event()
        self._ended = trio.Event()
        self._nursery: trio.Nursery | None = None

    async def run(
        self,
        listeners: Sequence[socket] = (),
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve what connects to `listeners` (see `listener.listen`), which are
        closed when this ends. Started when it is accepting."""
        if AVAILABLE:
            self._poller = Poller()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self.hub.run)
                if self._poller is not None:
                    nursery.start_soon(self._poller.run)
                nursery.start_soon(self._watch)
                async with trio.open_nursery() as accepting:
                    for sock in listeners:
                        accepting.start_soon(accept_from, sock, self._serve_socket)
                    task_status.started()
                    await self._stopping.wait()
                    accepting.cancel_scope.cancel()
                for sock in listeners:
                    sock.close()
                self.hub.shut_down()
                await self._drain()
                nursery.cancel_scope.cancel()
        finally:
            for sock in listeners:
                sock.close()
            for connection in list(self._connections):
                connection.close()
            if self._poller is not None:
                self._poller.close()
            self._ended.set()

    async def stop(self) -> None:
        """Accept no more, close all channels, let readers take what there is for
        `drain` seconds at most; then `run` returns, and so does this."""
        self._stopping.set()
        await self._ended.wait()

    def statistics(self) -> ServerStatistics:
        """A snapshot, for showing."""
        return ServerStatistics(
            connections=len(self._connections),
            channels=tuple(
                ChannelStatistics(
                    name=channel.name,
                    type=channel.type,
                    epoch=channel.epoch,
                    head=channel.head,
                    segments=len(channel),
                    size=channel.size,
                    total=channel.total,
                    readers=channel.readers,
                    publishers=channel.publishers,
                    closed=channel.closed,
                )
                for channel in self.hub.all()
            ),
        )

    async def _drain(self) -> None:
        """Wait until no connection is in the middle of anything."""
        calm = 0
        with trio.move_on_after(self.config.drain):
            while calm < 2:
                busy = any(connection.busy for connection in self._connections)
                calm = 0 if busy else calm + 1
                await trio.sleep(_DRAIN_INTERVAL)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection on `stream`, which is closed when this returns.
        `run` must be running."""
        transport = StreamTransport(stream)
        await transport.run(self._connect(transport))

    def _serve_socket(self, sock: socket) -> None:
        if self._poller is not None:
            transport = SocketTransport(sock, self._poller)
            transport.open(self._connect(transport))
        else:
            assert self._nursery is not None
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            self._nursery.start_soon(self.serve_stream, stream)

    def _connect(self, transport: Transport) -> Connection:
        assert self._nursery is not None
        connection = Connection(
            transport,
            begin=self._handlers.begin,
            on_close=self._connections.discard,
            nursery=self._nursery,
            patience=self.config.patience,
        )
        self._connections.add(connection)
        return connection

    async def _watch(self) -> None:
        while True:
            await trio.sleep(_WATCH_INTERVAL)
            now = trio.current_time()
            for connection in list(self._connections):
                connection.check(now)
