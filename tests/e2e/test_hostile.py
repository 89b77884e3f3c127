"""Strangers who send anything at all, while others go on with what they do."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from tests.commands.programs import PATIENCE, Http, Programs
from tests.e2e.test_comings_and_goings import descriptors, wait_until_gone

HEAD = b"HTTP/1.1\r\nHost: here\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
#: Each with the status that answers it; None where nothing does, or not yet.
ATTACKS: dict[str, tuple[bytes, int | None]] = {
    "garbage": (random.Random(7).randbytes(20_000), 400),
    "nothing": (b"", None),
    "half a request line": (b"GET /cam", None),
    "half a head": (b"POST /cam/9 HTTP/1.1\r\nHost: he", None),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "no such version": (b"GET /cam/0 HTTP/9.9\r\nHost: here\r\n\r\n", 400),
    "no host": (b"GET /cam/0 HTTP/1.1\r\n\r\n", 400),
    "two lengths": (
        b"POST /cam/9 %bContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" % HEAD,
        400,
    ),
    "a length and chunks": (
        b"POST /cam/9 %bContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" % HEAD,
        400,
    ),
    "an unknown coding": (b"POST /cam/9 %bTransfer-Encoding: gzip\r\n\r\n" % HEAD, 400),
    "bare line feeds": (b"GET /cam/0 HTTP/1.1\nHost: here\n\n", 400),
    "a folded field": (b"GET /cam/0 %bA: b\r\n c\r\n\r\n" % HEAD, 400),
    "a NUL": (b"GET /cam/0 %bA: b\0c\r\n\r\n" % HEAD, 400),
    "a long target": (b"GET /%b %b\r\n" % (b"a" * 5000, HEAD), 414),
    "a long field": (b"GET /cam/0 %bA: %b\r\n\r\n" % (HEAD, b"b" * 20_000), 431),
    "many fields": (b"GET /cam/0 %b%b\r\n" % (HEAD, b"A: b\r\n" * 200), 431),
    "no number for a seq": (b"GET /cam/one %b\r\n" % HEAD, 400),
    "a huge seq": (b"GET /cam/%b %b\r\n" % (b"9" * 400, HEAD), 400),
    "a seq that panics the reference": (b"DELETE /cam/-1 %b\r\n" % HEAD, 400),
    "a path that climbs out": (b"GET /../../etc/passwd %b\r\n" % HEAD, 404),
    "a name with a slash": (b"GET /cam%%2Fera/0 %b\r\n" % HEAD, 400),
    "a method that is not for it": (b"PUT /cam/0 %b\r\n" % HEAD, 405),
    "a method of its own": (b"BREW /cam/0 %b\r\n" % HEAD, 400),
    "a channel that is not there": (b"GET /nothing/0 %b\r\n" % HEAD, 404),
    "half a chunk": (b"POST /other/0 %bffff\r\nabc" % CHUNKED, None),
    "no size of a chunk": (b"POST /other/0 %bwhat\r\nabc\r\n" % CHUNKED, 400),
    "the size of a planet": (b"POST /other/0 %b%b\r\n" % (CHUNKED, b"f" * 40), 400),
    # Two readers of the same bytes who disagree on where a message ends: smuggling.
    "a length twice": (
        b"POST /cam/9 %bContent-Length: 1\r\nContent-Length: 1\r\n\r\na" % HEAD,
        400,
    ),
    "a list of lengths": (b"POST /cam/9 %bContent-Length: 1, 1\r\n\r\na" % HEAD, 400),
    "a length with a sign": (b"POST /cam/9 %bContent-Length: +1\r\n\r\na" % HEAD, 400),
    "a negative length": (b"POST /cam/9 %bContent-Length: -1\r\n\r\na" % HEAD, 400),
    "a length in hexadecimal": (
        b"POST /cam/9 %bContent-Length: 0x1\r\n\r\na" % HEAD,
        400,
    ),
    "a length without end": (
        b"POST /cam/9 %bContent-Length: %b\r\n\r\na" % (HEAD, b"9" * 40),
        400,
    ),
    "a length of nothing": (b"POST /cam/9 %bContent-Length: \r\n\r\na" % HEAD, 400),
    "a blank before the colon": (
        b"POST /cam/9 %bTransfer-Encoding : chunked\r\n\r\n" % HEAD,
        400,
    ),
    "chunked twice": (
        b"POST /cam/9 %bTransfer-Encoding: chunked, chunked\r\n\r\n" % HEAD,
        400,
    ),
    "chunked in two fields": (
        b"POST /cam/9 %bTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"
        % HEAD,
        400,
    ),
    "chunked and then not": (
        b"POST /cam/9 %bTransfer-Encoding: chunked, identity\r\n\r\n" % HEAD,
        400,
    ),
    "almost chunked": (
        b"POST /cam/9 %bTransfer-Encoding: xchunked\r\n\r\n" % HEAD,
        400,
    ),
    "chunked in a folded field": (
        b"POST /cam/9 %bTransfer-Encoding:\r\n chunked\r\n\r\n" % HEAD,
        400,
    ),
    "chunked in HTTP/1.0": (
        b"POST /cam/9 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "a chunk in hexadecimal twice": (b"POST /cam/9 %b0x1\r\na\r\n" % CHUNKED, 400),
    "a chunk with a sign": (b"POST /cam/9 %b+1\r\na\r\n" % CHUNKED, 400),
    "a chunk that is longer than it says": (
        b"POST /other/0 %b1\r\nab\r\n0\r\n\r\n" % CHUNKED,
        400,
    ),
    "a chunk that ends in a line feed": (
        b"POST /other/0 %b1\na\n0\n\n" % CHUNKED,
        400,
    ),
    "a chunk extension without end": (
        b"POST /other/0 %b1;%b" % (CHUNKED, b"x" * 400_000),
        400,
    ),
    "trailers without end": (
        b"POST /other/0 %b0\r\n%b" % (CHUNKED, b"A: b\r\n" * 60_000),
        400,
    ),
    "a bare carriage return": (b"GET /cam/0 %bA: b\rC: d\r\n\r\n" % HEAD, 400),
    "a field without a name": (b"GET /cam/0 %b: b\r\n\r\n" % HEAD, 400),
    "a blank in a name": (b"GET /cam/0 %bA B: c\r\n\r\n" % HEAD, 400),
    "two hosts": (b"GET /cam/0 %bHost: there\r\n\r\n" % HEAD, 400),
    "an upgrade with a body": (
        b"POST /cam/9 %bConnection: Upgrade\r\nUpgrade: h2c\r\n"
        b"Content-Length: 1\r\n\r\na" % HEAD,
        400,
    ),
    "a version with a tail": (b"GET /cam/0 HTTP/1.10\r\nHost: here\r\n\r\n", 400),
    "no version": (b"GET /cam/0\r\n\r\n", 400),
    "a method in small letters": (b"get /cam/0 %b\r\n" % HEAD, 400),
    "an expectation that cannot be met": (
        b"POST /cam/9 %bExpect: a miracle\r\nContent-Length: 1\r\n\r\n" % HEAD,
        417,
    ),
    "a web page of another place": (
        b"POST /cam/9 %bOrigin: http://evil.example\r\nContent-Length: 1\r\n\r\na"
        % HEAD,
        403,
    ),
    "a wait for the head": (b"GET /cam/-1 %b\r\n" % HEAD, None),
    "a publisher that only promises": (b"POST /other/-1 " + CHUNKED, None),
}


def asks_for_the_head(peer: socket.socket) -> bool:
    """Whether a well-behaved request is answered."""
    peer.sendall(b"GET /cam/next %b\r\n" % HEAD)
    return peer.recv(65536).startswith(b"HTTP/1.1 200 OK")


class Attack:
    """One stranger's connection."""

    def __init__(self, http: Http, name: str) -> None:
        data, self.status = ATTACKS[name]
        self.peer = socket.create_connection(http.address, PATIENCE)
        try:
            self.peer.sendall(data)
        except ConnectionError:
            assert self.status is not None  # it was told what it was by then

    def answer(self) -> bytes:
        """Whatever comes first."""
        try:
            return self.peer.recv(65536)
        except ConnectionResetError:
            return b""

    def leave(self, *, rudely: bool) -> None:
        if rudely:
            linger = struct.pack("ii", 1, 0)
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.peer.close()


