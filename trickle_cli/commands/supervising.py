"""`serve --workers`: the process that starts the workers, and sees to them.

It serves nothing itself. It has what must outlast a worker: the sockets that are
listened to, the lock of the data directory, the shared table, and both ends of every
worker's inbox, so that what was sent to one that has died reaches the one that takes
its place. A seat is a worker's place; see `server/workers`.

A graceful restart (SIGUSR2) goes like this: a new generation of workers is started, of
the program as it is on disk by then. When all of them are ready, the old are retired:
they accept nothing more and tell the new what they have. When they have told, the new
accept; then the old pass on what is not theirs, and leave when their channels have
ended.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from trickle_cli.commands.running import ExitCode
from trickle_cli.commands.seats import Seat, failure
from trickle_cli.commands.serving import (
    Job,
    finishing,
    listen_for,
    load_again,
    raise_descriptor_limit,
    remove,
    serve_on,
    url_of,
)
from trickle_cli.commands.signals import interruptible
from trickle_cli.display.talk import Talk, TalkHandler, open_talk
from trickle_cli.errors import StorageFailed, TrickleError
from trickle_cli.server.systemd import notify, notify_reloading
from trickle_cli.server.workers import (
    Letter,
    Link,
    Outbox,
    Table,
    ask,
    join,
    lock_directory,
)
from trickle_cli.statistics import ServerStatistics

#: Seconds that workers may take to start; to read what is on disk; for other things.
_START_PATIENCE: Final = 60
_OPEN_PATIENCE: Final = 3600
_PATIENCE: Final = 10
#: Seconds in which all are to have told what they have closed.
_CLOSING: Final = 2
#: Seconds before one that has died is replaced, by how often that was needed of late;
#: one that has lived for so long was well.
_DELAYS: Final = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_WELL_AFTER: Final = 30
#: Seconds between looks at whether they go on.
_LOOK: Final = 1
#: Generations that there may be at the same time.
_GENERATIONS: Final = 8


async def supervise(job: Job) -> ExitCode:
    """Serve with several processes, until interrupted."""
    if not hasattr(os, "memfd_create"):
        raise TrickleError("--workers needs Linux")
    raise_descriptor_limit()
    job.secure.load_access()  # so that what is wrong with them is told once
    job.secure.load_tls()
    lock = None
    if job.config.data_dir is not None:
        try:
            lock = lock_directory(job.config.data_dir)
        except StorageFailed as error:
            raise StorageFailed(f"--data-dir {error}") from error.__cause__
    listeners = await listen_for(job)
    url = url_of(job, listeners[0])
    async with (
        open_talk("serve", job.manner) as talk,
        interruptible(lambda: talk.say(finishing(job))) as interruption,
        trio.open_nursery() as nursery,
    ):
        logging.getLogger("trickle_cli").addHandler(TalkHandler(talk))
        supervisor = Supervisor(job, talk, nursery, listeners, lock)
        await nursery.start(supervisor.run)
        nursery.start_soon(supervisor.watch)
        try:
            await supervisor.start()
            await serve_on(talk, url, interruption, nursery, supervisor.look)
            await supervisor.stop()
        finally:
            supervisor.kill()
            remove(job)
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE


class Supervisor:
    """Has the workers."""

    def __init__(
        self,
        job: Job,
        talk: Talk,
        nursery: trio.Nursery,
        listeners: list[socket.socket],
        lock: int | None,
    ) -> None:
        assert job.workers is not None
        self._job = job
        self._count = job.workers
        self._talk = talk
        self._nursery = nursery
        self._listeners = listeners
        self._lock = lock
        self._table = Table.make(self._count * _GENERATIONS)
        self._seats: dict[int, Seat] = {}
        self._present: list[Seat] = []
        self._next = 0
        self._is_stopping = False
        self._is_up = False

    # Starting.

    async def start(self) -> None:
        """Start the first workers. TrickleError if they do not come up."""
        self._present = self._take_seats()
        await self._bring_up(self._present)
        await self._open(self._present)
        self._is_up = True

    def _take_seats(self) -> list[Seat]:
        """A place for each of a generation; none if there are too many generations.
        TrickleError if there are too few descriptors."""
        free = [
            number
            for offset in range(self._table.rows)
            if (number := (self._next + offset) % self._table.rows) not in self._seats
        ]
        if len(free) < self._count:
            return []
        seats = []
        try:
            links = [Link.pair() for _ in range(self._count)]
        except OSError as error:
            raise failure(error) from error
        for number, (inbox, outbox) in zip(free, links, strict=False):
            seat = Seat(number=number, inbox=inbox, outbox=Outbox(outbox))
            self._nursery.start_soon(seat.outbox.run)
            self._seats[number] = seat
            seats.append(seat)
        self._next = (seats[-1].number + 1) % self._table.rows
        return seats

    async def _bring_up(self, seats: list[Seat]) -> None:
        """Start a worker for each, and wait until all are ready. TrickleError."""
        for seat in seats:
            await self._spawn(seat, present=seats)
        await self._hear(seats, "ready", _START_PATIENCE)

    async def _open(self, seats: list[Seat]) -> None:
        for seat in seats:
            seat.tell(Letter(kind="open"))
        await self._hear(seats, "opened", _OPEN_PATIENCE)

    async def _hear(self, seats: Iterable[Seat], kind: str, patience: float) -> None:
        """Wait until all have said that. TrickleError if one dies, or says nothing."""
        with trio.move_on_after(patience) as scope:
            for seat in seats:
                await seat.event(kind).wait()
                if seat.gone.is_set():
                    raise TrickleError(seat.reason)
        if scope.cancelled_caught:
            raise TrickleError(f"a worker is not {kind} after {patience} s")

    async def _spawn(
        self, seat: Seat, *, present: list[Seat], replaces: bool = False
    ) -> None:
        """Start a worker there. TrickleError if no process can be started."""
        control = await seat.spawn()
        self._nursery.start_soon(self._attend, seat)
        await self._introduce(seat, control, present, replaces=replaces)

    async def _introduce(
        self, seat: Seat, control: Link, present: list[Seat], *, replaces: bool
    ) -> None:
        """Tell a worker what it is, and who the others are."""
        descriptors = [
            seat.inbox.fileno(),
            self._table.descriptor,
            *(sock.fileno() for sock in self._listeners),
        ]
        if self._lock is not None:
            descriptors.append(self._lock)
        fields = {
            "seat": seat.number,
            "present": [other.number for other in present],
            "retired": [n for n, other in self._seats.items() if other.is_retired],
            "rows": self._table.rows,
            "locks": self._lock is not None,
        }
        begin = Letter(
            kind="begin",
            fields=fields,
            data=self._table.secret,
            descriptors=tuple(descriptors),
        )
        others = [other for other in self._seats.values() if other is not seat]
        introductions = [other.introduction() for other in others]
        begun = Letter(kind="begun", fields={"replaces": replaces})
        with suppress(OSError):  # it has died already
            for letter in (begin, *introductions, begun):
                await control.send(letter)

    # While they run.

    async def _attend(self, seat: Seat) -> None:
        await seat.attend(partial(self._take, seat))
        await self._see_to(seat)

    def _take(self, seat: Seat, letter: Letter) -> None:
        text = letter.data.decode("utf-8", "replace")
        match letter.kind:
            case "say":
                self._talk.say(text)
            case "warn":
                self._talk.warn(text)
            case "failed":
                seat.reason = text
            case kind:
                seat.event(kind).set()

    async def _see_to(self, seat: Seat) -> None:
        """A worker has ended: clear up behind it, and replace it if it was needed."""
        self._table.clear(seat.number)
        if seat.is_retired:
            self._dismiss(seat)
            return
        if self._is_stopping or seat not in self._present:
            return
        self._tell_loss(seat, leaves=False)
        if trio.current_time() - seat.began > _WELL_AFTER:
            seat.failures = 0
        lost = "its channels are lost, " if self._lock is None else ""
        self._talk.warn(f"{seat.reason}: {lost}another takes its place")
        seat.reason = ""
        await self._replace(seat)

    async def watch(self) -> None:
        """End workers that hang, so that others take their places, until cancelled."""
        while True:
            await trio.sleep(_LOOK)
            for seat in self._seats.values():
                if seat.hangs(self._table.row(seat.number).beats()):
                    self._talk.warn(f"worker {seat.number} hangs: it is ended")
                    seat.kill()

    async def _replace(self, seat: Seat) -> None:
        """Start another worker there, as soon as one can be started."""
        while True:
            await trio.sleep(_DELAYS[min(seat.failures, len(_DELAYS) - 1)])
            seat.failures += 1
            if seat.is_retired:  # in the meantime
                self._dismiss(seat)
                return
            if self._is_stopping:
                return
            try:
                await self._spawn(seat, present=self._present, replaces=True)
            except TrickleError as error:
                self._talk.warn(str(error))
            else:
                break
        await self._open_late(seat)

    async def _open_late(self, seat: Seat) -> None:
        """The others serve already."""
        await seat.event("ready").wait()
        if seat.is_retired:  # in the meantime
            seat.kill()
        seat.tell(Letter(kind="open"))

    def _dismiss(self, seat: Seat) -> None:
        """Nobody sits there any more."""
        self._seats.pop(seat.number, None)
        self._table.clear(seat.number)
        self._tell_loss(seat, leaves=True)
        self._pass_on(seat)
        seat.outbox.close()
        seat.inbox.close()

    def _pass_on(self, seat: Seat) -> None:
        """What was still on its way to that worker goes to those that are there."""
        with suppress(OSError):  # until there is none
            while letter := seat.inbox.receive_nowait():
                if letter.kind == "connection" and not self._is_stopping:
                    heir = self._present[0].outbox
                    heir.post(letter, (letter,), patience=_PATIENCE)
                else:
                    letter.close()

    def _tell_loss(self, seat: Seat, *, leaves: bool) -> None:
        """Let the others know that who sat there has gone, and, if it `leaves`, that
        nobody will again."""
        fields = {"seat": seat.number, "leaves": leaves}
        for other in self._seats.values():
            if other is not seat:
                letter = Letter(kind="lost", fields=fields)
                other.outbox.post(letter, patience=_PATIENCE)

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """SIGHUP: read tokens and certificates again. SIGUSR2: restart gracefully."""
        with trio.open_signal_receiver(signal.SIGHUP, signal.SIGUSR2) as signals:
            task_status.started()
            async for number in signals:
                notify_reloading()
                if number == signal.SIGHUP:
                    await self._reload()
                elif self._is_up:
                    await self._restart()
                notify("READY=1")

    async def _reload(self) -> None:
        if load_again(self._job.secure, self._talk) is None:
            return
        for seat in self._seats.values():
            seat.said.pop("reloaded", None)
            seat.tell(Letter(kind="reload"))
        with trio.move_on_after(_PATIENCE):
            for seat in list(self._seats.values()):
                await seat.event("reloaded").wait()
        self._talk.say("tokens and certificates are read again")

    async def look(self) -> ServerStatistics:
        """What all workers have together."""
        outboxes = {
            number: seat.outbox
            for number, seat in self._seats.items()
            if not seat.gone.is_set()
        }
        answers, _ = await ask(outboxes)  # who has died is told of anyway
        return join(answers)

    # Graceful restart.

    async def _restart(self) -> None:
        try:
            new = self._take_seats()
        except TrickleError as error:
            self._talk.warn(f"{error}; the old workers go on")
            return
        if not new:
            self._talk.warn(
                "there are too many generations of workers already: nothing is done"
            )
            return
        self._talk.say("new workers are starting")
        try:
            await self._bring_up(new)
        except TrickleError as error:
            self._talk.warn(f"{error}; the old workers go on")
            for seat in new:
                seat.kill()
                self._dismiss(seat)
            return
        await self._change_over(new)
        stay = "; the old ones stay until their channels end"
        self._talk.say(f"new workers serve{stay if self._lock is None else ''}")

    async def _change_over(self, new: list[Seat]) -> None:
        old = [seat for seat in self._seats.values() if seat not in new]
        heirs = json.dumps([seat.number for seat in new]).encode()
        self._present = new
        for seat in old:
            seat.is_retired = True
            seat.said.pop("retired", None)
            for heir in new:
                seat.tell(heir.introduction())
            seat.tell(Letter(kind="retire", data=heirs))
        with trio.move_on_after(_PATIENCE):
            for seat in old:
                await seat.event("retired").wait()
        for seat in old:
            if not seat.event("retired").is_set():
                seat.kill()
        try:
            await self._open(new)
        except TrickleError as error:
            self._talk.warn(f"{error}")  # it is replaced
        for seat in old:
            seat.tell(Letter(kind="release"))

    # Stopping.

    async def stop(self) -> None:
        """Have all stop in order. Who publishes the changefeed stops last, so that it
        tells of what the others close."""
        self._is_stopping = True
        for sock in self._listeners:
            sock.close()
        last, *_ = self._present
        others = [seat for seat in self._seats.values() if seat is not last]
        for seat in others:
            seat.tell(Letter(kind="stop"))
        with trio.move_on_after(_CLOSING):
            for seat in others:
                await seat.event("closed").wait()
        last.tell(Letter(kind="stop"))
        for seat in list(self._seats.values()):
            if seat.process is not None:
                await seat.process.wait()

    def kill(self) -> None:
        """End what is left, at once."""
        self._is_stopping = True
        for seat in self._seats.values():
            seat.kill()
        for sock in self._listeners:
            sock.close()
