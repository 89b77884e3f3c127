"""SIGUSR2: new processes take over, and nobody notices."""

from __future__ import annotations

import json
import os
import resource
import signal
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.commands.programs import Http, Program, Programs, read_to_end, wait_until
from tests.e2e.workers import (
    Walker,
    ask,
    connect,
    is_alive,
    names_at,
    spread,
    workers_of,
)
from tests.server.test_tls import Files, files as files

SERVES = "new workers serve"


def restart(server: Program, times: int = 1) -> None:
    """One more time, of so many."""
    server.interrupt(signal.SIGUSR2)
    server.wait_until(lambda: server.err.count(SERVES) == times)


def changes(http: Http, name: str) -> list[str]:
    """What the changefeed has told of one channel so far."""
    _, head, _ = http.ask("GET", "/_changes/next")
    told = [json.loads(http.get(f"/_changes/{seq}")) for seq in range(int(head))]
    return [key for change in told for key, names in change.items() if name in names]


def wait_for_changes(http: Http, name: str, *expected: str) -> None:
    """Until the changefeed has told this of one channel: the worker that publishes it
    is told by others, soon after."""
    wait_until(lambda: changes(http, name) == list(expected))


def test_what_flows_goes_on_and_what_is_new_goes_to_the_new(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2", "--linger", "1s")
    names = spread(6, 2)
    go_on = threading.Event()

    def slowly(name: str) -> Iterator[bytes]:
        yield f"{name} before ".encode()
        assert go_on.wait(30)
        yield b"after"

    old = workers_of(server)
    assert sorted(old) == [0, 1]
    with ThreadPoolExecutor(2 * len(names)) as pool:
        publishing = [
            pool.submit(ask, http, "POST", f"/{n}/0", slowly(n)) for n in names
        ]
        wait_until(lambda: b"," in http.get("/") and len(listed(http)) == 7)
        reading = [pool.submit(ask, http, "GET", f"/{n}/0") for n in names]
        with Walker(http) as walker:
            walker.ask("GET", "/_/health")
            restart(server)
            assert sorted(workers_of(server)) == [0, 1, 2, 3]
            # The old channels are where they were, for old connections and new ones.
            for name in names:
                assert walker.ask("GET", f"/{name}/next") == b"1"
                assert http.get(f"/{name}/next") == b"1"
            # What is new goes to the new workers, from everywhere.
            for number in range(6):
                walker.ask("POST", f"/new-{number}/0", b"data")
                assert http.get(f"/new-{number}/0") == b"data"
            assert walker.connections == 1
        assert len(listed(http)) == 13
        go_on.set()
        for future in publishing:
            future.result()
        for name, future in zip(names, reading, strict=True):
            assert future.result() == f"{name} before after".encode()
    for name in names:
        wait_for_changes(http, name, "added")
        http.add(name, 1, b"more")
        http.close(name)
    wait_until(lambda: not any(map(is_alive, old.values())))
    assert sorted(workers_of(server)) == [2, 3]
    for name in names:
        wait_for_changes(http, name, "added", "removed")
        assert http.ask("GET", f"/{name}/0")[0] == 404
        http.make(name, b"again")
        assert http.get(f"/{name}/0") == b"again"
        wait_for_changes(http, name, "added", "removed", "added")
    server.interrupt()
    assert server.ends() == 130


def listed(http: Http) -> list[str]:
    return [channel["name"] for channel in json.loads(http.get("/"))["channels"]]


def test_no_byte_is_lost_while_it_restarts_again_and_again(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    names = [f"cam-{number}" for number in range(6)]
    publishers = [programs.start("pub", f"{http.url}/{name}") for name in names]
    readers = [
        programs.start("sub", f"{http.url}/{name}", "--from", "oldest")
        for name in names
    ]
    lines = [f"line {number}\n".encode() * 50 for number in range(1500)]
    for number, line in enumerate(lines):
        for publisher in publishers:
            publisher.feed(line)
        if number in {300, 700, 1100}:
            server.interrupt(signal.SIGUSR2)
    server.wait_until(lambda: server.err.count(SERVES) >= 1)
    for publisher in publishers:
        publisher.end_input()
        assert publisher.ends() == 0, publisher.err
    for reader in readers:
        assert reader.ends() == 0, reader.err
        assert reader.out == b"".join(lines)


def test_no_request_fails_while_it_restarts(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    over = threading.Event()

    def hammer(number: int) -> int:
        count = 0
        while not over.is_set():
            with Walker(http) as walker:
                for step in range(20):
                    name = f"cam-{number}-{count}-{step}"
                    walker.ask("POST", f"/{name}/0", name.encode())
                    assert walker.ask("GET", f"/{name}/0") == name.encode()
                    walker.ask("DELETE", f"/{name}")
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        hammering = [pool.submit(hammer, number) for number in range(4)]
        try:
            restart(server, 1)
            restart(server, 2)
        finally:
            over.set()
        assert all(future.result() for future in hammering)


def test_encrypted_connections_go_on(programs: Programs, files: Files) -> None:
    server, http = programs.serve(
        *("--autocreate", "--workers", "2", "--linger", "1s"),
        *("--cert", files.cert, "--key", files.key),
    )
    context = ssl.create_default_context(cafile=files.ca)
    old = workers_of(server)
    names = spread(4, 2)
    with Walker(http, context) as walker:
        for name in names:
            walker.ask("POST", f"/{name}/0", name.encode())
        restart(server)
        for name in names:
            assert walker.ask("GET", f"/{name}/0") == name.encode()
            walker.ask("POST", f"/new-{name}/0", name.encode())
            assert walker.ask("GET", f"/new-{name}/0") == name.encode()
            walker.ask("DELETE", f"/{name}")
        assert walker.connections == 1
    wait_until(lambda: not any(map(is_alive, old.values())))


def test_idle_connections_go_along(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    old = workers_of(server)
    with connect(http) as idle, connect(http) as begun:
        begun.sendall(b"GET /cam")
        idle.sendall(b"GET /_/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        restart(server)
        wait_until(lambda: not any(map(is_alive, old.values())))
        http.make("cam", b"data")
        begun.sendall(b"/0 HTTP/1.0\r\n\r\n")
        assert read_to_end(begun).endswith(b"data")
        idle.sendall(b"GET /cam/0 HTTP/1.0\r\n\r\n")
        assert read_to_end(idle).endswith(b"data")


def test_readers_of_the_changefeed_see_its_end_and_the_new_one(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2", "--linger", "1s")
    name = names_at(1, 1, 2)[0]
    http.make(name, b"data")
    wait_for_changes(http, name, "added")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http.ask, "GET", "/_changes/2")
        wait_until(lambda: json.loads(http.get("/_changes"))["readers"] == 1)
        restart(server)
        assert waiting.result()[2]["Lp-Trickle-Closed"] == "terminated"
    assert json.loads(http.get("/_changes/0")) == {"added": ["_changes"]}
    wait_for_changes(http, name, "added")
    assert http.get(f"/{name}/0") == b"data"


def test_permanent_channels_are_there_all_the_time(programs: Programs) -> None:
    names = spread(4, 2)
    options = [part for name in names for part in ("--channel", f"{name}=video/mp2t")]
    server, http = programs.serve(
        *("--no-create", "--workers", "2", "--idle-timeout", "1s"),
        *("--sweep-interval", "200ms", "--linger", "1s", *options),
    )
    old = workers_of(server)
    restart(server)
    for name in names:
        assert http.ask("GET", f"/{name}/next")[0] == 200
    wait_until(lambda: not any(map(is_alive, old.values())))
    for name in names:
        status, _, fields = http.ask("GET", f"/{name}/next")
        assert status == 200
        assert fields["Lp-Trickle-Closed"] is None
        http.add(name, 0, b"data")
        assert http.ask("GET", f"/{name}/0")[2]["Content-Type"] == "video/mp2t"


def test_channels_on_disk_go_over_to_the_new(
    programs: Programs, tmp_path: Path
) -> None:
    folder = str(tmp_path / "data")
    server, http = programs.serve(
        "--autocreate", "--workers", "2", "--data-dir", folder
    )
    names = spread(4, 2)
    old = workers_of(server)
    for name in names:
        http.make(name, b"one")
    epochs = [http.ask("GET", f"/{n}/0")[2]["Lp-Trickle-Epoch"] for n in names]
    publisher = programs.start("pub", f"{http.url}/live")
    reader = programs.start("sub", f"{http.url}/live", "--from", "oldest")
    lines = [f"line {number}\n".encode() for number in range(300)]
    for number, line in enumerate(lines):
        publisher.feed(line)
        if number == 100:
            reader.wait_until(lambda: lines[100] in reader.out)
            restart(server)
            wait_until(lambda: not any(map(is_alive, old.values())))
    publisher.end_input()
    assert publisher.ends() == 0, publisher.err
    assert reader.ends() == 0, reader.err
    assert reader.out == b"".join(lines)
    for name, epoch in zip(names, epochs, strict=True):
        assert http.get(f"/{name}/0") == b"one"
        assert http.ask("GET", f"/{name}/0")[2]["Lp-Trickle-Epoch"] == epoch
        http.add(name, 1, b"two")


def test_tokens_are_read_anew(programs: Programs, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    text = '[tokens.a]\ntoken = "%s"\nrights = ["list"]\nchannels = ["*"]\n'
    tokens.write_text(text % ("a" * 20))
    server, http = programs.serve("--workers", "2", "--tokens", str(tokens))
    assert http.ask("GET", "/", Authorization="Bearer " + "a" * 20)[0] == 200
    tokens.write_text(text % ("b" * 20))
    restart(server)
    assert http.ask("GET", "/", Authorization="Bearer " + "a" * 20)[0] == 401
    assert http.ask("GET", "/", Authorization="Bearer " + "b" * 20)[0] == 200


def test_when_the_new_do_not_come_up_the_old_go_on(
    programs: Programs, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.toml"
    text = (
        '[anonymous]\nrights = ["publish", "create", "subscribe"]\nchannels = ["*"]\n'
    )
    tokens.write_text(text)
    server, http = programs.serve(
        "--autocreate", "--workers", "2", "--tokens", str(tokens)
    )
    name = names_at(1, 1, 2)[0]
    http.make(name, b"data")
    old = workers_of(server)
    tokens.write_text("nonsense")
    server.interrupt(signal.SIGUSR2)
    line = server.says("the old workers go on")
    assert "tokens.toml" in line
    assert http.get(f"/{name}/0") == b"data"
    wait_until(lambda: workers_of(server) == old)  # the new are ended then
    tokens.write_text(text)
    restart(server)
    assert http.get(f"/{name}/0") == b"data"


@contextmanager
def without_descriptors(server: Program) -> Iterator[None]:
    """Its first process can open nothing more."""
    pid = server.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_while_no_process_can_be_started_those_that_run_go_on(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    lost, kept = names_at(0, 1, 2)[0], names_at(1, 1, 2)[0]
    http.make(kept, b"data")
    old = workers_of(server)
    with without_descriptors(server):
        server.interrupt(signal.SIGUSR2)
        server.says("the old workers go on")
        os.kill(old[0], signal.SIGKILL)
        server.wait_until(lambda: server.err.count("no worker can be started") > 2)
        assert http.get(f"/{kept}/0") == b"data"
    wait_until(lambda: 0 in workers_of(server))
    http.make(lost, b"again")
    assert http.get(f"/{lost}/0") == b"again"
    restart(server)
    assert http.get(f"/{kept}/0") == b"data"


def test_an_old_worker_that_is_killed_takes_its_channels_along(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    lost, kept = names_at(0, 1, 2)[0], names_at(1, 1, 2)[0]
    for name in (lost, kept):
        http.make(name, name.encode())
    old = workers_of(server)
    restart(server)
    assert http.get(f"/{lost}/0") == lost.encode()
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: http.ask("GET", f"/{lost}/0")[0] == 404)
    wait_for_changes(http, lost, "added", "removed")
    assert http.get(f"/{kept}/0") == kept.encode()
    http.make(lost, b"again")
    assert http.get(f"/{lost}/0") == b"again"


def test_a_new_worker_that_is_replaced_knows_what_the_old_have(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    names = spread(4, 2)
    for name in names:
        http.make(name, name.encode())
    restart(server)
    new = {seat: pid for seat, pid in workers_of(server).items() if seat >= 2}
    for pid in new.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: (
            len(workers_of(server)) == 4
            and not set(new.values()) & set(workers_of(server).values())
        )
    )
    for name in names * 3:
        assert http.get(f"/{name}/0") == name.encode()
        wait_for_changes(http, name, "added")


def test_it_stops_in_order_with_two_generations(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    names = spread(4, 2)
    for name in names:
        http.make(name, b"data")
    restart(server)
    http.make("new", b"data")
    pids = workers_of(server)
    assert len(pids) == 4
    server.interrupt(signal.SIGTERM)
    assert server.ends() == 143
    assert not any(map(is_alive, pids.values()))


def test_who_reads_by_a_pattern_and_who_watches_goes_on(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2", "--linger", "1s")
    http.make("a-1", b"one\n")
    http.make("c-1", b"else\n")
    reader = programs.start("sub", "--from", "oldest", f"{http.url}/a-*")
    other = programs.start("sub", f"{http.url}/b-*")
    watcher = programs.start("watch", "--lines", f"{http.url}/_changes")
    raw = programs.start("sub", f"{http.url}/_changes")
    reader.writes(b"one\n")
    watcher.wait_until(lambda: b"added c-1\n" in watcher.out)
    for times in (1, 2):
        restart(server, times)
        name = f"-{times + 1}"
        http.make(f"a{name}", b"more\n")
        http.make(f"b{name}", b"some\n")
        wait_until(lambda times=times: f"a-{times + 1}".encode() in watcher.out)
        wait_until(lambda times=times: f"a-{times + 1}".encode() in raw.out)
        wait_until(lambda times=times: reader.out.count(b"more\n") == times)
        wait_until(lambda times=times: other.out.count(b"some\n") == times)
    assert all(program.runs for program in (reader, other, watcher, raw))
    assert reader.out == b"one\nmore\nmore\n"
    assert watcher.out.count(b"added a-1\n") == 1
