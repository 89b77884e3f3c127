"""`trickle serve` in the hands of those who run it: reloads, logs, sockets, systemd."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.commands.programs import (
    PATIENCE,
    TRICKLE,
    Http,
    Programs,
    environment,
)

TOKENS = """
[tokens.one]
token = "{token}"
rights = ["subscribe", "publish", "create"]
channels = ["*"]
"""


def bearer(token: str) -> str:
    return f"Bearer {token}"


# SIGHUP.


def test_tokens_are_read_again_while_connections_go_on(
    programs: Programs, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.toml"
    old, new = "old-token-old-token", "new-token-new-token"
    file.write_text(TOKENS.format(token=old))
    server, http = programs.serve("--autocreate", "--tokens", str(file))
    assert http.ask("POST", "/cam/0", b"x", Authorization=bearer(old))[0] == 200
    subscriber = programs.start("sub", f"{http.url}/cam", TRICKLE_TOKEN=old)
    subscriber.writes(b"x")

    file.write_text("nonsense")
    server.interrupt(signal.SIGHUP)
    assert "not TOML" in server.says("the old settings stay")
    assert http.ask("GET", "/cam/0", Authorization=bearer(old))[0] == 200
    file.unlink()
    server.interrupt(signal.SIGHUP)
    server.says("No such file or directory; the old settings stay")

    file.write_text(TOKENS.format(token=new))
    server.interrupt(signal.SIGHUP)
    server.says("are read again")
    assert http.ask("GET", "/cam/0", Authorization=bearer(old))[0] == 401
    assert http.ask("POST", "/cam/1", b"y", Authorization=bearer(new))[0] == 200
    subscriber.writes(b"xy")  # it had asked before
    assert subscriber.ends() == 5  # and may not ask any more
    assert server.runs


def test_certificates_are_read_again(programs: Programs, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authorities = [trustme.CA(), trustme.CA()]

    def install(authority: trustme.CA) -> None:
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)

    def is_trusted(authority: trustme.CA) -> bool:
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(path)
        program = programs.run("sub", f"{url}/cam", "--cacert", str(path), "--no-wait")
        assert program.ends() in {1, 3}
        return program.ends() == 3

    install(authorities[0])
    server, http = programs.serve("--cert", str(cert), "--key", str(key))
    url = http.url
    assert url.startswith("https://")
    assert [is_trusted(authority) for authority in authorities] == [True, False]
    install(authorities[1])
    server.interrupt(signal.SIGHUP)
    server.says("are read again")
    assert [is_trusted(authority) for authority in authorities] == [False, True]
    with socket.create_connection(http.address, PATIENCE) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.recv(1000)  # it does not get far
    insecure = programs.run("sub", f"{url}/cam", "--insecure", "--no-wait")
    assert insecure.ends() == 3, insecure.err


def test_everything_together_over_tls(programs: Programs, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    ca = str(tmp_path / "ca.pem")
    mine = str(tmp_path / "cert.pem")
    _, http = programs.serve("--autocreate", "--cert", mine, "--client-ca", ca)
    url = f"{http.url}/cam"
    refused = programs.run("pub", url, "--cacert", ca, given=b"x")
    assert refused.ends() == 1
    publisher = programs.run(
        "pub", url, given=b"x" * 3_000_000, TRICKLE_CACERT=ca, TRICKLE_CERT=mine
    )
    assert publisher.ends() == 0, publisher.err
    subscriber = programs.run(
        *("sub", url, "--from", "oldest"), TRICKLE_CACERT=ca, TRICKLE_CERT=mine
    )
    assert (subscriber.ends(), subscriber.out) == (0, b"x" * 3_000_000), subscriber.err


# The access log.


def test_requests_are_logged_as_lines_of_json(
    programs: Programs, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    server, http = programs.serve("--autocreate", "--access-log", str(path))
    http.add("cam", 0, b"12345")
    assert http.get("/cam/0?key=hidden") == b"12345"
    moved = tmp_path / "access.log.1"
    path.rename(moved)
    server.interrupt(signal.SIGHUP)
    server.says("are read again")
    for _ in range(300):
        assert http.ask("GET", "/cam/9")[0] == 470
    server.interrupt()
    assert server.ends() == 130
    before, *old = moved.read_text().splitlines()
    told = [json.loads(line) for line in [*old, *path.read_text().splitlines()]]
    assert before == "before"
    assert [(t["method"], t["target"], t["status"]) for t in told] == [
        ("POST", "/cam/0", 200),
        ("GET", "/cam/0", 200),
        *[("GET", "/cam/9", 470)] * 300,
    ]
    assert (told[0]["received"], told[1]["sent"]) == (5, 5)
    assert path.read_text()  # some of them in the new file


def test_the_log_may_go_to_standard_output(programs: Programs) -> None:
    server, http = programs.serve("--access-log", "-")
    assert http.ask("GET", "/cam/0")[0] == 404
    server.wait_until(lambda: server.out.endswith(b"\n"))
    told = json.loads(server.out)
    assert (told["target"], told["status"], told["peer"]) == (
        "/cam/0",
        404,
        "127.0.0.1",
    )


def test_a_log_that_cannot_be_written_is_no_server(
    programs: Programs, tmp_path: Path
) -> None:
    server = programs.start("serve", "--port", "0", "--access-log", str(tmp_path))
    assert server.ends() == 1
    assert server.err.count("\n") == 1


# Unix sockets.


def test_a_unix_socket_is_served_and_cleared_away(
    programs: Programs, tmp_path: Path
) -> None:
    path = tmp_path / "trickle.sock"
    server = programs.start("serve", "--autocreate", "--uds", str(path))
    url = server.says("listening on").rpartition(" ")[2]
    assert url == f"unix:{path}"
    publisher = programs.run("pub", "cam", "-s", url, given=b"data")
    assert publisher.ends() == 0, publisher.err
    subscriber = programs.run("sub", f"{url}:/cam", "--from", "oldest")
    assert (subscriber.ends(), subscriber.out) == (0, b"data")
    second = programs.run("serve", "--uds", str(path))
    assert second.ends() == 1
    assert "stop what runs there" in second.err
    server.interrupt(signal.SIGTERM)
    assert server.ends() == 143
    assert not path.exists()


def test_a_socket_that_a_killed_server_left_is_taken_over(
    programs: Programs, tmp_path: Path
) -> None:
    path = str(tmp_path / "trickle.sock")
    for mode in ("600", "666"):
        server = programs.start("serve", "--uds", path, "--uds-mode", mode)
        server.says("listening on")
        assert oct(os.stat(path).st_mode)[-3:] == mode
        server.interrupt(signal.SIGKILL)
        server.ends()


# systemd.


class Listener:
    """What systemd hears of a service."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind("\0" + path[1:] if path.startswith("@") else path)
        self._sock.settimeout(PATIENCE)

    def hears(self) -> list[str]:
        return self._sock.recv(4096).decode().splitlines()

    def close(self) -> None:
        self._sock.close()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told_how_it_goes(
    programs: Programs, tmp_path: Path, kind: str
) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@trickle-{os.getpid()}"
    listener = Listener(address)
    server = programs.start("serve", "--port", "0", NOTIFY_SOCKET=address)
    assert listener.hears() == ["READY=1"]
    server.says("listening on")
    server.interrupt(signal.SIGHUP)
    reloading, when = listener.hears()
    assert reloading == "RELOADING=1"
    assert when.startswith("MONOTONIC_USEC=")
    assert listener.hears() == ["READY=1"]
    server.interrupt(signal.SIGTERM)
    assert listener.hears() == ["STOPPING=1"]
    assert server.ends() == 143
    listener.close()


