"""A server of several processes, seen from outside: as if it were one."""

from __future__ import annotations

import http.client as http_client
import json
import os
import random
import resource
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.commands.programs import PATIENCE, Http, Programs, read_to_end, wait_until
from tests.e2e.workers import (
    Walker,
    ask,
    connect,
    descriptors,
    is_alive,
    names_at,
    spread,
    workers_of,
)
from tests.server.test_tls import Files, files as files

WORKERS = 3


def in_chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 40_000):
        yield data[start : start + 40_000]


def publish(http: Http, channel: str, segments: list[bytes]) -> None:
    """On one connection, as it comes."""
    with Walker(http) as walker:
        for seq, data in enumerate(segments):
            walker.ask("POST", f"/{channel}/{seq}", in_chunks(data))


def test_every_byte_arrives_through_one_port(programs: Programs) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    chance = random.Random(1)
    names = [f"cam-{number}" for number in range(24)]
    content = {
        name: [chance.randbytes(chance.randrange(1, 300_000)) for _ in range(4)]
        for name in names
    }
    for name in names:
        assert http.ask("POST", f"/{name}")[0] == 200
    with ThreadPoolExecutor(2 * len(names)) as pool:
        reading = {
            name: pool.submit(
                lambda name: [ask(http, "GET", f"/{name}/{n}") for n in range(4)],
                name,
            )
            for name in names
        }
        for name in names:
            pool.submit(publish, http, name, content[name])
        for name in names:
            assert reading[name].result() == content[name]


def test_commands_work_as_with_one_process(programs: Programs) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    lines = "".join(f"line {number}\n" for number in range(2000)).encode()
    for name in spread(3, WORKERS):
        assert programs.run("pub", f"{http.url}/{name}", given=lines).ends() == 0
        reader = programs.run("sub", f"{http.url}/{name}", "--from", "oldest")
        assert reader.ends() == 0
        assert reader.out == lines


def walk(walker: Walker, names: list[str]) -> None:
    for name in names:
        walker.ask("POST", f"/{name}")
        walker.ask("POST", f"/{name}/0", name.encode())
    for name in names:
        assert walker.ask("GET", f"/{name}/0") == name.encode()
        walker.ask("HEAD", f"/{name}/0")
        assert walker.ask("GET", f"/{name}/next") == b"1"
        walker.ask("POST", f"/{name}/1", in_chunks(name.encode() * 50_000))
        assert walker.ask("GET", f"/{name}/1") == name.encode() * 50_000
        walker.ask("GET", "/_/health")
        assert name.encode() in walker.ask("GET", f"/{name}")
    for name in names:
        walker.ask("DELETE", f"/{name}")


def test_one_connection_walks_over_the_channels_of_all(programs: Programs) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    with Walker(http) as walker:
        walk(walker, spread(15, WORKERS))
        assert walker.connections == 1


def test_one_encrypted_connection_walks_over_them(
    programs: Programs, files: Files
) -> None:
    server, http = programs.serve(
        *("--autocreate", "--workers", str(WORKERS)),
        *("--cert", files.cert, "--key", files.key),
    )
    context = ssl.create_default_context(cafile=files.ca)
    before = {pid: descriptors(pid) for pid in workers_of(server).values()}
    with Walker(http, context) as walker:
        walk(walker, spread(15, WORKERS))
        assert walker.connections == 1
    for pid, count in before.items():
        wait_until(lambda pid=pid, count=count: descriptors(pid) <= count)


def test_who_cannot_be_passed_on_is_told_so_and_leaves_nothing(
    programs: Programs, files: Files
) -> None:
    server, http = programs.serve(
        *("--autocreate", "--workers", "2", "--cert", files.cert, "--key", files.key)
    )
    context = ssl.create_default_context(cafile=files.ca)
    before = {pid: descriptors(pid) for pid in workers_of(server).values()}
    names = [names_at(seat, 1, 2)[0] for seat in (0, 1)]
    with ExitStack() as stack:
        walkers = [stack.enter_context(Walker(http, context)) for _ in range(8)]
        for walker in walkers:
            walker.ask("GET", "/_/health")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for pid in before:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, hard))
        for walker in walkers:
            statuses = []
            for name in names:
                walker.connection.request("GET", f"/{name}/next")
                with walker.connection.getresponse() as answer:
                    statuses.append(answer.status)
                    if answer.will_close:
                        break  # it cannot come again now
            assert 503 in statuses
        for pid in before:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    for pid, count in before.items():
        wait_until(lambda pid=pid, count=count: descriptors(pid) <= count)


