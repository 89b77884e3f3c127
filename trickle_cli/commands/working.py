"""One of the processes of `serve --workers`: what the supervisor says is done here.

It takes no signals: a terminal sends its own to all processes, and so does systemd,
while only one of them knows what is to happen. When the supervisor dies, whatever of,
this one stops in order.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio
from setproctitle import setproctitle

from trickle_cli.commands.access_log import AccessLog
from trickle_cli.commands.running import ExitCode, explain, first_error
from trickle_cli.commands.serving import Job, load_again, prepare_process
from trickle_cli.errors import StorageFailed, TrickleError
from trickle_cli.server.workers import (
    Letter,
    Link,
    Outbox,
    Owners,
    Table,
    Team,
    Worker,
)

if TYPE_CHECKING:
    from trickle_cli.server import Entry

#: Names the descriptor that a worker is told everything by.
VARIABLE: Final = "_TRICKLE_WORKER"
_NOT_OURS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
#: Seconds that the supervisor may take to say what there is to do.
_PATIENCE: Final = 30
#: Seconds in which others are to say what they have kept.
_HEARING: Final = 2
#: Seconds that what has still to be sent to others may take.
_SENDING: Final = 5


def inherited_link() -> Link | None:
    """What the supervisor speaks by; None if this process is no worker of its."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return Link.of(int(number))


