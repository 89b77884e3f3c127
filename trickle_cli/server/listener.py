"""Listening sockets, and the loop that accepts from them."""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final

import trio

from trickle_cli.errors import TrickleError
from trickle_cli.server.poller import Poller

_log = logging.getLogger(__name__)

#: The kernel caps it at net.core.somaxconn (4096 on Linux).
_BACKLOG: Final = 4096
#: Connections accepted before other tasks get a turn.
_BATCH: Final = 64
#: Out of descriptors or memory: the peer waits in the backlog meanwhile.
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_EXHAUSTED_PAUSE: Final = 0.1
_COMPLAINT_INTERVAL: Final = 60.0
#: This machine does not have the address, or nothing of its kind.
_ABSENT: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
#: A peer that vanished without a word is noticed after about 30 + 5 × 6 seconds.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 6), ("TCP_KEEPCNT", 5))


async def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that `host` has, at `port`, 0 for a free one. Of those
    that this machine does not have (IPv6, often), one at least must remain.

    The sockets are the caller's to close. Raises TrickleError with a hint if the
    name cannot be resolved or an address cannot be had.
    """
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise TrickleError(
            f"cannot listen on {host!r}: {error.strerror or error}"
        ) from error
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, kind, proto, _, address in dict.fromkeys(found):
            wanted = (address[0], port, *address[2:])
            try:
                sock = _listen_on(socket.socket(family, kind, proto), wanted)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error
                continue
            sockets.append(sock)
            port = sock.getsockname()[1]  # if it was 0: the same for all of them
        if absent is not None and not sockets:
            raise absent
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise TrickleError(_reason(host, port, error)) from error
    return sockets


def _listen_on(sock: socket.socket, address: tuple[str | int, ...]) -> socket.socket:
    """Options set here are inherited by what is accepted."""
    with ExitStack() as undo:
        undo.callback(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(_BACKLOG)
        undo.pop_all()
    return sock


def listen_unix(path: str, mode: int = 0o600) -> socket.socket:
    """Listen on a Unix socket at `path`, which those may connect to who may write to a
    file with this `mode`. A socket that is left there by a server that has gone is
    replaced. The socket is the caller's to close, the file to `remove_unix`.

    Raises TrickleError with a hint.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~mode)  # so that it is never more open than it may be
    try:
        _remove_stale(path)
        sock.setblocking(False)
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        what = f"cannot listen on {path}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            what += " — stop what runs there, or remove the file"
        raise TrickleError(what) from error
    finally:
        os.umask(mask)
    return sock


def _remove_stale(path: str) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # to bind fails then, and that says why
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)
            if trial.connect_ex(path) == errno.ECONNREFUSED:
                os.unlink(path)


def remove_unix(path: str) -> None:
    """Remove the file of a Unix socket on which nobody listens any more."""
    with suppress(OSError):
        _remove_stale(path)


def _reason(host: str, port: int, error: OSError) -> str:
    what = f"cannot listen on {host}:{port}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        return f"{what} — stop what runs there, or choose another --port (0: any)"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{what} — ports below 1024 need rights, choose another --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{what} — this machine does not have that address, see --host"
    return what


class _Door:
    """Accepts what connects to `listener`."""

    def __init__(
        self, listener: socket.socket, serve: Callable[[socket.socket, str], None]
    ) -> None:
        self._listener = listener
        self._serve = serve
        self._complained = -math.inf

    def let_in(self) -> bool:
        """Accept those that wait. False if this process cannot have more for now."""
        for _ in range(_BATCH):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._complain(error)
                    return False
                continue  # the peer gave up before we came to it
            sock.setblocking(False)
            self._serve(sock, address[0] if isinstance(address, tuple) else "")
        return True

    def _complain(self, error: OSError) -> None:
        now = trio.current_time()
        if now - self._complained > _COMPLAINT_INTERVAL:
            self._complained = now
            _log.warning("connections have to wait: %s", error.strerror)


async def accept_from(
    listener: socket.socket,
    serve: Callable[[socket.socket, str], None],
    poller: Poller | None = None,
) -> None:
    """Accept until cancelled, and hand each connection to `serve`, with the address of
    its peer, "" where it has none. With a `poller`, one waking of that can do for a
    connection and for what comes on it."""
    door = _Door(listener, serve)
    if poller is None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            if not door.let_in():
                await trio.sleep(_EXHAUSTED_PAUSE)
    pausing = trio.lowlevel.ParkingLot()

    def ready() -> None:
        if not door.let_in():
            poller.pause(listener)
            pausing.unpark()

    poller.add(listener, ready)
    try:
        while True:
            await pausing.park()
            await trio.sleep(_EXHAUSTED_PAUSE)
            poller.resume(listener)
    finally:
        poller.remove(listener)