@pytest.mark.parametrize("name", [n for n, (_, status) in ATTACKS.items() if status])
def test_a_stranger_is_told_what_is_wrong(common: Http, name: str) -> None:
    if common.ask("GET", "/cam/next")[0] == 404:
        common.make("cam", b"first")
    with socket.create_connection(common.address, PATIENCE) as beside:
        assert asks_for_the_head(beside)
        attack = Attack(common, name)
        answer = attack.answer()
        attack.leave(rudely=False)
        assert asks_for_the_head(beside)  # the connection beside it goes on
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {attack.status} ".encode()), answer
    assert body.count(b"\n") == 1, body  # one line, which says so


def test_a_transfer_goes_on_among_strangers(programs: Programs) -> None:
    server, http = programs.serve("--autocreate")
    before = descriptors(server.process.pid)
    subscribers = [programs.start("sub", f"{http.url}/cam") for _ in range(3)]
    for subscriber in subscribers:
        subscriber.says("waiting")
    publisher = programs.start("pub", "--size", "10000", f"{http.url}/cam")
    chance = random.Random(8)
    sent = b""
    for _ in range(20):
        attacks = [Attack(http, name) for name in ATTACKS]
        data = chance.randbytes(25_000)
        publisher.feed(data)
        sent += data
        for subscriber in subscribers:  # while all of the strangers are there
            subscriber.writes(sent)
        for attack in attacks:
            attack.leave(rudely=chance.random() < 0.5)
    publisher.end_input()
    for program in (publisher, *subscribers):
        assert program.ends() == 0, program.err
    wait_until_gone(server.process.pid, before)
    assert http.segments("cam") == [
        sent[start : start + 10_000] for start in range(0, len(sent), 10_000)
    ]
    server.interrupt()
    assert server.ends() == 130
    assert "error" not in server.err