class Voice:
    """Says through the supervisor what a server says to a person. What cannot be said
    at once is not said."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def say(self, text: str) -> None:
        """What happens."""
        self._send("say", text)

    def warn(self, text: str) -> None:
        """What went wrong."""
        self._send("warn", text)

    def _send(self, kind: str, text: str) -> None:
        with suppress(OSError):
            self._link.send_nowait(Letter(kind=kind, data=text.encode()))


class _VoiceHandler(logging.Handler):
    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.warn(record.getMessage())


async def work(job: Job, link: Link) -> ExitCode:
    """Be a worker until the supervisor, at the other end of `link`, ends it."""
    for number in _NOT_OURS:
        signal.signal(number, signal.SIG_IGN)
    prepare_process()
    try:
        await _work(job, link)
    except (TrickleError, OSError, ExceptionGroup) as raised:
        error = first_error(raised)
        if isinstance(error, StorageFailed):
            error = StorageFailed(f"--data-dir {error}")
        if not isinstance(error, TrickleError | OSError):
            raise
        with suppress(OSError):
            await link.send(Letter(kind="failed", data=explain(error).encode()))
        return ExitCode.FAILED
    finally:
        link.close()
    return ExitCode.DONE


async def _work(job: Job, link: Link) -> None:
    team: Team | None = None
    listeners: list[socket.socket] = []
    retired: list[int] = []
    letter: Letter | None = None
    with trio.move_on_after(_PATIENCE):
        while letter := await link.receive():
            if letter.kind == "begin":
                team, listeners = _team_of(letter)
                retired = letter.fields["retired"]
            elif letter.kind == "peer" and team is not None:
                team.outboxes[letter.fields["seat"]] = _outbox_of(letter)
            else:
                break
    if team is not None and letter is not None and letter.kind == "begun":
        setproctitle(f"trickle serve: worker {team.seat}")
        work = _Work(job, link, team, listeners, retired)
        await work.run(is_replacement=letter.fields["replaces"])


def _team_of(letter: Letter) -> tuple[Team, list[socket.socket]]:
    fields = letter.fields
    inbox, table, *rest = letter.descriptors
    lock = rest.pop() if fields["locks"] else None
    listeners = [socket.socket(fileno=number) for number in rest]
    for sock in listeners:
        sock.setblocking(False)
    shared = Table(table, fields["rows"], letter.data)
    return Team(
        seat=fields["seat"],
        row=shared.row(fields["seat"]),
        owners=Owners(fields["present"]),
        inbox=Link.of(inbox),
        lock=lock,
    ), listeners


def _outbox_of(letter: Letter) -> Outbox:
    return Outbox(Link.of(letter.descriptors[0]))


class _Work:
    """Does what the supervisor says."""

    def __init__(
        self,
        job: Job,
        link: Link,
        team: Team,
        listeners: list[socket.socket],
        retired: list[int],
    ) -> None:
        self._job = job
        self._link = link
        self._team = team
        self._listeners = listeners
        self._retired = retired
        self._voice = voice = Voice(link)
        logging.getLogger("trickle_cli").addHandler(_VoiceHandler(voice))
        self._log = None if job.access_log is None else AccessLog(job.access_log)
        config = replace(
            job.config, access=job.secure.load_access(), access_log=self._recorder()
        )
        self._worker = Worker(config, team, tls=job.secure.load_tls())
        self._is_stopping = False
        self._is_open = False
        self._receiving = trio.CancelScope()

    def _recorder(self) -> Callable[[Entry], None] | None:
        log, voice = self._log, self._voice
        if not self._job.manner.verbose:
            return None if log is None else log.record

        def record(entry: Entry) -> None:
            voice.say(entry.line())
            if log is not None:
                log.record(entry)

        return record

    async def run(self, *, is_replacement: bool) -> None:
        """From the first word to the last."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for outbox in self._team.outboxes.values():
                nursery.start_soon(outbox.run)
            if self._log is not None:
                await nursery.start(self._log.run, self._voice)
            await self._say("ready")
            while letter := await self._link.receive():
                await self._obey(letter, is_replacement=is_replacement)
            await self._stop()

    async def _say(self, kind: str) -> None:
        with suppress(OSError):  # if nobody listens, the next `receive` tells
            await self._link.send(Letter(kind=kind))

    async def _obey(self, letter: Letter, *, is_replacement: bool) -> None:
        match letter.kind:
            case "open":
                await self._open(is_replacement=is_replacement)
            case "peer":
                outbox = self._team.outboxes[letter.fields["seat"]] = _outbox_of(letter)
                self._nursery.start_soon(outbox.run)
            case "reload":
                await self._reload()
            case "retire":
                self._worker.retire(json.loads(letter.data))
                await self._send_all()
                await self._say("retired")
            case "release":
                self._worker.release()
                self._nursery.start_soon(self._finish)
            case "stop":
                self._nursery.start_soon(self._stop)

    async def _open(self, *, is_replacement: bool) -> None:
        worker, nursery = self._worker, self._nursery
        await nursery.start(worker.run)
        self._is_open = True
        if is_replacement:
            worker.ask_for_names(self._retired)
            nursery.start_soon(self._receive)
            with trio.move_on_after(_HEARING):
                await worker.informed.wait()
        else:
            worker.catch_up()
            nursery.start_soon(self._receive)
        worker.make_permanent(self._job.permanent)
        nursery.start_soon(worker.look)
        worker.accept(self._listeners)
        await self._say("opened")

    async def _receive(self) -> None:
        with self._receiving:
            await self._worker.receive()

    async def _reload(self) -> None:
        if self._log is not None:
            self._log.reopen()
        if (loaded := load_again(self._job.secure, self._voice)) is not None:
            self._worker.access, self._worker.tls = loaded
        await self._say("reloaded")

    async def _send_all(self) -> None:
        with trio.move_on_after(_SENDING):
            for outbox in list(self._team.outboxes.values()):
                await outbox.emptied()

    async def _finish(self) -> None:
        """We are retired: end, when nothing is left to do."""
        await self._worker.finished.wait()
        self._receiving.cancel()  # the supervisor passes on what still comes
        self._worker.pass_on_idle()
        await self._send_all()
        await self._stop()

    async def _stop(self) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        if self._is_open:
            self._nursery.start_soon(self._say_when_closed)
            await self._worker.stop()
            self._worker.settle()
            await self._send_all()
        self._nursery.cancel_scope.cancel()

    async def _say_when_closed(self) -> None:
        await self._worker.closed.wait()
        await self._send_all()
        await self._say("closed")