def test_an_encrypted_answer_that_is_cut_does_not_look_whole(
    programs: Programs, files: Files
) -> None:
    server, http = programs.serve(
        *("--autocreate", "--workers", "2", "--cert", files.cert, "--key", files.key)
    )
    context = ssl.create_default_context(cafile=files.ca)
    pids = workers_of(server)
    victims = names_at(0, 1, 2)
    with ExitStack() as stack:
        publishers = []
        for name in victims:
            sock = stack.enter_context(
                context.wrap_socket(connect(http), server_hostname="127.0.0.1")
            )
            sock.sendall(
                f"POST /{name}/0 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                "\r\n4\r\ndata\r\n".encode()
            )
            publishers.append(sock)
        wait_until(lambda: victims[0].encode() in ask(http, "GET", "/", b"", context))
        # Of several connections, some are accepted by the other worker.
        readers = []
        for _ in range(12):
            sock = stack.enter_context(
                context.wrap_socket(
                    connect(http),
                    server_hostname="127.0.0.1",
                    suppress_ragged_eofs=False,
                )
            )
            sock.sendall(f"GET /{victims[0]}/0 HTTP/1.0\r\n\r\n".encode())
            readers.append(sock)
        for sock in readers:
            heard = b""
            while not heard.endswith(b"data"):
                more = sock.recv(1000)
                assert more, heard
                heard += more
        os.kill(pids[0], signal.SIGKILL)
        for sock in readers:
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                while sock.recv(1000):
                    pass


