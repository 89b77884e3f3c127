"""Limits that are the server's as a whole: connections, channels, and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trickle_cli.relay import Hub
from trickle_cli.server.addresses import Addresses, Visitor
from trickle_cli.server.config import Peers
from trickle_cli.server.workers.table import Row

#: What is free is shared out in parts so small that what others have been granted and
#: do not use is little; and not smaller than the second.
_PART: Final = 16
_SMALLEST: Final = 64
#: When less than such a part is free, all tell how much their largest channels hold.
_NOTABLE: Final = 4
#: When less than such a part is free, who has the largest channel makes twice as much
#: free; when less than the second, everybody lets go of its own.
_LOW: Final = 32
_CRITICAL: Final = 256


class SharedAddresses(Addresses):
    """Counts the connections of all workers."""

    def __init__(self, peers: Peers, row: Row) -> None:
        super().__init__(peers)
        self._row = row
        self._is_limited = peers.connections is not None

    def enter(self, host: str, weight: int = 1) -> Visitor:
        visitor = super().enter(host, weight)
        self._row.tell_connections(self._total)
        return visitor

    def leave(self, visitor: Visitor) -> None:
        super().leave(visitor)
        self._row.tell_connections(self._total)

    def _is_full(self) -> bool:
        # Without a limit there are the descriptors, of which each process has its own.
        if not self._is_limited:
            return super()._is_full()
        return self._row.connections() > self.limit

    def _of(self, key: object) -> int:
        return self._row.connections_of(key)

    def _count(self, key: object) -> None:
        if key is not None and self._per_address is not None:
            self._row.enter(key)

    def _discount(self, key: object) -> None:
        if key is not None and self._per_address is not None:
            self._row.leave(key)


class SharedMemory:
    """Lets `hub` hold what the others leave of `limit`.

    Each worker is granted what it uses, and a part of what is free; the grants of all
    together are never more than the limit. When a grant is used up, and now and then
    (`look`), it is worked out anew. When little is left, the worker with the largest
    channel lets go of its oldest segments; `ask` asks another, by its row, to look.
    """

    def __init__(
        self, hub: Hub, row: Row, limit: int, workers: int, ask: Callable[[int], None]
    ) -> None:
        self._hub = hub
        self._row = row
        self._limit = limit
        self._workers = workers
        self._ask = ask
        hub.memory.relieve = self._relieve
        self._grant()

    def look(self) -> None:
        """See how much there is."""
        free = self._grant()
        if free < self._limit // _LOW and self._row.hoarder() == self._row.number:
            self._make_free(2 * self._limit // _LOW)

    def _relieve(self) -> None:
        """The hub has used what it was granted."""
        free = self._grant()
        if free >= self._limit // _LOW:
            return
        hoarder = self._row.hoarder()
        if hoarder == self._row.number:
            self._make_free(2 * self._limit // _LOW)
            return
        self._ask(hoarder)
        if free < self._limit // _CRITICAL:
            self._make_free(self._limit // _CRITICAL)

    def _make_free(self, goal: int) -> None:
        """Let go of our own, until so much is free."""
        missing = goal - self._free()
        if missing > 0:
            self._hub.shed(missing)
        self._grant()

    def _free(self) -> int:
        return self._limit - self._hub.memory.used - self._row.memory_of_others()

    def _grant(self) -> int:
        """Work out what the hub may grow to; how much is free."""
        memory, free = self._hub.memory, self._free()
        part = free // (_PART * self._workers)
        smallest = self._limit // (_SMALLEST * self._workers)
        # Beyond the limit, it is less than what there is: that holds publishers back.
        memory.limit = memory.used + max(part, min(smallest, free))
        self._row.tell_memory(max(memory.used, memory.limit))
        if free < self._limit // _NOTABLE:
            sizes = (channel.memory for channel in self._hub.all())
            self._row.tell_largest(max(sizes, default=0))
        return free
