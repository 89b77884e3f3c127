"""A shell on a terminal of its own, and what is seen there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.commands.programs import PATIENCE, wait_until
from tests.guides.steps import fits

#: Stands before the output of each command.
MARK: Final = "\x1e"
_COLOURS: Final = re.compile("\x1b\\[[0-9;]*m")
#: Lines that are seen or not, as things meet.
_BY_CHANCE: Final = re.compile(
    r"trickle \w+: here it is|trickle serve: channel _changes is closed, .*"
)


class Shell:
    """A script that runs in bash, on a terminal of its own."""

    def __init__(self, script: Path, folder: Path, env: dict[str, str]) -> None:
        self._person, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        flags = termios.tcgetattr(program)
        flags[3] &= ~termios.ECHO
        termios.tcsetattr(program, termios.TCSANOW, flags)
        self.script = script.read_text()
        self._text = b""
        self._seen = 0  # lines that a guide has shown
        self._process = subprocess.Popen(
            ["setsid", "--ctty", "bash", str(script)],
            stdin=program,
            stdout=program,
            stderr=program,
            cwd=folder,
            env=env,
        )
        os.close(program)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        with suppress(OSError):  # that is how a terminal ends
            while data := os.read(self._person, 65536):
                self._text += data

    @property
    def text(self) -> str:
        text = self._text.decode(errors="replace").replace("\r\n", "\n")
        return _COLOURS.sub("", text)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def interrupt(self) -> None:
        os.write(self._person, b"\x03")

    def ends(self) -> int:
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"goes on: {self.script}\n{self.text}") from None
        self._reading.join(1)  # what it has left behind may hold the terminal
        return code

    def kill(self) -> None:
        """Clear it away, with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._reading.join(PATIENCE)
        with suppress(OSError):
            os.close(self._person)
            self._person = -1

    def wait_until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, lambda: f"{self.script}\n{self.text}")

    def shows(self, shown: list[str]) -> None:
        """Wait for these lines, in this order, after those that were waited for."""

        def are_there() -> bool:
            seen = self._seen
            lines = self.text.splitlines()
            for wanted in shown:
                while seen < len(lines) and not fits(wanted, lines[seen]):
                    seen += 1
                if seen == len(lines):
                    return False
                seen += 1
            self._seen = seen
            return True

        try:
            self.wait_until(are_there)
        except AssertionError as error:
            wanted = "\n".join(shown)
            raise AssertionError(f"{error}\ndoes not show\n{wanted}") from None

    def rest(self) -> list[str]:
        """The lines after those that were waited for."""
        lines = self.text.splitlines()[self._seen :]
        return [line for line in lines if not _BY_CHANCE.fullmatch(line)]

    def outputs(self) -> list[list[str]]:
        """The lines of each command, but for those that are there by chance."""
        return [
            [line for line in part.splitlines() if not _BY_CHANCE.fullmatch(line)]
            for part in self.text.split(f"{MARK}\n")[1:]
        ]
