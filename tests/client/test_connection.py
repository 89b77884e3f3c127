"""One connection: over streams in memory where no socket is needed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, NoReturn

import pytest
import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.client import scripted as say
from tests.client.scripted import ScriptedServer, scripted
from trickle_cli.client import Endpoint
from trickle_cli.client.connection import CONNECT_TIMEOUT, Connection, connect
from trickle_cli.errors import ConnectionFailed, ProtocolViolation
from trickle_cli.protocol.http1 import USUAL_LIMITS

_Stream = trio.StapledStream[MemorySendStream, MemoryReceiveStream]


def _pair() -> tuple[Connection, _Stream]:
    """A connection, and the server's end of it."""
    ours, theirs = memory_stream_pair()
    return Connection(ours, "http://there"), theirs


async def _given(*data: bytes, eof: bool = False) -> Connection:
    """A connection on which this has come."""
    connection, theirs = _pair()
    for piece in data:
        await theirs.send_all(piece)
    if eof:
        await theirs.send_eof()
    return connection


async def _body(connection: Connection) -> bytes:
    body = b""
    while (data := await connection.data()) is not None:
        assert data
        body += data
    return body


# Answers.

FORMS: Final = {
    "with a length": say.answer(200, "A: b", body=b"hello, world"),
    "in chunks": say.head(200, "A: b", "Transfer-Encoding: chunked")
    + say.chunks(b"hello, ", b"world")
    + say.END,
    "until the connection closes": say.head(200, "A: b") + b"hello, world",
}
in_all_forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
in_all_pieces = pytest.mark.parametrize("size", [1, 7, 10_000])


@in_all_forms
@in_all_pieces
async def test_an_answer_is_a_head_and_a_body(form: bytes, size: int) -> None:
    pieces = [form[i : i + size] for i in range(0, len(form), size)]
    connection = await _given(*pieces, eof=True)
    response = await connection.response()
    assert response.status == 200
    assert response.field(b"a") == b"b"
    assert await _body(connection) == b"hello, world"


@in_all_pieces
async def test_informational_answers_are_passed_over(size: int) -> None:
    text = b"".join(
        [
            say.head(100),
            say.head(100, "A: b"),
            say.head(102),
            say.head(103, "Link: </a>"),
            say.head(100),
            say.answer(200, body=b"at last"),
        ]
    )
    connection = await _given(*(text[i : i + size] for i in range(0, len(text), size)))
    assert (await connection.response()).status == 200
    assert await _body(connection) == b"at last"
    assert connection.is_reusable


async def test_one_answer_comes_after_the_other() -> None:
    connection, theirs = _pair()
    for seq in range(3):
        await connection.send(b"GET %d" % seq)
        assert await theirs.receive_some() == b"GET %d" % seq
        await theirs.send_all(say.segment(seq, b"body %d" % seq))
        response = await connection.response()
        assert response.field(b"lp-trickle-seq") == b"%d" % seq
        assert await connection.text() == f"body {seq}"
        assert connection.is_reusable


async def test_an_answer_comes_while_sending_waits() -> None:
    ours, theirs = lockstep_stream_pair()  # what is sent must be taken
    connection = Connection(ours, "http://there")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, say.answer(404))
        nursery.start_soon(connection.send, b"a body")
        assert (await connection.response()).status == 404
        assert await theirs.receive_some() == b"a body"


REUSABLE: Final = {
    "a length": (say.answer(200, body=b"a"), False, True),
    "chunks": (say.segment_head(0) + say.chunk(b"a") + say.END, False, True),
    "no body": (say.head(204), False, True),
    "it says that it closes": (say.answer(200, "Connection: close"), False, False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, False),
    "the body lasted until it closed": (say.head(200) + b"a", True, False),
    "more came than was asked for": (say.answer() + say.answer(), False, False),
}


@pytest.mark.parametrize(
    ("text", "eof", "reusable"), REUSABLE.values(), ids=REUSABLE.keys()
)
async def test_a_connection_can_be_used_again_if(
    text: bytes, eof: bool, reusable: bool
) -> None:
    connection = await _given(text, eof=eof)
    await connection.response()
    await connection.text()
    assert connection.is_reusable is reusable


async def test_a_connection_that_has_been_closed_cannot_be_used_again() -> None:
    connection = await _given(say.answer())
    await connection.response()
    await connection.text()
    await connection.aclose()
    assert not connection.is_reusable
    with pytest.raises(ConnectionFailed):
        await connection.response()


async def test_of_a_text_the_beginning_is_kept_and_the_rest_is_read() -> None:
    connection = await _given(say.answer(400, body=b" \xff" + 2000 * b"x"))
    await connection.response()
    text = await connection.text(limit=10)
    assert text == "\N{REPLACEMENT CHARACTER}" + 8 * "x"
    assert connection.is_reusable


# Bytes that are known already.


@pytest.mark.parametrize("count", range(11))
@in_all_forms
async def test_known_bytes_are_skipped(form: bytes, count: int) -> None:
    connection = await _given(form, eof=True)
    await connection.response()
    assert await connection.skip(count)
    assert await _body(connection) == b"hello, world"[count:]


async def test_known_bytes_come_in_many_pieces() -> None:
    connection, theirs = _pair()
    await theirs.send_all(say.segment_head(0))
    for letter in b"hello, world":
        await theirs.send_all(say.chunk(bytes([letter])))
    await theirs.send_all(say.END)
    await connection.response()
    assert await connection.skip(7)
    assert await _body(connection) == b"world"


async def test_all_bytes_may_be_known() -> None:
    connection = await _given(say.answer(200, body=b"hello"))
    await connection.response()
    assert await connection.skip(5)
    assert await connection.data() is None