def test_an_encrypted_answer_that_is_whole_ends_in_order(
    programs: Programs, files: Files
) -> None:
    _, http = programs.serve(
        *("--autocreate", "--workers", "2", "--cert", files.cert, "--key", files.key)
    )
    context = ssl.create_default_context(cafile=files.ca)
    name = names_at(0, 1, 2)[0]
    ask(http, "POST", f"/{name}/0", b"data", context)
    for _ in range(12):
        with context.wrap_socket(
            connect(http), server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as sock:
            sock.sendall(f"GET /{name}/0 HTTP/1.0\r\n\r\n".encode())
            heard = b""
            while data := sock.recv(1000):
                heard += data
            assert heard.endswith(b"data")


def test_an_encrypted_reader_has_taken_what_has_reached_it_and_no_more(
    programs: Programs, files: Files
) -> None:
    _, http = programs.serve(
        *("--autocreate", "--workers", "2", "--lossless", "--keep-segments", "1"),
        *("--cert", files.cert, "--key", files.key, "--keep-newest", "1"),
        *("--lease", "1h"),
    )
    context = ssl.create_default_context(cafile=files.ca)
    content = random.Random(3).randbytes(60_000)
    for number in range(5):  # some of which are accepted by the other worker
        name = f"cam-{number}"
        ask(http, "POST", f"/{name}/0", content, context)
        with encrypted(http, context) as reader:
            assert content in read(reader, name, 0, len(content))
            ask(http, "POST", f"/{name}/1", content, context)
            assert content not in read(reader, name, 1, 1)
        with ThreadPoolExecutor(1) as pool, encrypted(http, context) as reader:
            # There is no room for more, until that has been taken.
            held = pool.submit(ask, http, "POST", f"/{name}/2", content, context)
            wait_until(lambda name=name: is_published(http, name, context))
            assert content in read(reader, name, 1, len(content))
            reader.close()
            held.result()
        wait_until(lambda name=name: page(http, name, context)["oldest"] == 2)


def encrypted(http: Http, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection with a small buffer."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(PATIENCE)
    sock.connect(http.address)
    return context.wrap_socket(sock, server_hostname="127.0.0.1")


def read(reader: ssl.SSLSocket, name: str, seq: int, least: int) -> bytes:
    """So much of the content of an answer at least, and what comes with it."""
    reader.sendall(f"GET /{name}/{seq} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    heard = b""
    while len(heard.partition(b"\r\n\r\n")[2]) < least:
        heard += reader.recv(4000)
        assert heard.startswith(b"HTTP/1.1 200")
    return heard


def is_published(http: Http, name: str, context: ssl.SSLContext) -> bool:
    """Whether the third segment has come, or is held back."""
    told = page(http, name, context)
    return bool(told["publishers"] == 1 or told["head"] == 3)


def page(http: Http, name: str, context: ssl.SSLContext) -> dict[str, Any]:
    """What the server tells of a channel."""
    return dict(json.loads(ask(http, "GET", f"/{name}", b"", context)))


def test_what_was_taken_elsewhere_counts_where_an_encrypted_connection_goes(
    programs: Programs, files: Files
) -> None:
    _, http = programs.serve(
        *("--autocreate", "--lossless", "--workers", str(WORKERS)),
        *("--cert", files.cert, "--key", files.key),
    )
    context = ssl.create_default_context(cafile=files.ca)
    names = [names_at(seat, 1, WORKERS)[0] for seat in range(WORKERS)]
    for name in names:
        ask(http, "POST", f"/{name}/0", b"data", context)
    for last in names:
        with Walker(http, context) as walker:
            for name in names * 2:
                assert walker.ask("GET", f"/{name}/0") == b"data"
            assert walker.connection.sock is not None
            walker.connection.sock.settimeout(10)
            # It ends when all has been taken, and not when patience does.
            fields = {"Connection": "close"}
            walker.connection.request("GET", f"/{last}/0", headers=fields)
            with walker.connection.getresponse() as answer:
                assert answer.fp is not None
                assert answer.fp.read() == b"data"


def test_a_head_that_comes_byte_by_byte_gets_where_it_belongs(
    programs: Programs,
) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    names = spread(WORKERS, WORKERS)
    for name in names:
        http.make(name, name.encode())
    with connect(http) as sock:
        for name in names * 2:
            for byte in f"GET /{name}/0 HTTP/1.1\r\nHost: test\r\n\r\n".encode():
                sock.sendall(bytes([byte]))
            heard = b""
            while not heard.endswith(name.encode()):
                heard += sock.recv(1000)
            assert heard.startswith(b"HTTP/1.1 200 ")


def test_pipelined_requests_are_answered_in_order_or_the_connection_ends(
    programs: Programs,
) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    names = spread(WORKERS, WORKERS)
    for name in names:
        http.make(name, name.encode())
    left = list(names * 3)
    rounds = 0
    while left:
        rounds += 1
        with connect(http) as sock:
            asked = [f"GET /{n}/0 HTTP/1.1\r\nHost: test\r\n\r\n" for n in left]
            asked[-1] = asked[-1].replace("1.1", "1.0")
            sock.sendall("".join(asked).encode())
            answered = read_to_end(sock).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert answered, left
        for answer in answered:  # whole, and in their order
            assert answer.endswith(b"\r\n\r\n" + left.pop(0).encode())
    assert rounds > 1


def test_pipelined_requests_for_one_channel_are_all_answered(
    programs: Programs,
) -> None:
    _, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    for name in spread(WORKERS, WORKERS):
        http.make(name, name.encode())
        with connect(http) as sock:
            sock.sendall(f"GET /{name}/0 HTTP/1.1\r\nHost: test\r\n\r\n".encode() * 50)
            sock.sendall(f"GET /{name}/0 HTTP/1.0\r\n\r\n".encode())
            assert read_to_end(sock).count(name.encode()) == 51


def test_garbage_is_refused_and_harms_nobody(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    chance = random.Random(2)
    pids = set(workers_of(server).values())
    for _ in range(60):
        with connect(http) as sock:
            sock.sendall(chance.randbytes(chance.randrange(1, 3000)) + b"\r\n\r\n")
            assert read_to_end(sock).startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    for target in ("//", "/%2e%2e/0", "/a/b/c", "/" + "x" * 5000, "/_x/0", "/%ff/0"):
        assert http.ask("GET", target)[0] in {400, 403, 404, 414}
    assert set(workers_of(server).values()) == pids


# One worker dies.


def test_when_a_worker_is_killed_others_do_not_notice(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    lost, kept = names_at(1, 1, 2)[0], names_at(0, 1, 2)[0]
    http.make(lost, b"lost")
    http.make(kept, b"kept")
    more = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"before "
        assert more.wait(30)
        yield b"after"

    with ThreadPoolExecutor(4) as pool, connect(http) as sock:
        publishing = pool.submit(ask, http, "POST", f"/{kept}/1", slowly())
        sock.sendall(
            f"POST /{lost}/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nda"
            "".encode()
        )
        with http.begin("GET", f"/{lost}/1") as broken:
            assert broken.read(2) == b"da"
            reading = pool.submit(ask, http, "GET", f"/{kept}/1")
            wait_until(lambda: json.loads(http.get(f"/{kept}"))["readers"] == 1)
            victim = workers_of(server)[1]
            os.kill(victim, signal.SIGKILL)
            assert read_to_end(sock) == b""
            with pytest.raises((http_client.IncompleteRead, ConnectionResetError)):
                broken.read()
        more.set()
        publishing.result()
        assert reading.result() == b"before after"
    server.says("worker 1 was ended by signal 9")
    wait_until(lambda: workers_of(server).get(1, victim) != victim)
    # What is asked meanwhile waits for the one that takes its place.
    assert http.ask("GET", f"/{lost}/0")[0] == 404
    http.make(lost, b"again")
    assert http.get(f"/{lost}/0") == b"again"
    assert http.get(f"/{kept}/0") == b"kept"


def test_workers_that_die_again_and_again_are_replaced(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    names = [names_at(seat, 1, 2)[0] for seat in (0, 1)]
    for _ in range(3):
        victims = workers_of(server)
        for pid in victims.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda victims=victims: (
                len(now := workers_of(server)) == 2
                and not set(now.values()) & set(victims.values())
            )
        )
        for name in names:
            http.make(name, b"data")
            assert http.get(f"/{name}/0") == b"data"


#: `trickle`, with less patience.
IMPATIENT = """
from trickle_cli.commands import seats
from trickle_cli.start import main

seats._HOPELESS = 5
main()
"""


def test_a_worker_that_hangs_is_replaced_as_one_that_dies(programs: Programs) -> None:
    server = programs.start_other(
        *(sys.executable, "-c", IMPATIENT),
        *("serve", "--port", "0", "--autocreate", "--workers", "2"),
    )
    http = Http(server.says("listening on").rpartition(" ")[2])
    lost, kept = names_at(1, 1, 2)[0], names_at(0, 1, 2)[0]
    http.make(lost, b"lost")
    http.make(kept, b"kept")
    victim = workers_of(server)[1]
    os.kill(victim, signal.SIGSTOP)
    with connect(http) as sock:
        sock.sendall(f"GET /{lost}/0 HTTP/1.0\r\n\r\n".encode())
        server.says("worker 1 hangs: it is ended")
        server.says("worker 1 was ended by signal 9: its channels are lost")
        read_to_end(sock)  # of whichever had it
    wait_until(lambda: workers_of(server).get(1, victim) != victim)
    http.make(lost, b"again")
    assert http.get(f"/{lost}/0") == b"again"
    assert http.get(f"/{kept}/0") == b"kept"


def test_workers_end_when_the_supervisor_is_killed(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    pids = workers_of(server)
    for seat in (0, 1):
        http.make(names_at(seat, 1, 2)[0], b"data")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(30)
    wait_until(lambda: not any(map(is_alive, pids.values())))
    again, _ = programs.serve("--workers", "2", port=http.address[1])
    assert again.runs


# The end.


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_it_stops_in_order(programs: Programs, number: int, code: int) -> None:
    server, http = programs.serve("--autocreate", "--workers", str(WORKERS))
    names = spread(WORKERS, WORKERS)
    for name in names:
        http.make(name, b"data")
    pids = workers_of(server)
    with ExitStack() as stack:
        waiting = [
            pool.submit(http.ask, "GET", f"/{name}/1")
            for pool in [stack.enter_context(ThreadPoolExecutor(WORKERS))]
            for name in names
        ]
        wait_until(
            lambda: all(b'"readers": 1' in http.get(f"/{name}") for name in names)
        )
        server.interrupt(number)
        for answer in waiting:
            assert answer.result()[2]["Lp-Trickle-Closed"] == "terminated"
    assert server.ends() == code
    assert not any(map(is_alive, pids.values()))
    server.says("closing the channels; interrupt again to leave at once")


def test_a_terminal_s_interrupt_reaches_all_and_counts_once(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    name = names_at(1, 1, 2)[0]
    http.make(name, b"x" * 3_000_000)
    with connect(http) as sock:  # it takes its time, and gets all of it
        sock.sendall(f"GET /{name}/0 HTTP/1.0\r\n\r\n".encode())
        sock.recv(1)
        os.killpg(server.process.pid, signal.SIGINT)
        server.says("closing the channels")
        assert len(read_to_end(sock)) > 3_000_000
    assert server.ends() == 130


def test_a_second_signal_ends_it_at_once(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--workers", "2")
    name = names_at(1, 1, 2)[0]
    http.make(name, b"x" * 8_000_000)
    pids = workers_of(server)
    with connect(http) as sock:
        sock.sendall(f"GET /{name}/0 HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        sock.recv(1)
        server.interrupt()
        server.says("closing the channels")
        server.interrupt()
        assert server.ends(4) == 130
    wait_until(lambda: not any(map(is_alive, pids.values())))


def test_what_is_wrong_is_said_once(programs: Programs, common: Http) -> None:
    port = str(common.address[1])
    server = programs.run("serve", "--port", port, "--workers", "3")
    assert server.ends() == 1
    assert server.err.count("\n") == 1
    assert "Address already in use" in server.err
    for count in ("0", "-1", "65", "many"):
        server = programs.run("serve", "--workers", count)
        assert server.ends() == 2
        assert "--workers" in server.err


def test_a_server_of_one_process_says_that_it_cannot_restart_gracefully(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate")
    server.interrupt(signal.SIGUSR2)
    server.says("takes --workers")
    assert http.ask("GET", "/_/health")[0] == 200
