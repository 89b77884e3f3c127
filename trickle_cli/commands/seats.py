"""The places of a server's workers, and the processes that sit there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import trio

from trickle_cli.commands.working import VARIABLE
from trickle_cli.errors import TrickleError
from trickle_cli.server.workers import Letter, Link, Outbox

#: Where a worker's modules come from: as ours, wherever that is.
_PATH_VARIABLE: Final = "_TRICKLE_PATH"
_PROGRAM: Final = (
    "import os, sys;"
    f" sys.path[:] = os.environ.pop('{_PATH_VARIABLE}').split(os.pathsep);"
    " from trickle_cli.start import main; main()"
)
#: What is ours alone.
_OURS: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"})
#: Seconds that a process may take to end when it says nothing more.
_PATIENCE: Final = 10
#: Looks, one a second, after which one whose tasks do not go on will not do so again.
_HOPELESS: Final = 30


@dataclass(kw_only=True, eq=False)
class Seat:
    """A worker's place. `inbox` is the end that it reads, `outbox` the other; `control`
    is what it is told everything by. `reason` is what it has said that was wrong, or
    how it has ended; `gone` is set when it has.
    """

    number: int
    inbox: Link
    outbox: Outbox
    control: Link | None = None
    process: trio.Process | None = None
    is_retired: bool = False
    began: float = 0.0
    failures: int = 0
    reason: str = ""
    #: What it has said since it began, by kind.
    said: dict[str, trio.Event] = field(default_factory=dict)
    gone: trio.Event = field(default_factory=trio.Event)
    _beats: int = field(default=0, init=False)
    _idle_looks: int = field(default=0, init=False)

    def event(self, kind: str) -> trio.Event:
        """Set when it has said that, or has gone."""
        event = self.said.setdefault(kind, trio.Event())
        if self.gone.is_set():
            event.set()  # nobody need wait for it
        return event

    def tell(self, letter: Letter) -> None:
        """One that does not listen any more is about to be noticed."""
        if self.control is not None:
            with suppress(OSError):
                self.control.send_nowait(letter)

    def hangs(self, beats: int) -> bool:
        """Whether it serves, but its tasks have not gone on for too long by now. Called
        every second with how often it has said that they do. Looks are counted, not
        seconds: it does not matter if all of us are stopped for a while."""
        is_serving = self.event("opened").is_set() and not self.gone.is_set()
        is_idle = is_serving and beats == self._beats
        self._beats = beats
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        return self._idle_looks == _HOPELESS

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def spawn(self) -> Link:
        """Start a process that sits here; what it is told everything by. TrickleError
        if none can be started: there are too many, or what is to run is just being
        exchanged."""
        try:
            control, theirs = Link.pair()
        except OSError as error:
            raise failure(error) from error
        self.control = control
        self.said, self.gone = {}, trio.Event()
        self.began = trio.current_time()
        environment = {k: v for k, v in os.environ.items() if k not in _OURS}
        environment[VARIABLE] = str(theirs.fileno())
        environment[_PATH_VARIABLE] = os.pathsep.join(sys.path)
        try:
            self.process = await trio.lowlevel.open_process(
                [sys.executable, "-P", "-c", _PROGRAM, *sys.argv[1:]],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        except OSError as error:
            control.close()
            self.gone.set()
            raise failure(error) from error
        finally:
            theirs.close()
        return control

    async def attend(self, take: Callable[[Letter], None]) -> None:
        """Give what the worker says to `take`, until it has ended."""
        control, process = self.control, self.process
        assert control is not None
        assert process is not None
        while letter := await control.receive():
            take(letter)
        with trio.move_on_after(_PATIENCE):
            await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        control.close()
        if not self.reason:
            self.reason = f"worker {self.number} {_how(process.returncode)}"
        self.gone.set()
        for event in list(self.said.values()):
            event.set()

    def introduction(self) -> Letter:
        """The way to this one's inbox, for another worker."""
        return Letter(
            kind="peer",
            fields={"seat": self.number},
            descriptors=(self.outbox.link.fileno(),),
        )


def failure(error: OSError) -> TrickleError:
    """What it means that a process or a socket could not be made."""
    where = f"{error.filename}: " if error.filename else ""
    return TrickleError(f"no worker can be started: {where}{error.strerror}")


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}"
