"""Processes that measure and are measured: servers, floors, and the loads on them."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import IO, Any, Final

#: Seconds that anything may take: reached only when something is broken.
PATIENCE: Final = 180.0
#: Seconds in which another server is to listen.
_STARTING: Final = 20.0
TRICKLE: Final = (sys.executable, "-m", "trickle_cli")
#: Numbers for channels, so that no round meets what another left. Three digits, as the
#: floor has it; a server does not live for a thousand.
_numbers = count()


def environment() -> dict[str, str]:
    """Ours, without what would change how commands behave, or keep Python from storing
    what it has compiled: an installed command finds that."""
    changing = ("TRICKLE_", "PYTHONDONTWRITE")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(changing)}
    return plain | {"XDG_CONFIG_HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}


def new_channel() -> str:
    return f"{next(_numbers) % 1000:03}"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A server that runs. `kind` is what loads are to speak with it."""

    kind: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http{'s' if self.kind.endswith('tls') else ''}://127.0.0.1:{self.port}"


@contextmanager
def started(*command: str, **pipes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, env=environment(), **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _port_in(stream: IO[bytes], what: str) -> int:
    line = stream.readline().decode()
    match = re.search(r"127\.0\.0\.1:(\d+)", line)
    if match is None:
        raise RuntimeError(f"{what} did not start: {line or 'it said nothing'}")
    return int(match[1])


def _swallow(stream: IO[bytes]) -> None:
    """Read what a process says, so that it never waits for us to."""
    threading.Thread(target=lambda: [*iter(stream.readline, b"")], daemon=True).start()


@contextmanager
def server(*arguments: str, tls: tuple[str, str] | None = None) -> Iterator[Peer]:
    """`trickle serve`, once it listens. `tls` are the files of certificate and key."""
    secure = ("--cert", tls[0], "--key", tls[1]) if tls else ()
    command = (*TRICKLE, "serve", "--port", "0", "--no-changefeed", *secure, *arguments)
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        port = _port_in(process.stderr, "the server")
        _swallow(process.stderr)
        yield Peer(kind="http-tls" if tls else "http", port=port, pid=process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def reference(command: str) -> Iterator[Peer]:
    """Another server that speaks the protocol: `command`, with a port for `{port}`,
    once it listens there on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(*shlex.split(command.format(port=port))) as process:
        until = time.monotonic() + _STARTING
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError as error:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command!r} does not listen") from error
                time.sleep(0.05)
        yield Peer(kind="http", port=port, pid=process.pid)


@contextmanager
def floor(tls: tuple[str, str] | None = None) -> Iterator[Peer]:
    """Bare sockets that do what a server does with the same bytes."""
    command = (sys.executable, "-m", "bench.floors", *(tls or ()))
    with started(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = _port_in(process.stdout, "the floor")
        yield Peer(kind="bare-tls" if tls else "bare", port=port, pid=process.pid)


@contextmanager
def delayed(peer: Peer, seconds: float) -> Iterator[Peer]:
    """The same server, so far away that each byte takes so long to come or to go."""
    command = (sys.executable, "-m", "bench.delaying", str(peer.port), str(seconds))
    with started(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = _port_in(process.stdout, "the proxy")
        yield Peer(kind=peer.kind, port=port, pid=peer.pid)


class Load:
    """A load that has attached, and waits to be told to go."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def go(self) -> dict[str, Any]:
        """Do it all; what it saw."""
        self.begin()
        return self.says()

    def begin(self) -> None:
        """Let it go, and do something else meanwhile."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def says(self) -> dict[str, Any]:
        """The next thing that it tells."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load broke off; what it said stands above")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def load(module: str, peer: Peer | None, **options: object) -> Iterator[Load]:
    """The module `bench.<module>` as a process, attached. It gets `options` as JSON."""
    if peer is not None:
        options |= {"kind": peer.kind, "port": peer.port}
    command = (sys.executable, "-m", f"bench.{module}", json.dumps(options))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started(*command, **pipes) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            attached = Load(process)
            attached.says()
            yield attached
        finally:
            timer.cancel()
