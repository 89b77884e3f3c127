from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import socket
import subprocess
import termios
from array import array
from pathlib import Path

import pytest

from tests.commands.programs import (
    PATIENCE,
    TRICKLE,
    Http,
    Program,
    Programs,
    environment,
    read_to_end,
)

LARGE = b"x" * 8_000_000


def connect(http: Http, request: str, *, buffer: int = 0) -> socket.socket:
    """A connection on which `request` has been sent."""
    sock = socket.socket()
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(30)
    sock.connect(http.address)
    sock.sendall(f"{request} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return sock


# Listening.


def test_the_address_is_announced_when_it_listens(programs: Programs) -> None:
    server, http = programs.serve()
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", http.url)
    assert server.err.startswith(f"trickle serve: listening on {http.url}\n")
    assert http.ask("GET", "/nothing/0")[0] == 404
    assert server.out == b""


def test_host_and_port_come_from_the_environment_too(
    programs: Programs, nowhere: str
) -> None:
    port = nowhere.rpartition(":")[2]
    server = programs.start("serve", TRICKLE_HOST="127.0.0.1", TRICKLE_PORT=port)
    # The port is held by another socket, which does not listen.
    assert f"cannot listen on 127.0.0.1:{port}: " in server.says("cannot listen")


def test_a_port_in_use_is_said_with_what_to_do(
    programs: Programs, common: Http
) -> None:
    server = programs.run("serve", "--port", str(common.address[1]))
    assert server.ends() == 1
    assert server.err == (
        f"trickle serve: cannot listen on 127.0.0.1:{common.address[1]}: Address"
        " already in use — stop what runs there, or choose another --port (0: any)\n"
    )


def test_an_ipv6_address_is_announced_in_brackets(programs: Programs) -> None:
    with socket.socket(socket.AF_INET6) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    _, http = programs.serve("--host", "::1", "--channel", "cam")
    assert re.fullmatch(r"http://\[::1\]:\d+", http.url)
    assert programs.run("pub", f"{http.url}/cam", given=b"six").ends() == 0
    assert http.get("/cam/0") == b"six"


BAD = [
    (["--host", "no such host"], 1, "cannot listen on 'no such host': "),
    (["--host", "192.0.2.1"], 1, "this machine does not have that address"),
    (["--port", "65536"], 2, "--port: '65536' is not a number from 0 to 65535"),
    (["--port", "http"], 2, "--port: 'http' is not a number from 0 to 65535"),
    (["--base-path", "live"], 2, "'live' does not begin with '/'"),
    (["--base-path", ""], 2, "'' does not begin with '/'"),
    (["--base-path", "/a b"], 2, "'/a b' cannot be the path of a server"),
    (["--base-path", "/é"], 2, "'/é' cannot be the path of a server"),
    (["--base-path", "/a?b"], 2, "'/a?b' cannot be the path of a server"),
    (["--channel", "a/b"], 2, "channel name 'a/b' contains '/'"),
    (["--channel", "=text/plain"], 2, "a channel name cannot be empty"),
    (["--channel", "_a"], 2, "names that begin with '_' are the server's"),
    (["--channel", "a=b\nc"], 2, "is not a MIME type"),
    (["--idle-timeout", "soon"], 2, "'soon' is not a time"),
    (["--sweep-interval", "0"], 2, "a time must be longer than nothing"),
]


def test_what_cannot_be_served_is_said_in_one_line(programs: Programs) -> None:
    started = [programs.start("serve", "--port", "0", *row[0]) for row in BAD]
    for server, (options, code, reason) in zip(started, BAD, strict=True):
        assert server.ends() == code, options
        assert reason in server.err
        assert server.err.count("\n") == 1
        assert server.out == b""


# What it lets others do.


@pytest.mark.parametrize(
    ("options", "by_asking", "by_posting"),
    [
        ([], 200, 404),
        (["--no-create"], 404, 404),
        (["--autocreate"], 200, 200),
        (["--autocreate", "--no-create"], 200, 200),
    ],
)
def test_who_may_make_a_channel(
    programs: Programs, options: list[str], by_asking: int, by_posting: int
) -> None:
    _, http = programs.serve(*options)
    assert http.ask("POST", "/one", Expect_Content="text/plain")[0] == by_asking
    assert http.ask("POST", "/two/0", b"data")[0] == by_posting


def test_channels_are_there_from_the_start(programs: Programs) -> None:
    _, http = programs.serve(
        "--no-create", "--channel", "a=video/mp2t", "--channel", "b"
    )
    http.add("a", 0, b"data")
    http.add("b", 0, b"data")
    assert http.ask("GET", "/a/0")[2]["Content-Type"] == "video/mp2t"
    assert http.ask("GET", "/b/0")[2]["Content-Type"] == "application/octet-stream"


def test_idle_channels_are_closed_but_not_those_it_was_given(
    programs: Programs,
) -> None:
    server, http = programs.serve(
        "--idle-timeout", "50ms", "--sweep-interval", "50ms", "--channel", "mine"
    )
    http.make("theirs", b"data")
    assert "1 segment, 4 B" in server.says("channel theirs is closed")
    assert http.is_closed("theirs")
    assert not http.is_closed("mine")


def test_channels_are_below_the_base_path(programs: Programs) -> None:
    _, http = programs.serve("--base-path", "/live/now", "--autocreate")
    assert http.url.endswith("/live/now")
    http.make("cam", b"data")
    assert http.get("/cam/0") == b"data"
    assert Http(http.url.removesuffix("/live/now")).ask("GET", "/cam/0")[0] == 404


def test_the_changefeed_is_there_unless_it_is_not_wanted(programs: Programs) -> None:
    _, http = programs.serve("--channel", "cam")
    assert json.loads(http.get("/_changes/0")) == {"added": ["_changes"]}
    assert json.loads(http.get("/_changes/1")) == {"added": ["cam"]}
    _, http = programs.serve("--no-changefeed")
    assert http.ask("GET", "/_changes/0")[0] == 404


def test_what_comes_and_goes_is_said_and_cannot_command_a_terminal(
    programs: Programs,
) -> None:
    server, http = programs.serve()
    http.make("cam", b"1234", type_="text/\x9b31m")
    assert server.says("channel cam is there").endswith(", text/�31m")
    http.close("cam")
    assert "1 segment, 4 B" in server.says("channel cam is closed")
    assert server.out == b""


# The end.


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_closes_the_channels_and_ends_it(
    programs: Programs, number: int, code: int
) -> None:
    server, http = programs.serve("--channel", "cam")
    with (
        connect(http, "GET /cam/0") as waiting,
        connect(http, "GET /_changes/2") as feed,
    ):
        # Answered after those two have been read.
        assert http.ask("GET", "/cam/next")[1] == b"0"
        server.interrupt(number)
        assert b"Lp-Trickle-Closed: terminated" in read_to_end(waiting)
        assert b'{"removed":["cam"]}' in read_to_end(feed)
    assert server.ends() == code
    assert server.says("closing the channels")
    assert server.out == b""


def test_a_reader_gets_what_there_is_before_it_ends(programs: Programs) -> None:
    server, http = programs.serve("--channel", "cam")
    http.add("cam", 0, LARGE)
    with connect(http, "GET /cam/0", buffer=4096) as reader:
        assert reader.recv(1)
        server.interrupt()
        server.says("closing the channels")
        assert server.runs
        # Chunked, or the like, around it.
        assert read_to_end(reader).count(b"x") >= len(LARGE)
    assert server.ends() == 130


def stuck(programs: Programs) -> tuple[Program, socket.socket]:
    """A server that closes, and waits for a reader that takes nothing."""
    server, http = programs.serve("--channel", "cam")
    http.add("cam", 0, LARGE)
    reader = connect(http, "GET /cam/0", buffer=4096)
    assert reader.recv(1)
    server.interrupt()
    server.says("closing the channels")
    return server, reader


def test_a_second_signal_ends_it_at_once(programs: Programs) -> None:
    (patient, one), (hurried, other) = stuck(programs), stuck(programs)
    with one, other:
        hurried.interrupt()
        assert hurried.ends() == 130
        assert read_to_end(other).count(b"x") < len(LARGE)
        other.close()
        assert read_to_end(one).count(b"x") >= len(LARGE)  # that one waited for it
    assert patient.ends() == 130


# Under pressure.


def test_it_serves_on_when_nobody_takes_what_it_says() -> None:
    """Each request is a line that it has to say; a pipe holds but two pages."""
    with subprocess.Popen(
        [*TRICKLE, "serve", "--port", "0", "--verbose"],
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(),
    ) as server:
        assert server.stderr is not None
        fcntl.fcntl(server.stderr, fcntl.F_SETPIPE_SZ, 8192)
        try:
            http = Http(server.stderr.readline().split()[-1].decode())
            number, said = 0, array("i", [0])
            # Of the first page, what has been read is used up.
            while said[0] < 3500:
                http.make(f"channel-{number}", b"data")
                number += 1
                fcntl.ioctl(server.stderr, termios.FIONREAD, said)
            for more in range(300):
                http.make(f"another-{more}", b"data")
            assert http.get("/another-299/0") == b"data"
            server.send_signal(signal.SIGINT)
            assert server.wait(PATIENCE) == 130
        finally:
            server.kill()


def test_out_of_descriptors_it_says_so_once_and_lets_peers_wait(
    programs: Programs,
) -> None:
    server, http = programs.serve("--channel", "c")
    http.add("c", 0, b"data")
    used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 5, used + 5))
    peers = [connect(http, "GET /c/0") for _ in range(20)]
    assert "have to wait: Too many open files" in server.says("have to wait")
    for peer in peers:  # each that leaves makes room for one that waits
        assert peer.recv(12) == b"HTTP/1.1 200"
        peer.close()
    assert http.get("/c/0") == b"data"
    assert server.err.count("have to wait") == 1


def test_channels_on_disk_are_not_said_to_be_closed(
    programs: Programs, tmp_path: Path
) -> None:
    server, http = programs.serve("--data-dir", str(tmp_path), "--sync", "segment")
    http.make("cam", b"data")
    server.interrupt()
    assert server.ends() == 130
    assert "stopping; the channels stay on disk; interrupt again" in server.err
    assert "closing" not in server.err
    _, http = programs.serve("--data-dir", str(tmp_path))
    assert http.get("/cam/0") == b"data"
