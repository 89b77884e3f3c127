from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

PROGRAM = "from trickle_cli.display.lines import print_line; print_line('one line')"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_and_its_end_are_one_write(unbuffered: str) -> None:
    """Else another program, or a thread of ours, could write in between."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            check=True,
            stderr=theirs.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
        assert ours.recv(100) == b"one line\n"
