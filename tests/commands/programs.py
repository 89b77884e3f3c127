"""The real command in real processes, and a plain HTTP client beside it.

Threads collect what a process says, so that it never waits for us, and every wait of
ours ends after `PATIENCE`, with what was said so far in the failure.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any
from urllib.parse import urlsplit

#: Seconds that anything may take: reached only when something is broken.
PATIENCE = 30.0
TRICKLE = (sys.executable, "-m", "trickle_cli")


def environment(**more: str) -> dict[str, str]:
    """Ours without what would change how commands behave, and `more`."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("TRICKLE_")}
    plain.pop("PYTHONDONTWRITEBYTECODE", None)  # to start as quickly as installed ones
    return plain | {"TERM": "dumb", "COLUMNS": "80", "LC_ALL": "C.UTF-8"} | more


class Program:
    """A process that runs. `out` and `err` grow while it does."""

    def __init__(
        self,
        *command: str,
        stdin: int | IO[bytes] = subprocess.PIPE,
        stdout: int | IO[bytes] = subprocess.PIPE,
        **env: str,
    ) -> None:
        self.out = b""
        self.err = ""
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=environment(**{"XDG_CONFIG_HOME": "/nonexistent", **env}),
            process_group=0,  # of its own, with what it starts itself
        )
        streams = ((self.process.stdout, self._hear), (self.process.stderr, self._note))
        self._threads = [
            threading.Thread(target=self._collect, args=(stream, take), daemon=True)
            for stream, take in streams
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, stream: IO[bytes], take: Callable[[bytes], None]) -> None:
        with stream:
            while data := stream.read1(65536):  # type: ignore[attr-defined]
                with self._changed:
                    take(data)
                    self._changed.notify_all()

    def _hear(self, data: bytes) -> None:
        self.out += data

    def _note(self, data: bytes) -> None:
        self.err += data.decode()

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that its output makes true."""
        with self._changed:
            met = self._changed.wait_for(condition, PATIENCE)
        assert met, (self.process.args, self.out[-500:], self.err)

    def says(self, text: str) -> str:
        """Wait for a whole line on standard error with `text` in it."""
        self.wait_until(lambda: self._line_with(text))
        return self._line_with(text)

    def _line_with(self, text: str) -> str:
        whole = self.err[: self.err.rfind("\n") + 1].splitlines()
        return next((line for line in whole if text in line), "")

    def writes(self, data: bytes) -> None:
        """Wait for `data` to be all that is on standard output."""
        self.wait_until(lambda: len(self.out) >= len(data))
        assert self.out == data

    def feed(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        self.process.send_signal(number)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def ends(self, patience: float = PATIENCE) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(patience)
        for thread in self._threads:
            thread.join(patience)
        assert "Traceback" not in self.err, self.err
        return code

    def kill(self) -> None:
        """Clear it away, whatever it does."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        if self.runs:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)


class Http:
    """Requests to one server, by Python's own client."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.address = (parts.hostname, parts.port)
        self._base = parts.path

    def ask(
        self, method: str, path: str, body: bytes = b"", **fields: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Status, body and fields of the whole answer."""
        with self.begin(method, path, body, **fields) as answer:
            return answer.status, answer.read(), answer.headers

    @contextmanager
    def begin(
        self, method: str, path: str, body: bytes = b"", **fields: str
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer whose body is still to come."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            names = {name.replace("_", "-"): text for name, text in fields.items()}
            connection.request(method, self._base + path, body or None, names)
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def get(self, path: str) -> bytes:
        status, body, _ = self.ask("GET", path)
        assert status == 200, (path, status, body)
        return body

    def make(self, channel: str, *segments: bytes, type_: str = "text/plain") -> None:
        """A channel that is open, and holds `segments`."""
        assert self.ask("POST", f"/{channel}", Expect_Content=type_)[0] == 200
        self.add(channel, 0, *segments)

    def add(self, channel: str, seq: int, *segments: bytes) -> None:
        for number, data in enumerate(segments, seq):
            assert self.ask("POST", f"/{channel}/{number}", data)[0] == 200

    def close(self, channel: str) -> None:
        assert self.ask("DELETE", f"/{channel}")[0] == 200

    def is_closed(self, channel: str) -> bool:
        status, _, fields = self.ask("GET", f"/{channel}/next")
        assert status == 200
        return fields["Lp-Trickle-Closed"] == "terminated"

    def segments(self, channel: str) -> list[bytes]:
        """All of a channel that is over, or ends its segments before long."""
        _, head, _ = self.ask("GET", f"/{channel}/next")
        return [self.get(f"/{channel}/{seq}") for seq in range(int(head))]


class Programs:
    """Starts commands, and kills what is left of them at the end."""

    def __init__(self) -> None:
        self._started: list[Program] = []

    def start(self, *arguments: str, **options: Any) -> Program:
        """`trickle` with these arguments."""
        return self.start_other(*TRICKLE, *arguments, **options)

    def start_other(self, *command: str, **options: Any) -> Program:
        self._started.append(Program(*command, **options))
        return self._started[-1]

    def run(self, *arguments: str, given: bytes = b"", **options: Any) -> Program:
        """`trickle` with these arguments, from start to end; `given` is its input."""
        program = self.start(*arguments, **options)
        program.feed(given)
        program.end_input()
        program.ends()
        return program

    def serve(self, *arguments: str, port: int = 0) -> tuple[Program, Http]:
        """A server, once it listens, and the way to it."""
        program = self.start("serve", "--port", str(port), *arguments)
        url = program.says("listening on").rpartition(" ")[2]
        return program, Http(url)

    def kill(self) -> None:
        for program in reversed(self._started):
            program.kill()


def wait_until(
    condition: Callable[..., object], told: Callable[[], object] = str
) -> None:
    """Wait for what other programs do, where nothing tells of it but to look again;
    `told` says what there was if it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)


def read_to_end(sock: socket.socket) -> bytes:
    """Until the server hangs up, in whatever way."""
    parts = []
    try:
        while data := sock.recv(65536):
            parts.append(data)
    except ConnectionResetError:
        pass
    return b"".join(parts)
