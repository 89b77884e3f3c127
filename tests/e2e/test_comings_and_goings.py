"""Subscribers that connect, wait, and go away, ten thousand times."""

from __future__ import annotations

import re
import socket
import struct
from pathlib import Path

from tests.commands.programs import Http, Programs, wait_until

TIMES = 10_000
AT_ONCE = 100
RESET = struct.pack("ii", 1, 0)


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory(pid: int) -> int:
    """What is resident, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def come_wait_and_go(http: Http, number: int) -> None:
    """Some at once, each until the server has its request; half of them reset."""
    peers = [socket.create_connection(http.address) for _ in range(number)]
    for peer in peers:
        peer.sendall(b"GET /cam/-1 HTTP/1.1\r\nHost: here\r\n\r\n")
    # When this is answered, what was sent before it has been read.
    assert http.get("/cam/next") == b"1"
    for index, peer in enumerate(peers):
        if index % 2:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()


def wait_until_gone(pid: int, before: int) -> None:
    wait_until(
        lambda: descriptors(pid) <= before, lambda: f"{descriptors(pid)} descriptors"
    )


def test_nothing_is_left_of_ten_thousand_subscribers(programs: Programs) -> None:
    server, http = programs.serve("--channel", "cam")
    pid = server.process.pid
    before = descriptors(pid)
    http.add("cam", 0, b"first")
    come_wait_and_go(http, AT_ONCE)
    wait_until_gone(pid, before)
    used = memory(pid)
    for _ in range(TIMES // AT_ONCE):
        come_wait_and_go(http, AT_ONCE)
    wait_until_gone(pid, before)
    assert memory(pid) - used < 4096
    http.add("cam", 1, b"second")  # it still does what it is for
    assert http.segments("cam") == [b"first", b"second"]
