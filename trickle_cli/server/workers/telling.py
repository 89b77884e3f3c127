"""Pages about all of the server, whichever worker is asked for them."""

from __future__ import annotations

import json
import logging
import math
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import trio

from trickle_cli.relay import Hub
from trickle_cli.server.changes import is_visible
from trickle_cli.server.connection import Connection
from trickle_cli.server.metrics import Figures, Sums, show_metrics
from trickle_cli.server.pages import (
    answer_late,
    answer_listing,
    in_batches,
    snapshot,
)
from trickle_cli.server.workers.asking import ask, encode, encode_channel, join, part
from trickle_cli.server.workers.outbox import Outbox
from trickle_cli.statistics import ChannelStatistics, ServerStatistics

_log = logging.getLogger(__name__)

#: Seconds that who has asked may take to read the answer.
_PATIENCE: Final = 5
_COMPLAINT_INTERVAL: Final = 60.0


class Telling:
    """Tells what there is in `hub`, and, by way of `outboxes`, elsewhere. `sums` are
    those of this worker; `answers` those of all that do not shrink, delivered bytes and
    statuses."""

    def __init__(
        self,
        hub: Hub,
        sums: Callable[[], Sums],
        outboxes: Mapping[int, Outbox],
        answers: Callable[[], tuple[int, Mapping[int, int]]],
    ) -> None:
        self._hub = hub
        self._sums = sums
        self._outboxes = outboxes
        self._answers = answers
        self._complained: dict[int, float] = {}  # when, by seats

    async def answer(self, sock: socket.socket) -> None:
        """Somebody wants to know what there is here."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        with (
            trio.move_on_after(_PATIENCE),
            suppress(trio.BrokenResourceError, OSError),
        ):
            async with stream:
                await stream.send_all(await self._own_part())

    async def _own_part(self) -> bytes:
        entries: list[str] = []
        for batch in in_batches(self._hub.all()):
            entries += map(encode_channel, snapshot(self._hub, batch))
            await trio.lowlevel.checkpoint()
        sums = self._sums()
        about = part(sums.connections, sums.memory)
        return encode(about, entries)

    async def _join(self) -> ServerStatistics:
        others, missing = await ask(self._outboxes)
        for seat in missing:
            self._complain(seat)
        own = json.loads(await self._own_part())
        await trio.lowlevel.checkpoint()
        return join([own, *others])

    def _complain(self, seat: int) -> None:
        """Anybody may ask as often as they like: say it now and then."""
        now = trio.current_time()
        if now - self._complained.get(seat, -math.inf) > _COMPLAINT_INTERVAL:
            self._complained[seat] = now
            _log.warning("worker %d does not answer: what it has is left out", seat)

    def list_channels(self, connection: Connection) -> None:
        """Answer with the page of all channels."""

        async def tell() -> None:
            channels = _visible(await self._join(), connection)
            await answer_listing(connection, in_batches(channels))

        connection.run_errand(tell)

    def show_metrics(self, connection: Connection) -> None:
        """Answer with the page for Prometheus."""

        async def tell() -> None:
            joined = await self._join()
            channels = joined.channels
            delivered, statuses = self._answers()
            sums = Sums(
                connections=joined.connections,
                channels=sum(not channel.closed for channel in channels),
                memory=joined.memory,
                delivered=delivered,
                statuses=statuses,
            )
            figures = [_figures_of(c) for c in _visible(joined, connection)]
            answer_late(connection, show_metrics(sums, figures))

        connection.run_errand(tell)


def _visible(
    joined: ServerStatistics, connection: Connection
) -> list[ChannelStatistics]:
    """Those that the caller may know of."""
    return [
        channel
        for channel in joined.channels
        if is_visible(channel.name, connection.caller)
    ]


def _figures_of(channel: ChannelStatistics) -> Figures:
    return Figures(
        channel.name,
        channel.head,
        channel.segments,
        channel.bytes,
        channel.total_bytes,
        channel.readers,
        channel.publishers,
    )
