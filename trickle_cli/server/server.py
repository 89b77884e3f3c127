"""The server: listeners, connections, and an orderly end."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from socket import socket
from typing import Final, TypeAlias

import trio

from trickle_cli.access import Access
from trickle_cli.protocol.events import Request
from trickle_cli.protocol.familiar import Familiar
from trickle_cli.protocol.requests import Page
from trickle_cli.protocol.responses import Answer
from trickle_cli.relay import Hub, Others, Store, Sync
from trickle_cli.server.addresses import Addresses, Visitor
from trickle_cli.server.config import ServerConfig
from trickle_cli.server.connection import Connection
from trickle_cli.server.gate import Gate
from trickle_cli.server.handlers import Handlers
from trickle_cli.server.ledger import Ledger
from trickle_cli.server.listener import accept_from
from trickle_cli.server.metrics import Sums, figures_of, show_metrics
from trickle_cli.server.pages import (
    HEALTHY,
    list_channels,
    snapshot,
    visible_channels,
)
from trickle_cli.server.poller import AVAILABLE, Poller
from trickle_cli.server.secure import SecureTransport
from trickle_cli.server.transport import (
    Disconnected,
    SocketTransport,
    StreamTransport,
    Transport,
)
from trickle_cli.statistics import ServerStatistics

#: Seconds between looks at connections whose peers may be too slow.
_WATCH_INTERVAL: Final = 0.5
#: Seconds between looks, during a shutdown, at whether readers are done.
_DRAIN_INTERVAL: Final = 0.05
#: Connections beyond the limit that are told so; others are just closed.
_MAX_REFUSED: Final = 64
#: Seconds in which those are to ask something, to be told.
_REFUSED_PATIENCE: Final = 2

#: What handles a request.
Begin: TypeAlias = Callable[[Connection, Request], None]


class Server:
    """Serves the channels of `hub` over HTTP.

    `run` it in a nursery of yours; `stop` ends it in order, cancelling it ends
    it at once. Raises StorageFailed if its data directory cannot be used. `tls`, if it
    is set, is what new connections are encrypted with; it may be exchanged while the
    server runs.
    """

    _connection_type: type[Connection] = Connection

    def __init__(
        self, config: ServerConfig | None = None, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.tls = tls
        self.config = config = config or ServerConfig()
        self.hub = self._make_hub(config)
        base = config.base_path
        self.base_path = base if base.endswith("/") else base + "/"
        self.ledger = Ledger(config.access_log)
        self._gate = Gate(config.access, config.cors)
        self._handlers = Handlers(
            self.hub,
            self._gate,
            config,
            base_path=self.base_path,
            pages={
                Page.HEALTH: lambda connection: connection.answer(HEALTHY),
                Page.CHANNELS: self._list_channels,
                Page.METRICS: self._show_metrics,
            },
        )
        self._addresses = self._make_addresses(config)
        self._familiar = Familiar()
        self._connections: set[Connection] = set()
        self._refused = 0
        self._poller: Poller | None = None
        self._accepting = trio.CancelScope()
        self._stopping = trio.Event()
        self._ended = trio.Event()
        self._nursery: trio.Nursery | None = None

    def _make_hub(self, config: ServerConfig) -> Hub:
        store = None
        if config.data_dir is not None:
            store = self._make_store(config.data_dir, config.sync)
        return Hub(
            autocreate=config.autocreate,
            lossless=config.lossless,
            changefeed=config.changefeed,
            idle_timeout=config.idle_timeout,
            sweep_interval=config.sweep_interval,
            limits=config.limits,
            store=store,
            others=self._others,
        )

    def _make_store(self, data_dir: str, sync: Sync) -> Store:
        return Store(data_dir, sync)

    @property
    def _others(self) -> Others | None:
        """The other processes of this server, for its hub."""
        return None

    def _make_addresses(self, config: ServerConfig) -> Addresses:
        return Addresses(config.peers)

    @property
    def access(self) -> Access | None:
        """Who may do what. May be set while the server runs: from the next request
        on, the new one counts."""
        return self._gate.access

    @access.setter
    def access(self, access: Access | None) -> None:
        self._gate.access = access

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
                if listeners:
                    self.accept(listeners)
                task_status.started()
                await self._stopping.wait()
                self.stop_accepting()
                self._shut_down()
                if self.hub.store is None:
                    await self._drain()
                nursery.cancel_scope.cancel()
        finally:
            for sock in listeners:
                sock.close()
            for connection in list(self._connections):
                connection.close()
            if self._poller is not None:
                self._poller.close()
            if self.hub.store is not None:
                self.hub.store.close()
            self._ended.set()

    def accept(self, listeners: Sequence[socket]) -> None:
        """Accept from `listeners`, which are closed when that ends; once, while `run`
        runs, if that has none."""
        assert self._nursery is not None
        self._nursery.start_soon(self._accept, listeners)

    async def _accept(self, listeners: Sequence[socket]) -> None:
        try:
            with self._accepting:
                async with trio.open_nursery() as nursery:
                    for sock in listeners:
                        nursery.start_soon(
                            accept_from, sock, self._serve_socket, self._poller
                        )
        finally:
            for sock in listeners:
                sock.close()

    def stop_accepting(self) -> None:
        """Accept nothing more."""
        self._accepting.cancel()

    async def stop(self) -> None:
        """Accept no more, close all channels, let readers take what there is for
        `drain` seconds at most; then `run` returns, and so does this."""
        self._stopping.set()
        await self._ended.wait()

    def _shut_down(self) -> None:
        """Nothing more is accepted: close the channels."""
        self.hub.shut_down()

    def statistics(self) -> ServerStatistics:
        """A snapshot, for showing."""
        return ServerStatistics(
            connections=len(self._connections),
            memory=self.hub.memory.used,
            channels=tuple(snapshot(self.hub, self.hub.all())),
        )

    def _sums(self) -> Sums:
        return Sums(
            connections=len(self._connections),
            channels=len(self.hub),
            memory=self.hub.memory.used,
            delivered=self.ledger.delivered,
            statuses=self.ledger.statuses,
        )

    def _show_metrics(self, connection: Connection) -> None:
        channels = visible_channels(self.hub, connection.caller)
        figures = [figures_of(channel) for channel in channels]
        connection.answer(show_metrics(self._sums(), figures))

    def _list_channels(self, connection: Connection) -> None:
        list_channels(connection, self.hub)

    async def _drain(self) -> None:
        """Wait until no connection is in the middle of anything."""
        calm = 0
        with trio.move_on_after(self.config.drain):
            while calm < 2:
                busy = any(connection.busy for connection in self._connections)
                calm = 0 if busy else calm + 1
                await trio.sleep(_DRAIN_INTERVAL)

    # Connections.

    async def serve_stream(self, stream: trio.abc.Stream, host: str = "") -> None:
        """Serve one connection on `stream`, which is closed when this returns. `host`
        is the address at its other end, if it has one. `run` must be running."""
        transport = StreamTransport(stream)
        await transport.run(self._connect(transport, self._addresses.enter(host)))

    def _serve_socket(self, sock: socket, host: str) -> None:
        """Serve what has been accepted from `host`."""
        visitor = self._addresses.enter(host)
        if self._refused >= _MAX_REFUSED and self._addresses.refusal(visitor):
            self._addresses.leave(visitor)
            sock.close()
            return
        assert self._nursery is not None
        if self._poller is None:
            self._nursery.start_soon(self._serve_in_task, sock, visitor, self.tls)
        elif self.tls is None:
            transport = SocketTransport(sock, self._poller)
            transport.open(self._connect(transport, visitor))
        else:
            secure = SecureTransport(sock, self._poller, self.tls)
            self._nursery.start_soon(self._serve_securely, secure, visitor)

    async def _serve_securely(
        self, transport: SecureTransport, visitor: Visitor
    ) -> None:
        has_agreed = False
        try:
            with (
                suppress(Disconnected),
                trio.move_on_after(self.config.patience.head),
            ):
                await transport.shake_hands()
                has_agreed = True
        finally:
            if not has_agreed:
                self._addresses.leave(visitor)
                transport.close()
        if has_agreed:
            transport.open(self._connect(transport, visitor))

    async def _serve_in_task(
        self, sock: socket, visitor: Visitor, tls: ssl.SSLContext | None
    ) -> None:
        """Where there is no poller: any stream will do."""
        stream: trio.abc.Stream
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        if tls is not None:
            secure = trio.SSLStream(stream, tls, server_side=True)
            try:
                with trio.fail_after(self.config.patience.head):
                    await secure.do_handshake()
            except (trio.TooSlowError, trio.BrokenResourceError):
                self._addresses.leave(visitor)
                await trio.aclose_forcefully(stream)
                return
            stream = secure
        transport = StreamTransport(stream)
        await transport.run(self._connect(transport, visitor))

    def _connect(self, transport: Transport, visitor: Visitor) -> Connection:
        """A connection that serves `visitor`, or, if there are too many, says so."""
        assert self._nursery is not None
        refusal = self._addresses.refusal(visitor)
        patience = self.config.patience
        begin: Begin
        if refusal is not None:
            self._refused += 1
            begin = partial(_refuse, refusal)
            patience = replace(patience, head=_REFUSED_PATIENCE, idle=_REFUSED_PATIENCE)
        else:
            begin = self._beginning_of(visitor)

        def leave(connection: Connection) -> None:
            self._connections.discard(connection)
            self._addresses.leave(visitor)
            self._refused -= refusal is not None

        connection = self._connection_type(
            transport,
            begin=begin,
            on_close=leave,
            nursery=self._nursery,
            patience=patience,
            limits=self.config.head,
            familiar=self._familiar,
            ledger=self.ledger,
            peer=visitor.name,
        )
        self._connections.add(connection)
        return connection

    def _beginning_of(self, visitor: Visitor) -> Begin:
        """What handles the requests of `visitor`."""
        if visitor.is_proxied:
            return partial(self._begin_for_client, visitor)
        return self._handlers.begin

    def _begin_for_client(
        self, visitor: Visitor, connection: Connection, request: Request
    ) -> None:
        """A request that a proxy passes on, for somebody else each time."""
        refusal = self._addresses.attribute(visitor, request)
        connection.peer = visitor.name
        if refusal is not None:
            connection.answer(refusal)
        else:
            self._handlers.begin(connection, request)

    async def _watch(self) -> None:
        while True:
            await trio.sleep(_WATCH_INTERVAL)
            now = trio.current_time()
            for connection in list(self._connections):
                connection.check(now)


def _refuse(refusal: Answer, connection: Connection, _request: Request) -> None:
    connection.answer(refusal, close=True)
