"""Very many strangers: thousands that talk nonsense, hundreds that hardly talk."""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections.abc import Iterator

from tests.commands.programs import PATIENCE, Http, Program, Programs
from tests.e2e.test_comings_and_goings import descriptors, memory, wait_until_gone
from tests.e2e.test_hostile import ATTACKS

#: Malformed requests, and those that go on at the same time.
REQUESTS = 5000
AT_ONCE = 50
SLOW = 500


def mutations(chance: random.Random) -> Iterator[bytes]:
    """Attacks, each with something in it changed."""
    known = [data for data, _ in ATTACKS.values() if data]
    while True:
        data = bytearray(chance.choice(known)[:3000])
        for _ in range(chance.randint(0, 4)):
            at = chance.randrange(len(data))
            match chance.randrange(5):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    del data[at : at + chance.randint(1, 20)]
                case 2:
                    data[at:at] = chance.choice((b"\r\n", b"\0", b":", b" ", b"\r"))
                case 3:
                    data[at:at] = bytes(data[: chance.randint(1, 200)])
                case _:
                    data += chance.choice(known)[:500]
            if not data:
                break
        # Where it might have become a request that waits, it must not stop there.
        yield bytes(data).replace(b"/cam/", b"/nothing/")


def say(http: Http, data: bytes) -> bytes:
    """What the server says to `data`, as far as it comes at once."""
    with socket.create_connection(http.address, PATIENCE) as peer:
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            return peer.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return b""


class Transfer:
    """A publisher and a subscriber beside all that: every byte goes through."""

    def __init__(self, programs: Programs, http: Http) -> None:
        self._sent = b""
        self._chance = random.Random(5)
        self.subscriber: Program = programs.start("sub", f"{http.url}/cam")
        self.subscriber.says("waiting")
        self.publisher = programs.start("pub", "--size", "10000", f"{http.url}/cam")

    def goes_on(self) -> None:
        data = self._chance.randbytes(15_000)
        self.publisher.feed(data)
        self._sent += data
        self.subscriber.writes(self._sent)

    def ends(self) -> None:
        self.publisher.end_input()
        for program in (self.publisher, self.subscriber):
            assert program.ends() == 0, program.err
        assert self.subscriber.out == self._sent


def test_thousands_of_malformed_requests_disturb_nothing(programs: Programs) -> None:
    server, http = programs.serve("--autocreate", "--max-channels", "50")
    pid = server.process.pid
    transfer = Transfer(programs, http)
    stream = mutations(random.Random(9))
    before, used = 0, 0
    for turn in range(REQUESTS // AT_ONCE):
        threads = [
            threading.Thread(target=say, args=(http, data))
            for data, _ in zip(stream, range(AT_ONCE), strict=False)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        transfer.goes_on()
        if turn == REQUESTS // AT_ONCE // 3:  # by then, all there is has been used
            time.sleep(0.5)
            before, used = descriptors(pid), memory(pid)
    transfer.ends()
    wait_until_gone(pid, before)
    assert memory(pid) - used < 8 * 1024
    assert http.ask("GET", "/_/health")[0] == 200
    server.interrupt()
    assert server.ends() == 130
    assert "error" not in server.err.lower()
    assert "failed" not in server.err


def test_hundreds_that_send_a_byte_now_and_then_change_nothing(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate", "--head-timeout", "4s")
    pid = server.process.pid
    transfer = Transfer(programs, http)
    transfer.goes_on()
    before = descriptors(pid)
    selector = selectors.DefaultSelector()
    slow = {socket.create_connection(http.address, PATIENCE) for _ in range(SLOW)}
    for peer in slow:
        selector.register(peer, selectors.EVENT_READ)
    request = b"GET /cam/0 HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 1000
    answers: dict[socket.socket, bytes] = {}
    at = 0
    while len(answers) < SLOW:
        for peer in slow - set(answers):
            try:
                peer.send(request[at : at + 1])
            except OSError:
                answers.setdefault(peer, b"")
        at += 1
        transfer.goes_on()
        for key, _ in selector.select(0.2):
            peer = key.fileobj  # type: ignore[assignment]
            try:
                answers[peer] = peer.recv(1000)
            except ConnectionResetError:
                answers[peer] = b""
            selector.unregister(peer)
        assert at < 1000
    assert at > 3  # they were there for a while
    told = [answer for answer in answers.values() if answer]
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in told)
    assert len(told) > SLOW * 0.9
    for peer in slow:
        peer.close()
    selector.close()
    wait_until_gone(pid, before)
    transfer.ends()
