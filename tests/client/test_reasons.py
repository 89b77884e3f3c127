"""What a person gets to read when a server cannot be reached."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, NoReturn

import pytest
import trio

from tests.client.scripted import ScriptedServer, scripted
from trickle_cli.client import Control, Endpoint
from trickle_cli.client.connection import connect
from trickle_cli.client.reasons import is_refusal, reason_of, unreachable
from trickle_cli.errors import ConnectionFailed

_REFUSED: Final = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def _raised(make: Callable[[], NoReturn]) -> BaseException:
    try:
        make()
    except Exception as error:
        return error


def _from(cause: BaseException) -> BaseException:
    def make() -> NoReturn:
        raise trio.BrokenResourceError from cause

    return _raised(make)


def _while(context: BaseException) -> BaseException:
    def make() -> NoReturn:
        try:
            raise context
        except Exception:
            raise RuntimeError("it did not work")  # noqa: B904

    return _raised(make)


REASONS: Final[dict[str, tuple[BaseException, str]]] = {
    "the system's word": (OSError(errno.ECONNRESET, "x"), "connection reset by peer"),
    "of what caused it": (_from(OSError(errno.EPIPE, "x")), "broken pipe"),
    "of what it came with": (_while(OSError(errno.EPIPE, "x")), "broken pipe"),
    "of the first in a group": (
        _from(ExceptionGroup("all failed", [_REFUSED, OSError(errno.EPIPE, "x")])),
        "connection refused",
    ),
    "of the innermost": (
        _from(_from(OSError(errno.ENETUNREACH, "x"))),
        "network is unreachable",
    ),
    "the resolver's word": (
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        "name or service not known",
    ),
    "an error of TLS, which counts otherwise": (
        _from(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
        "wrong version number",
    ),
    "an error without a number": (OSError("no luck"), "no luck"),
    "any other error": (ValueError("no luck"), "no luck"),
    "an error without words": (trio.BrokenResourceError(), "BrokenResourceError"),
}


@pytest.mark.parametrize(("error", "words"), REASONS.values(), ids=REASONS)
def test_a_reason_is(error: BaseException, words: str) -> None:
    assert reason_of(error) == words


def test_only_a_refusal_comes_with_the_advice_to_start_a_server() -> None:
    assert is_refusal(_from(_REFUSED))
    assert not is_refusal(OSError(errno.ECONNRESET, "x"))
    assert not is_refusal(ValueError())
    assert unreachable("http://host", _REFUSED) == (
        "cannot reach http://host: connection refused"
        " — is a server running there? (trickle serve)"
    )
    assert unreachable("http://host", OSError(errno.ECONNRESET, "x")) == (
        "cannot reach http://host: connection reset by peer"
    )


def test_a_proxy_in_between_is_named_and_no_server_advised() -> None:
    assert unreachable("http://host", _REFUSED, "http://proxy:3128") == (
        "cannot reach http://host by the proxy http://proxy:3128: connection refused"
    )


# Both ways to send requests, which say the same.

Ask = Callable[[Endpoint], Any]


async def _by_connection(endpoint: Endpoint) -> None:
    connection = await connect(endpoint)
    try:
        await connection.send(b"GET /cam/0 HTTP/1.1\r\nHost: a\r\n\r\n")
        await connection.response()
    finally:
        await connection.aclose()


async def _by_control(endpoint: Endpoint) -> None:
    async with Control(endpoint) as control:
        await control.next()


both_ways = pytest.mark.parametrize("ask", [_by_connection, _by_control])


@both_ways
async def test_nobody_listens(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        await ask(Endpoint.parse("cam", f"http://127.0.0.1:{port}"))
    assert str(caught.value) == (
        f"cannot reach http://127.0.0.1:{port}: connection refused"
        " — is a server running there? (trickle serve)"
    )


@both_ways
async def test_a_server_resets_the_connection(ask: Ask) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked()
        await peer.reset()

    async with scripted(script) as server:
        with pytest.raises(ConnectionFailed, match="connection reset by peer$"):
            await ask(server.endpoint())


class _Resolver(trio.abc.HostnameResolver):
    """Knows no name."""

    async def getaddrinfo(self, *args: object, **options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *args: object) -> NoReturn:
        raise NotImplementedError


@both_ways
async def test_a_name_that_nobody_knows(ask: Ask) -> None:
    trio.socket.set_custom_hostname_resolver(_Resolver())
    with pytest.raises(ConnectionFailed) as caught:
        await ask(Endpoint.parse("cam", "http://nowhere.invalid"))
    assert str(caught.value) == (
        "cannot reach http://nowhere.invalid: name or service not known"
    )


@both_ways
async def test_a_server_that_does_not_speak_tls(ask: Ask) -> None:
    async def script(server: ScriptedServer) -> None:
        peer = await server.accept()
        await peer.take(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(script) as server:
        endpoint = Endpoint.parse("cam", server.url.replace("http:", "https:"))
        with pytest.raises(
            ConnectionFailed, match="wrong version number — if it does not"
        ):
            await ask(endpoint)


@pytest.mark.parametrize("host", ["256.1.1.1", "xn--", "xn--n3h.net"])
async def test_a_host_that_httpx_does_not_take_is_a_server_out_of_reach(
    host: str,
) -> None:
    with pytest.raises(ConnectionFailed, match=f"^cannot reach http://{host}: "):
        await _by_control(Endpoint.parse("cam", f"http://{host}"))
