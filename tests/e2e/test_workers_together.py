"""What several processes have together: pages, the changefeed, limits, the disk."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.commands.programs import (
    PATIENCE,
    Http,
    Program,
    Programs,
    read_to_end,
    wait_until,
)
from tests.e2e.workers import (
    Walker,
    connect,
    names_at,
    spread,
    workers_of,
)

WORKERS = 3
TOKENS = """
[tokens.all]
token = "all-all-all-all-all"
rights = ["publish", "subscribe", "create", "close", "list"]
channels = ["*"]

[tokens.some]
token = "some-some-some-some-some"
rights = ["subscribe", "list"]
channels = ["%s"]

[tokens.none]
token = "none-none-none-none-none"
rights = ["subscribe"]
channels = ["*"]
"""


def listed(http: Http, token: str = "") -> list[str]:
    status, body, _ = http.ask("GET", "/", Authorization=token)
    assert status == 200
    return [channel["name"] for channel in json.loads(body)["channels"]]


def samples(http: Http, token: str = "") -> dict[str, float]:
    status, body, _ = http.ask("GET", "/_/metrics", Authorization=token)
    assert status == 200
    lines = [line for line in body.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (li.rsplit(" ", 1) for li in lines)}


def changes(http: Http, count: int, token: str = "") -> list[dict[str, list[str]]]:
    """The first so many, as they come."""
    return [
        json.loads(http.ask("GET", f"/_changes/{seq}", Authorization=token)[1])
        for seq in range(count)
    ]


def test_there_is_one_listing_and_one_page_of_metrics(programs: Programs) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    names = spread(120, WORKERS)
    with Walker(http) as walker:
        for number, name in enumerate(names):
            walker.ask("POST", f"/{name}/0", b"x" * (number + 1))
    for _ in range(6):  # whoever answers
        assert listed(http) == ["_changes", *sorted(names)]
    told = samples(http)
    assert told["trickle_channels"] == 121
    assert told['trickle_responses_total{status="200"}'] >= 126
    labels = [name for name in told if name.startswith("trickle_channel_bytes{")]
    assert len(labels) == 101
    assert told['trickle_channel_segments{channel="_others"}'] > 20
    assert (
        sum(told[name] for name in labels)
        == sum(range(121)) + told['trickle_channel_bytes{channel="_changes"}']
    )
    listing = programs.run("ls", "-s", http.url, "--json")
    assert listing.ends() == 0
    assert listing.out.count(b'"name"') >= 120


def test_there_is_one_changefeed(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    names = spread(9, WORKERS)
    for name in names:
        http.make(name, b"data")
    for name in names:
        http.close(name)
    told = changes(http, 19)
    assert told[0] == {"added": ["_changes"]}
    for name in names:
        added, removed = {"added": [name]}, {"removed": [name]}
        assert told.index(added) < told.index(removed)
    http.make(names[0], b"again")
    assert changes(http, 20)[19] == {"added": [names[0]]}
    with connect(http) as sock:
        for seq in (20, 21):
            sock.sendall(f"GET /_changes/{seq} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            if seq == 20:
                wait_until(lambda: json.loads(http.get("/_changes"))["readers"] == 1)
                server.interrupt()
                heard = b""
                while b"removed" not in heard:
                    heard += sock.recv(1000)
                assert heard.endswith(b'{"removed":["%b"]}' % names[0].encode())
        assert b"Lp-Trickle-Closed: terminated" in read_to_end(sock)
    assert server.ends() == 130


def test_what_dies_with_a_worker_is_told_as_removed(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    others, own = names_at(1, 3, 2), names_at(0, 2, 2)
    for name in others + own:
        http.make(name, b"data")
    assert all("added" in change for change in changes(http, 6))
    pids = workers_of(server)
    os.kill(pids[1], signal.SIGKILL)
    assert sorted(changes(http, 7)[6]["removed"]) == sorted(others)
    # The one that publishes dies: its successor hears what the others have.
    wait_until(lambda: workers_of(server).get(1, pids[1]) != pids[1])
    http.make(others[0], b"again")
    os.kill(workers_of(server)[0], signal.SIGKILL)
    server.says("worker 0 was ended")
    assert changes(http, 2) == [{"added": ["_changes"]}, {"added": [others[0]]}]
    assert listed(http) == ["_changes", others[0]]


def test_tokens_hide_the_channels_of_all_workers(
    programs: Programs, tmp_path: Path
) -> None:
    names = spread(6, WORKERS)
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(TOKENS % '", "'.join(names[:3]))
    server, http = programs.serve(
        "--autocreate", "--workers", str(WORKERS), "--tokens", str(tokens)
    )
    everything, some, none = (
        f"Bearer {'-'.join([token] * 5)}" for token in ("all", "some", "none")
    )
    for name in names:
        assert (
            http.ask("POST", f"/{name}/0", b"data", Authorization=everything)[0] == 200
        )
        assert http.ask("POST", f"/{name}/1", b"data", Authorization=some)[0] == 403
        assert http.ask("GET", f"/{name}/0")[0] == 401
    assert listed(http, everything) == ["_changes", *sorted(names)]
    assert listed(http, some) == ["_changes", *sorted(names[:3])]
    told = samples(http, some)
    assert f'trickle_channel_head{{channel="{names[0]}"}}' in told
    assert f'trickle_channel_head{{channel="{names[3]}"}}' not in told
    assert http.ask("GET", "/", Authorization=none)[0] == 403
    assert http.ask("GET", "/_/metrics")[0] == 401
    shown = changes(http, 7, some)
    assert [{"added": [name]} for name in names[:3]] == [c for c in shown[1:] if c]
    # New ones count for all, from the next request on.
    tokens.write_text(TOKENS.replace("some", "other") % names[5])
    server.interrupt(signal.SIGHUP)
    server.says("tokens and certificates are read again")
    for _ in range(6):
        assert http.ask("GET", "/", Authorization=some)[0] == 401
    other = "Bearer other-other-other-other-other"
    assert listed(http, other) == ["_changes", names[5]]
    tokens.write_text("nonsense")
    server.interrupt(signal.SIGHUP)
    server.says("the old settings stay")
    assert listed(http, other) == ["_changes", names[5]]


def test_the_access_log_has_a_whole_line_for_every_request(
    programs: Programs, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    server, http = programs.serve(
        "--autocreate", "--workers", str(WORKERS), "--access-log", str(log), "-v"
    )
    names = spread(9, WORKERS)
    with ThreadPoolExecutor(9) as pool, Walker(http) as walker:
        for name in names:
            walker.ask("POST", f"/{name}/0", b"data")
        list(pool.map(lambda n: [http.get(f"/{n}/0") for _ in range(20)], names))
    server.says(f"GET /{names[0]}/0 200")
    server.interrupt()
    server.ends()
    told = [json.loads(line) for line in log.read_text().splitlines()]
    asked = sorted((line["method"], line["target"]) for line in told)
    wanted = [("POST", f"/{n}/0") for n in names]
    wanted += [("GET", f"/{n}/0") for n in names for _ in range(20)]
    assert asked == sorted(wanted)
    assert all(line["whole"] and line["peer"] == "127.0.0.1" for line in told)


def test_the_access_log_goes_to_standard_output_too(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2", "--access-log", "-")
    for name in spread(4, 2):
        http.make(name, b"data")
    server.interrupt()
    server.ends()
    assert len([json.loads(line) for line in server.out.splitlines()]) == 8


def test_what_was_counted_outlasts_a_worker(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    answered = 'trickle_responses_total{status="200"}'
    for name in spread(10, 2):
        http.make(name, b"12345678")
        http.get(f"/{name}/0")
    before = samples(http)
    assert before["trickle_delivered_bytes_total"] == 80
    victims = workers_of(server)
    os.kill(victims[1], signal.SIGKILL)
    wait_until(lambda: workers_of(server).get(1, victims[1]) != victims[1])
    after = samples(http)
    assert after["trickle_delivered_bytes_total"] == 80
    assert after[answered] >= before[answered]
    server.interrupt(signal.SIGUSR2)
    server.says("new workers serve")
    http.close(names_at(0, 1, 2)[0])
    assert samples(http)["trickle_delivered_bytes_total"] == 80


def test_one_that_does_not_answer_is_left_out(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    (stuck,), (well,) = names_at(1, 1, 2), names_at(0, 1, 2)
    for name in (stuck, well):
        http.make(name, b"data")
    pid = workers_of(server)[1]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert listed(http) == ["_changes", well]
        server.says("worker 1 does not answer")
        assert http.get(f"/{well}/0") == b"data"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert http.get(f"/{stuck}/0") == b"data"


# Limits.


def test_channels_are_counted_together(programs: Programs) -> None:
    _, http = programs.serve(
        "--autocreate", "--no-changefeed", "--workers", "2", "--max-channels", "6"
    )
    names = [*names_at(0, 5, 2), *names_at(1, 5, 2)]
    answers = [http.ask("POST", f"/{name}")[0] for name in names]
    assert answers == [200] * 6 + [503] * 4
    http.close(names[0])
    assert http.ask("POST", f"/{names[8]}")[0] == 200  # in place of one of the other's
    assert http.ask("POST", f"/{names[9]}")[0] == 503
    wait_until(lambda: http.ask("GET", f"/{names[0]}/next")[0] == 404)


def test_connections_are_counted_together(programs: Programs) -> None:
    _, http = programs.serve(
        "--autocreate", "--workers", "2", "--max-connections", "10"
    )
    names = spread(10, 2)
    for name in names:
        http.make(name)
    wait_until(lambda: samples(http)["trickle_connections"] <= 1)
    with ExitStack() as stack:
        open_ = []
        for name in names:
            sock = stack.enter_context(connect(http))
            sock.sendall(f"GET /{name}/next HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert sock.recv(12) == b"HTTP/1.1 200"
            open_.append(sock)
        assert http.ask("GET", f"/{names[0]}/next")[0] == 503
        open_[3].close()
        wait_until(lambda: http.ask("GET", f"/{names[0]}/next")[0] == 200)


def ask_for(http: Http, name: str, client: str) -> int:
    """The status, for a client behind a proxy."""
    return http.ask("GET", f"/{name}/next", X_Forwarded_For=client)[0]


def test_connections_of_an_address_are_counted_together(programs: Programs) -> None:
    _, http = programs.serve(
        *("--autocreate", "--workers", "2", "--max-per-address", "5"),
        *("--trusted-proxy", "127.0.0.0/8"),
    )
    names = spread(6, 2)
    with ExitStack() as stack:
        for name in names[:5]:
            sock = stack.enter_context(connect(http))
            sock.sendall(
                f"POST /{name} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n"
                "\r\n".encode()
            )
            assert sock.recv(12) == b"HTTP/1.1 200"
        for name in names:
            for _ in range(4):
                assert ask_for(http, name, "192.0.2.7") == 429
                assert ask_for(http, name, "192.0.2.8") in {200, 404}
    wait_until(lambda: ask_for(http, names[0], "192.0.2.7") == 200)


def test_memory_is_shared_and_the_largest_channel_gives_way(
    programs: Programs,
) -> None:
    limit = 16 * 1024 * 1024
    _, http = programs.serve(
        *("--autocreate", "--workers", "2", "--max-memory", str(limit)),
        "--no-changefeed",
    )
    (large,), (small,) = names_at(0, 1, 2), names_at(1, 1, 2)
    piece = b"x" * 256 * 1024
    most = 0.0
    with Walker(http) as walker:
        for seq in range(56):
            walker.ask("POST", f"/{large}/{seq}", piece)
        assert json.loads(http.get(f"/{large}"))["segments"] == 56
        # All of the other's fits, because the larger makes room for it.
        for seq in range(20):
            walker.ask("POST", f"/{small}/{seq}", piece)
            most = max(most, samples(http)["trickle_memory_bytes"])
        assert json.loads(http.get(f"/{small}"))["segments"] == 20
        assert 20 < json.loads(http.get(f"/{large}"))["segments"] < 44
        for seq in range(20, 70):
            walker.ask("POST", f"/{small}/{seq}", piece)
            most = max(most, samples(http)["trickle_memory_bytes"])
    assert most <= limit
    assert json.loads(http.get(f"/{small}"))["oldest"] > 0
    assert json.loads(http.get(f"/{large}"))["segments"] > 10


def test_memory_that_died_with_a_worker_is_free(programs: Programs) -> None:
    limit = 16 * 1024 * 1024
    server, http = programs.serve(
        "--autocreate", "--workers", "2", "--max-memory", str(limit)
    )
    (lost,), (kept,) = names_at(0, 1, 2), names_at(1, 1, 2)
    piece = b"x" * 256 * 1024
    with Walker(http) as walker:
        for seq in range(50):
            walker.ask("POST", f"/{lost}/{seq}", piece)
        victim = workers_of(server)[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: workers_of(server).get(0, victim) != victim)
    with Walker(http) as walker:
        for seq in range(56):
            walker.ask("POST", f"/{kept}/{seq}", piece)
    assert json.loads(http.get(f"/{kept}"))["segments"] == 56


# On disk.


def test_a_directory_is_of_all_workers_however_many_there_are(
    programs: Programs, tmp_path: Path
) -> None:
    folder = str(tmp_path / "data")
    names = [f"cam-{number}" for number in range(12)]
    for turn, count in enumerate((2, 3, 1, None, 4)):
        options = () if count is None else ("--workers", str(count))
        server, http = programs.serve("--autocreate", "--data-dir", folder, *options)
        for name in names:
            for seq in range(turn):
                assert http.get(f"/{name}/{seq}") == f"{name} {seq}".encode()
            http.add(name, turn, f"{name} {turn}".encode())
        second = programs.run("serve", "--port", "0", "--data-dir", folder, *options)
        assert second.ends() == 1
        assert "another server uses this directory" in second.err
        server.interrupt()
        assert server.ends() == 130
    assert len(os.listdir(tmp_path / "data" / "channels")) == 12


@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_replaced_has_its_channels_again(
    programs: Programs, tmp_path: Path, victim: int
) -> None:
    folder = str(tmp_path / "data")
    server, http = programs.serve(
        "--autocreate", "--data-dir", folder, "--workers", "2"
    )
    names = [*names_at(0, 3, 2), *names_at(1, 3, 2)]
    for name in names:
        http.make(name, b"one", b"two")
    epochs = {
        name: http.ask("GET", f"/{name}/0")[2]["Lp-Trickle-Epoch"] for name in names
    }
    pid = workers_of(server)[victim]
    os.kill(pid, signal.SIGKILL)
    server.says(f"worker {victim} was ended by signal 9")
    for name in names:
        assert http.segments(name) == [b"one", b"two"]
        fields = http.ask("GET", f"/{name}/0")[2]
        assert fields["Lp-Trickle-Epoch"] == epochs[name]
        http.add(name, 2, b"three")


def has(program: Program, line: bytes) -> Callable[[], bool]:
    return lambda: line in program.out


def test_publishers_and_readers_go_on_when_a_worker_with_a_directory_dies(
    programs: Programs, tmp_path: Path
) -> None:
    folder = str(tmp_path / "data")
    server, http = programs.serve(
        "--autocreate", "--data-dir", folder, "--workers", "2"
    )
    (name,) = names_at(1, 1, 2)
    publisher = programs.start("pub", f"{http.url}/{name}")
    reader = programs.start("sub", f"{http.url}/{name}", "--from", "oldest")
    lines = [f"line {number}\n".encode() for number in range(400)]
    for number, line in enumerate(lines):
        publisher.feed(line)
        if number in {100, 300}:
            reader.wait_until(has(reader, line))
            pid = workers_of(server)[1]
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: workers_of(server).get(1, pid) != pid)
    publisher.end_input()
    assert publisher.ends() == 0, publisher.err
    assert reader.ends() == 0, reader.err
    assert reader.out == b"".join(lines)


def test_a_unix_socket_serves_all_and_is_removed(
    programs: Programs, tmp_path: Path
) -> None:
    path = tmp_path / "trickle.sock"
    server = programs.start(
        "serve", "--uds", str(path), "--autocreate", "--workers", "2"
    )
    server.says(f"listening on unix:{path}")
    for name in spread(4, 2):
        url = f"unix:{path}:/{name}"
        assert programs.run("pub", url, given=b"data").ends() == 0
        reader = programs.run("sub", url, "--from", "oldest")
        assert reader.out == b"data"
    server.interrupt()
    assert server.ends() == 130
    assert not path.exists()


def test_slow_readers_hold_a_lossless_publisher_back_wherever_it_is(
    programs: Programs,
) -> None:
    _, http = programs.serve(
        *("--autocreate", "--lossless", "--workers", "2", "--keep-bytes", "1MiB"),
        *("--max-memory", "64MiB", "--lease", "1s"),
    )
    piece = b"x" * 256 * 1024
    for name in (names_at(0, 1, 2)[0], names_at(1, 1, 2)[0]):
        http.make(name)
        with connect(http) as sock:
            sock.sendall(f"GET /{name}/0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            wait_until(lambda name=name: b'"readers": 1' in http.get(f"/{name}"))
            publisher = programs.start("pub", f"{http.url}/{name}", "--size", "256KiB")
            for _ in range(40):
                publisher.feed(piece[: 64 * 1024])
            sock.settimeout(2)
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
        publisher.end_input()
        assert publisher.ends() == 0


# What it says.


def test_it_shows_and_says_what_all_have(programs: Programs) -> None:
    server = programs.start(
        *("serve", "--port", "0", "--workers", "2", "--autocreate"),
        *("--progress", "json"),
    )
    told = json.loads(server.says("listening on"))
    http = Http(told["text"].rpartition(" ")[2])
    names = spread(4, 2)
    for name in names:
        http.make(name, b"data")
        server.says(f"channel {name} is there, text/plain")
    server.wait_until(lambda: shown(server) == sorted(names))
    http.close(names[0])
    server.says(f"channel {names[0]} is closed, 1 segment, 4 B")


def shown(server: Program) -> list[str]:
    """The channels in the last whole line that shows them."""
    records = [json.loads(line) for line in server.err.splitlines()[:-1] if "{" in line]
    progress = [record for record in records if record["event"] == "progress"]
    if not progress:
        return []
    listed = [channel["name"] for channel in progress[-1]["channels"]]
    return [name for name in listed if name != "_changes"]


def test_systemd_is_told_when_all_are_ready(programs: Programs, tmp_path: Path) -> None:
    path = str(tmp_path / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.settimeout(PATIENCE)
        notified.bind(path)
        server = programs.start(
            *("serve", "--port", "0", "--workers", "2"), NOTIFY_SOCKET=path
        )
        assert notified.recv(1000) == b"READY=1"
        assert len(workers_of(server)) == 2
        server.interrupt(signal.SIGUSR2)
        assert notified.recv(1000).startswith(b"RELOADING=1")
        assert notified.recv(1000) == b"READY=1"
        server.interrupt(signal.SIGTERM)
        assert notified.recv(1000) == b"STOPPING=1"
        assert server.ends() == 143
