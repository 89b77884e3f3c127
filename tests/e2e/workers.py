"""What tests need to know about the processes of one server."""

from __future__ import annotations

import http.client as http_client
import itertools
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from tests.commands.programs import PATIENCE, Http, Program
from trickle_cli.server.workers import Owners


def workers_of(server: Program) -> dict[int, int]:
    """The processes of its workers, by their seats."""
    found = {}
    pid = server.process.pid
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    for child in " ".join(task.read_text() for task in tasks).split():
        try:
            title = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue  # it has just gone
        text = title.rstrip(b"\0 ").decode()
        if text.startswith("trickle serve: worker "):
            found[int(text.rpartition(" ")[2])] = int(child)
    return found


def names_at(seat: int, count: int, workers: int, first: int = 0) -> list[str]:
    """Names of channels that belong to the worker there, of so many that are present,
    whose first seat is `first`."""
    owners = Owners(range(first, first + workers))
    names = (f"cam-{number}" for number in itertools.count())
    return list(itertools.islice((n for n in names if owners.heir(n) == seat), count))


def spread(count: int, workers: int) -> list[str]:
    """Names of channels, of which each belongs to another worker than the last."""
    rows = [names_at(seat, count, workers) for seat in range(workers)]
    return [rows[number % workers][number] for number in range(count)]


class Walker:
    """Many requests on one connection, by Python's own client."""

    def __init__(self, http: Http, context: ssl.SSLContext | None = None) -> None:
        host, port = http.address
        self.connection: http_client.HTTPConnection
        if context is None:
            self.connection = http_client.HTTPConnection(host, port, timeout=PATIENCE)
        else:
            self.connection = http_client.HTTPSConnection(
                host, port, timeout=PATIENCE, context=context
            )
        self.connections = 0

    def __enter__(self) -> Walker:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] = b"") -> bytes:
        """The body of an answer that is 200."""
        if self.connection.sock is None:
            self.connections += 1
        chunked = not isinstance(body, bytes)
        self.connection.request(method, path, body or None, encode_chunked=chunked)
        with self.connection.getresponse() as answer:
            content = answer.read()
            assert answer.status == 200, (method, path, answer.status, content)
            return content


def ask(
    http: Http,
    method: str,
    path: str,
    body: bytes | Iterator[bytes] = b"",
    context: ssl.SSLContext | None = None,
) -> bytes:
    """One request on a connection of its own; the body of its answer, which is 200."""
    with Walker(http, context) as walker:
        return walker.ask(method, path, body)


def connect(http: Http) -> socket.socket:
    """A bare connection."""
    sock = socket.create_connection(http.address, timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def descriptors(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
