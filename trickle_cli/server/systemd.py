"""What systemd and its like agree on with a service: sockets that are handed over, and
word of how it is (sd_listen_fds(3), sd_notify(3)).
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Final

#: The first descriptor that is handed over.
_FIRST: Final = 3


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that were handed over to this process; they are the
    caller's to close. The second time there are none."""
    count, owner = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if owner != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(count)):
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def notify(*states: str) -> None:
    """Tell whoever has started us, if it wants to know: READY=1 and the like."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.setblocking(False)
        sock.sendto("\n".join(states).encode(), address)


def notify_reloading() -> None:
    """`notify` that what was configured is being read again; READY=1 ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