async def test_a_body_that_has_fewer_bytes_than_are_known_is_told() -> None:
    connection = await _given(say.answer(200, body=b"hello"))
    await connection.response()
    assert not await connection.skip(6)


# What goes wrong.

CUT: Final = {
    "before it began": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "in a body with a length": say.head(200, "Content-Length: 5") + b"hell",
    "in a chunk": say.segment_head(0) + b"5\r\nhell",
    "between chunks": say.segment_head(0) + say.chunk(b"hello"),
    "in the last chunk": say.segment_head(0) + say.chunk(b"hello") + b"0\r\n",
    "after an informational answer": say.head(100),
}


@pytest.mark.parametrize("text", CUT.values(), ids=CUT)
async def test_an_answer_that_is_cut_short_is_a_failure(text: bytes) -> None:
    connection = await _given(text, eof=True)
    with pytest.raises(ConnectionFailed, match="^http://there closed the connection$"):
        await connection.response()
        await _body(connection)


NOT_HTTP: Final = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing at all": bytes(100),
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "another version": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a bad chunk": say.segment_head(0) + b"x\r\n",
    "two lengths": say.head(200, "Content-Length: 1", "Content-Length: 2"),
    "a transfer coding": say.head(200, "Transfer-Encoding: gzip, chunked"),
    "an endless head": say.head(200)[:-2] + USUAL_LIMITS.size * b"A: b\r\n",
    "an endless field": say.head(200)[:-2] + b"A: " + 2 * USUAL_LIMITS.size * b"b",
    "endless padding": say.segment_head(0) + b"5;" + 40 * USUAL_LIMITS.size * b"x",
}


@pytest.mark.parametrize("text", NOT_HTTP.values(), ids=NOT_HTTP)
@pytest.mark.parametrize("size", [100, 1_000_000])
async def test_what_is_not_http_is_told_from_a_failure(text: bytes, size: int) -> None:
    connection, theirs = _pair()
    for start in range(0, len(text), size):
        await theirs.send_all(text[start : start + size])
    with pytest.raises(ProtocolViolation, match="^cannot understand http://there: ."):
        await connection.response()
        await _body(connection)


async def test_an_answer_inside_of_another_is_not_http() -> None:
    connection = await _given(say.answer() + say.answer())
    await connection.response()
    assert await connection.data() is None
    with pytest.raises(ProtocolViolation, match="began another answer"):
        await connection.data()


async def test_a_body_where_an_answer_should_be_is_not_http() -> None:
    connection = await _given(say.answer(200, body=b"hello"))
    await connection.response()
    with pytest.raises(ProtocolViolation, match="what was not asked"):
        await connection.response()


async def test_sending_to_a_server_that_has_gone_is_a_failure() -> None:
    connection, theirs = _pair()
    await theirs.aclose()
    with pytest.raises(ConnectionFailed, match="^lost the connection to http://there"):
        await connection.send(b"hello")


async def test_whoever_waits_on_a_connection_learns_that_it_has_been_closed() -> None:
    connection, _ = _pair()
    failures = []

    async def wait() -> None:
        try:
            await connection.response()
        except ConnectionFailed as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        await connection.aclose()
        await connection.aclose()  # harmless
    assert len(failures) == 1


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    connection, theirs = _pair()
    await theirs.send_all(say.segment_head(0))
    await connection.response()
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.data()
    await theirs.send_all(say.chunk(b"hello") + say.END)
    assert await _body(connection) == b"hello"


# Connecting.


async def test_a_server_that_vanishes_is_noticed_by_keepalive() -> None:
    async def script(server: ScriptedServer) -> None:
        await server.accept()

    async with scripted(script) as server:
        connection = await connect(server.endpoint())
        stream = connection._stream
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            idle = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert idle == 20
        await connection.aclose()


async def test_a_server_may_listen_on_ipv6_only() -> None:
    try:
        (listener,) = await trio.open_tcp_listeners(0, host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with listener:
        url = f"http://[::1]:{listener.socket.getsockname()[1]}"
        connection = await connect(Endpoint.parse("cam", url))
        await connection.aclose()


class _Resolver(trio.abc.HostnameResolver):
    """Does what it is told instead of answering."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do = do
        self.asked = trio.Event()

    async def getaddrinfo(self, *args: object, **options: object) -> NoReturn:
        self.asked.set()
        self._do()
        await trio.sleep_forever()

    async def getnameinfo(self, *args: object) -> NoReturn:
        raise NotImplementedError


async def test_a_server_that_does_not_answer_is_given_up(
    autojump_clock: MockClock,
) -> None:
    trio.socket.set_custom_hostname_resolver(_Resolver(lambda: None))
    with pytest.raises(ConnectionFailed) as caught:
        await connect(Endpoint.parse("http://there/cam"))
    assert str(caught.value) == "cannot reach http://there: no answer within 10 s"
    assert trio.current_time() == pytest.approx(CONNECT_TIMEOUT, abs=0.1)


async def test_connecting_can_be_cancelled_while_the_name_is_looked_up() -> None:
    with trio.CancelScope() as scope:
        trio.socket.set_custom_hostname_resolver(_Resolver(scope.cancel))
        await connect(Endpoint.parse("http://there/cam"))
    assert scope.cancelled_caught


async def test_connecting_can_be_cancelled_in_the_middle_of_tls() -> None:
    scope = trio.CancelScope()

    async def script(server: ScriptedServer) -> None:
        peer = await server.accept()
        assert await peer.take(1) == b"\x16"  # a handshake
        scope.cancel()

    async with scripted(script) as server:
        endpoint = Endpoint.parse("cam", server.url.replace("http:", "https:"))
        with scope:
            await connect(endpoint)
        assert scope.cancelled_caught  # and the script sees the connection closed
