"""One of the processes of a server: a `Server` that has some of the channels, and hands
connections for others to those that have them.

At the end of its time, after a graceful restart, it is *retired*: it accepts nothing
and makes no channel, but serves those that it has until they are forgotten. While the
generations change it is *frozen* for a moment: what it cannot serve waits until all
know who has what, so that no channel is made twice.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import trio

from trickle_cli.protocol.events import Request
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.protocol.requests import operation
from trickle_cli.relay import Others, Store, Sync
from trickle_cli.server.addresses import FULL, Addresses, Visitor
from trickle_cli.server.config import ServerConfig
from trickle_cli.server.connection import Connection
from trickle_cli.server.metrics import Sums
from trickle_cli.server.secure import SecureTransport
from trickle_cli.server.server import Begin, Server
from trickle_cli.server.transport import SocketTransport, Transport
from trickle_cli.server.workers.changes import Registry, Reporter
from trickle_cli.server.workers.letters import Letter, Link
from trickle_cli.server.workers.moving import MovableConnection
from trickle_cli.server.workers.outbox import Outbox
from trickle_cli.server.workers.owners import Owners, place_of
from trickle_cli.server.workers.parcel import Parcel
from trickle_cli.server.workers.passing import Passing
from trickle_cli.server.workers.pump import Pump, PumpedTransport
from trickle_cli.server.workers.sharing import SharedAddresses, SharedMemory
from trickle_cli.server.workers.table import Row
from trickle_cli.server.workers.telling import Telling

_log = logging.getLogger(__name__)

#: Seconds between looks at what is shared.
_LOOK: Final = 0.1
#: Seconds that another worker may take to answer a question.
_TELLING: Final = 5
#: Workers that a connection may pass through for one request.
_MAX_HOPS: Final = 4
#: Letters taken before other tasks get a turn.
_BATCH: Final = 64
#: Names whose requests are known to be for here.
_MAX_OURS: Final = 10_000
#: Connections that wait while generations change.
_MAX_HELD: Final = 4096


@dataclass(kw_only=True)
class Team:
    """A worker's place among the others: its `seat`; its `row` in the table; whose
    channels are whose; its `inbox`; and the way to each of the others. `lock` is that
    of the data directory."""

    seat: int
    row: Row
    owners: Owners
    inbox: Link
    outboxes: dict[int, Outbox] = field(default_factory=dict)
    lock: int | None = None


class Worker(Server):
    """`run` it with no listeners, and then `receive`; `accept` when it may."""

    _connection_type = MovableConnection

    def __init__(
        self, config: ServerConfig, team: Team, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.team = team
        self._wants_changes = config.changefeed
        self._reporter = Reporter(team.seat, self._open_names)
        self._ours: set[bytes] = set()
        patience = max(config.patience.stall, config.limits.lease)
        self._passing = Passing(
            team.seat, team.outboxes.get, self._start_pump, patience
        )
        self._held: list[tuple[str, Parcel]] | None = None
        self._is_retired = False
        self._has_given_over = False
        self._permanent: dict[str, str] = {}
        self._awaited: set[int] = set()
        self.informed = trio.Event()
        self.closed = trio.Event()
        self.finished = trio.Event()
        publishes = config.changefeed and team.owners.heir(CHANGEFEED) == team.seat
        super().__init__(replace(config, changefeed=publishes), tls=tls)
        self._skip = len(self.base_path)
        self._base = self.base_path.encode()
        self._registry = Registry(self.hub.announce) if publishes else None
        limit = config.limits.memory
        workers = len(team.owners.present)
        self._telling = Telling(self.hub, self._sums, team.outboxes, self._all_answers)
        self._memory = SharedMemory(self.hub, team.row, limit, workers, self._ask_look)
        self._takers: dict[str, Callable[[Letter], object]] = {
            "connection": self._take_connection,
            "ask": self._take_question,
            "changes": self._take_changes,
            "open": self._take_names,
            "kept": self._take_kept,
            "forgot": self._take_forgotten,
            "tell": self._take_request_for_names,
            "lost": self._take_loss,
            "look": lambda _: self._memory.look(),
            "make room": lambda _: self.hub.forget_one(),
        }

    def _make_store(self, data_dir: str, sync: Sync) -> Store:
        team = self.team
        present = team.owners.present
        place = present.index(team.seat)
        return Store(
            data_dir,
            sync,
            lock=team.lock,
            is_ours=lambda name: place_of(name, len(present)) == place,
        )

    @property
    def _others(self) -> Others:
        return self

    def _make_addresses(self, config: ServerConfig) -> Addresses:
        return SharedAddresses(config.peers, self.team.row)

    # What the hub tells of its channels: it calls these.

    def announce(
        self, *, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        """To whoever publishes the changefeed, and, if we are retired, to whoever is to
        know which channels are here."""
        if self._wants_changes and self._registry is None:
            self._reporter.note(added=added, removed=removed)
            self._report()
        if added and self._is_retired:
            self._tell_kept(added)

    def forgot(self, name: str) -> None:
        """What is asked of that name goes elsewhere from now on, if we are retired."""
        if self._is_retired:
            self._ours.clear()
            data = name.encode()
            for seat in self.team.owners.present:
                self._post(seat, Letter(kind="forgot", fields=self._from, data=data))

    def count(self, channels: int, draining: int) -> tuple[int, int]:
        """Those of all workers, of which we have so many."""
        self.team.row.tell_channels(channels, draining)
        return self.team.row.channels()

    def make_room(self) -> None:
        """Let somebody forget a channel."""
        seat = self.team.row.drainer()
        if seat is not None:
            self._post(seat, Letter(kind="make room"))

    # Life.

    @property
    def _from(self) -> dict[str, object]:
        return {"seat": self.team.seat}

    def _post(self, seat: int, letter: Letter) -> None:
        outbox = self.team.outboxes.get(seat)
        if outbox is not None:
            outbox.post(letter)

    def catch_up(self) -> None:
        """Take the letters that are there already."""
        with suppress(OSError):  # until there is none
            while letter := self.team.inbox.receive_nowait():
                self._take(letter)

    async def receive(self) -> None:
        """Take letters, until cancelled."""
        inbox = self.team.inbox
        while True:
            await trio.lowlevel.wait_readable(inbox.fileno())
            for _ in range(_BATCH):
                try:
                    letter = inbox.receive_nowait()
                except BlockingIOError:
                    break
                except OSError as error:
                    _log.warning("a connection is lost: %s", error.strerror)
                    continue
                if letter is not None:
                    self._take(letter)

    def _take(self, letter: Letter) -> None:
        take = self._takers.get(letter.kind)
        if take is None:  # it comes from another version of the program
            letter.close()
        else:
            take(letter)

    async def look(self) -> None:
        """See to what is shared, again and again, until cancelled."""
        while True:
            await trio.sleep(_LOOK)
            self.team.row.beat()
            self._memory.look()
            self._report()
            self.settle()
            if self._is_retired and self._held is None and self._is_done():
                self.finished.set()

    def settle(self) -> None:
        """Have what was counted here outlast this process."""
        self.team.row.tell_ledger(self.ledger)

    def _shut_down(self) -> None:
        super()._shut_down()
        self._report()
        self.closed.set()

    # Whose a request is.

    def _connect(self, transport: Transport, visitor: Visitor) -> Connection:
        connection = super()._connect(transport, visitor)
        assert isinstance(connection, MovableConnection)
        connection.host = visitor.host
        return connection

    def _beginning_of(self, visitor: Visitor) -> Begin:
        return partial(self._begin, super()._beginning_of(visitor))

    def _begin(self, proceed: Begin, connection: Connection, request: Request) -> None:
        target = request.target
        if target[self._skip :].partition(b"/")[0] in self._ours:
            proceed(connection, request)
            return
        name = getattr(operation(request, self._base), "channel", None)
        assert isinstance(connection, MovableConnection)
        if name is None:
            proceed(connection, request)
        elif (seat := self._owner(name, connection.origin)) == self.team.seat:
            self._note_ours(target)
            proceed(connection, request)
        else:
            self._send_away(connection, name, seat)

    def _note_ours(self, target: bytes) -> None:
        """Requests like this one are for us, as long as nothing changes."""
        if not target.startswith(self._base) or b"?" in target:
            return
        if len(self._ours) >= _MAX_OURS:
            self._ours.clear()
        self._ours.add(target[self._skip :].partition(b"/")[0])

    def _owner(self, name: str, origin: int | None) -> int | None:
        """The seat of who is to serve a request about that channel; None if that cannot
        be said yet. `origin` has sent it here: it is not that one."""
        owners = self.team.owners
        if self._is_retired:
            if name != CHANGEFEED and self._has(name):
                return self.team.seat
            return owners.heir(name) if self._held is None else None
        seat = owners.owner(name)
        if seat == origin and seat not in owners.present:
            owners.forget(seat, name)
            seat = owners.heir(name)
        return seat

    def _has(self, name: str) -> bool:
        return self.hub.get(name) is not None and not self._has_given_over

    def _send_away(
        self,
        connection: MovableConnection,
        name: str,
        seat: int | None,
    ) -> None:
        if not connection.can_move or connection.hops >= _MAX_HOPS:
            connection.break_off()
            return
        try:
            parcel = self._passing.pack(connection)
        except OSError:
            connection.answer(FULL, close=True)
            return
        if seat is not None:
            self._passing.send(parcel, seat)
        elif self._held is not None and len(self._held) < _MAX_HELD:
            self._held.append((name, parcel))
        else:
            parcel.close()

    def _take_connection(self, letter: Letter) -> None:
        parcel = Parcel.of(letter)
        if self._poller is None or self._ended.is_set():
            parcel.close()
            return
        visitor = self._addresses.enter(parcel.host, 1 if parcel.beside is None else 0)
        if parcel.beside is None:
            transport = SocketTransport(parcel.sock, self._poller)
        else:
            transport = PumpedTransport(
                parcel.sock, self._poller, parcel.beside, parcel.counts
            )
        connection = self._connect(transport, visitor)
        transport.open(connection)
        if parcel.data and isinstance(connection, MovableConnection):
            connection.origin, connection.hops = parcel.origin, parcel.hops
            connection.received(parcel.data)
            connection.origin, connection.hops = None, 0

    def _start_pump(self, pump: Pump, host: str) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._pump, pump, host)

    async def _pump(self, pump: Pump, host: str) -> None:
        visitor = self._addresses.enter(host)  # it is still connected here
        try:
            await pump.run()
        finally:
            self._passing.pumping -= 1
            self._addresses.leave(visitor)

    def _list_channels(self, connection: Connection) -> None:
        self._telling.list_channels(connection)

    def _show_metrics(self, connection: Connection) -> None:
        self._telling.show_metrics(connection)

    def _sums(self) -> Sums:
        self.settle()
        return super()._sums()

    def _all_answers(self) -> tuple[int, Mapping[int, int]]:
        """The bytes delivered, and the answers by their statuses, of all workers that
        ever were."""
        self.settle()
        return self.team.row.delivered(), self.team.row.statuses()

    # What others ask, and tell.

    def _take_question(self, letter: Letter) -> None:
        assert self._nursery is not None
        sock = socket.socket(fileno=letter.descriptors[0])
        self._nursery.start_soon(self._telling.answer, sock)

    def _ask_look(self, seat: int) -> None:
        """Let the worker there see to the memory that it uses."""
        outbox = self.team.outboxes.get(seat)
        if outbox is not None and not outbox.is_busy:
            outbox.post(Letter(kind="look"))

    # Changes.

    def _open_names(self) -> list[str]:
        return [c.name for c in self.hub if c.name != CHANGEFEED]

    def _report(self) -> None:
        """Tell what has come and gone, if it is not being told already."""
        seat = self.team.owners.heir(CHANGEFEED)
        outbox = self.team.outboxes.get(seat)
        if seat == self.team.seat or outbox is None or outbox.is_busy:
            return
        if (letter := self._reporter.letter()) is not None:
            outbox.post(letter)

    def _take_changes(self, letter: Letter) -> None:
        if self._registry is not None:
            changes = json.loads(letter.data)
            self._registry.take_changes(letter.fields["seat"], changes)

    def _take_names(self, letter: Letter) -> None:
        if self._registry is not None:
            names = json.loads(letter.data)
            self._registry.take_names(letter.fields["seat"], names)

    def _take_request_for_names(self, letter: Letter) -> None:
        """Somebody begins anew, and wants to know what is here."""
        seat = letter.fields["seat"]
        if self._is_retired:
            self._tell_kept([channel.name for channel in self.hub.all()])
        if seat == self.team.owners.heir(CHANGEFEED) and self._wants_changes:
            self._reporter.begin_anew()
            self._report()

    def _take_loss(self, letter: Letter) -> None:
        """Nobody sits there any more; somebody else may, later."""
        seat = letter.fields["seat"]
        if self._registry is not None:
            self._registry.lose(seat)
        for name in self.team.owners.lose(seat):
            self._make_permanent(name)
        self._hear_from(seat)
        if letter.fields["leaves"] and seat in self.team.outboxes:
            self.team.outboxes.pop(seat).close()

    # Graceful restart: the new.

    def _take_kept(self, letter: Letter) -> None:
        seat = letter.fields["seat"]
        self.team.owners.keeps(seat, json.loads(letter.data))
        self._ours.clear()
        self._hear_from(seat)

    def _hear_from(self, seat: int) -> None:
        self._awaited.discard(seat)
        if not self._awaited:
            self.informed.set()

    def _take_forgotten(self, letter: Letter) -> None:
        name = letter.data.decode()
        self.team.owners.forget(letter.fields["seat"], name)
        self._make_permanent(name)

    def make_permanent(self, channels: Sequence[tuple[str, str]]) -> None:
        """Have those of `channels` that are ours, from now on or as soon as they are;
        each with its MIME type."""
        self._permanent = dict(channels)
        for name in self._permanent:
            self._make_permanent(name)

    def _make_permanent(self, name: str) -> None:
        type_ = self._permanent.get(name)
        if type_ is not None and self.team.owners.owner(name) == self.team.seat:
            self.hub.create(name, type_, permanent=True)

    def ask_for_names(self, retired: Sequence[int]) -> None:
        """We take the place of one that has died: have the others tell what they have.
        When those that are `retired` have, we are `informed`."""
        self._awaited.update(seat for seat in retired if seat in self.team.outboxes)
        self._hear_from(self.team.seat)
        for seat in self.team.outboxes:
            self._post(seat, Letter(kind="tell", fields=self._from))

    # Graceful restart: the old.

    def retire(self, heirs: Sequence[int]) -> None:
        """Others take our place. Until `release`, what we cannot serve waits."""
        self.stop_accepting()
        self._is_retired = True
        self._held = []
        self._ours.clear()
        self.team.owners = Owners(heirs)
        if self._registry is not None:
            self._registry = None
            self.hub.end_changefeed()
        if self.hub.store is not None:
            self._give_over()
            return
        self.hub.keep_no_more()
        self._tell_kept([c.name for c in self.hub.all() if c.name != CHANGEFEED])
        if self._wants_changes:
            self._reporter.begin_anew()
            self._report()

    def _give_over(self) -> None:
        """Channels that are on disk go to those who take our place: they read them
        there, and clients come again."""
        self._has_given_over = True
        for connection in list(self._connections):
            connection.close(fail=connection.busy)
        self.hub.shut_down()
        for channel in self.hub.all():
            channel.recording.log = None

    def _tell_kept(self, names: Sequence[str]) -> None:
        data = json.dumps(names, ensure_ascii=False).encode()
        for seat in self.team.owners.present:
            self._post(seat, Letter(kind="kept", fields=self._from, data=data))

    def release(self) -> None:
        """All know who has what."""
        held, self._held = self._held, None
        for name, parcel in held or ():
            self._passing.send(parcel, self.team.owners.heir(name))

    def _is_done(self) -> bool:
        """Whether there is nothing left for us to do."""
        if self.hub.store is not None:
            return True
        if any(channel.name != CHANGEFEED for channel in self.hub.all()):
            return False
        return not (self._passing.pumping or any(c.busy for c in self._connections))

    def pass_on_idle(self) -> None:
        """What is connected without a request goes to those who take our place."""
        present = self.team.owners.present
        for number, connection in enumerate(list(self._connections)):
            if (
                isinstance(connection, MovableConnection)
                and connection.is_idle
                and not isinstance(connection.transport, SecureTransport)
            ):
                seat = present[number % len(present)]
                self._passing.send(self._passing.pack(connection), seat)