def test_sockets_that_are_handed_over_are_served() -> None:
    """As systemd does: descriptors from 3 on, and the process they are for."""
    with socket.socket() as one, socket.socket(socket.AF_UNIX) as two:
        one.bind(("127.0.0.1", 0))
        two.bind(f"\0trickle-test-{os.getpid()}")
        for sock in (one, two):
            sock.listen()
        script = (
            "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
            f"os.dup2({one.fileno()}, 3); os.dup2({two.fileno()}, 4);"
            "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, *TRICKLE[1:], "serve", "--port", "1"],
            stderr=subprocess.PIPE,
            env=environment(LISTEN_FDS="2", LISTEN_FDNAMES="a:b"),
            pass_fds=sorted({one.fileno(), two.fileno(), 3, 4} & _open_descriptors()),
        )
        try:
            assert process.stderr is not None
            port = one.getsockname()[1]
            line = process.stderr.readline().decode()
            assert f"listening on http://127.0.0.1:{port}" in line, line
            http = Http(f"http://127.0.0.1:{port}")
            assert http.ask("GET", "/_/health")[0] == 200
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(two.getsockname())
                client.sendall(b"GET /_/health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert client.recv(12) == b"HTTP/1.1 200"
        finally:
            process.terminate()
            process.wait(PATIENCE)
            assert process.stderr is not None
            process.stderr.close()


def _open_descriptors() -> set[int]:
    return set(map(int, os.listdir("/proc/self/fd")))


def test_sockets_for_somebody_else_are_left_alone(programs: Programs) -> None:
    server = programs.start(
        "serve", "--port", "0", LISTEN_FDS="1", LISTEN_PID=str(os.getpid())
    )
    assert "http://127.0.0.1:" in server.says("listening on")
