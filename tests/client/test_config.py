"""Tokens, headers, proxies and Unix sockets: how a client comes to its server."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.client import scripted as say
from tests.client.ours import serving
from tests.client.scripted import PATIENCE, ScriptedServer, scripted
from trickle_cli.client import (
    ClientConfig,
    Control,
    Endpoint,
    Publisher,
    Subscriber,
)
from trickle_cli.client.connection import connect
from trickle_cli.client.proxy import proxy_for
from trickle_cli.errors import (
    BadAddress,
    BadConfiguration,
    ConnectionFailed,
    SegmentNotFound,
    UnexpectedStatus,
)

VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# What goes along with each request.


async def test_the_token_and_the_headers_go_with_every_request() -> None:
    config = ClientConfig(token="secret", headers=(("X-Key", " value "),))

    async def script(server: ScriptedServer) -> None:
        peer, asked = await server.asked("POST /cam")
        heads = [asked]
        await peer.send(say.answer())
        heads.append(await peer.asked("GET /cam/next"))
        await peer.send(say.answer(body=b"0"))
        await peer.gone()
        publishing, asked = await server.asked("POST /cam/0")
        heads.append(asked)
        await publishing.expect(say.chunk(b"x") + say.END)
        await publishing.send(say.answer())
        subscribing, asked = await server.asked("GET /cam/0")
        heads.append(asked)
        await subscribing.send(say.ENDED)
        for head in heads:
            assert head.fields["authorization"] == "Bearer secret"
            assert head.fields["x-key"] == "value"

    async with scripted(script) as server:
        async with Publisher(server.endpoint(), config=config) as publisher:
            await publisher.write(b"x")
            await publisher.flush()
        async with Subscriber(server.endpoint(), start=0, config=config) as subscriber:
            assert [segment async for segment in subscriber] == []


def test_the_token_is_not_shown() -> None:
    shown = repr(ClientConfig(token="secret", headers=(("A", "hidden"),)))
    assert "secret" not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize("token", ["a b", "a\nb", "a\x00", "é"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        ClientConfig(token=token)
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        ("", "x"),
        ("A B", "x"),
        ("A:", "x"),
        ("A", "x\r\nB: y"),
        ("A", "x\x00"),
        ("A", "\u0100"),
        ("Host", "x"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ],
)
def test_a_header_that_would_do_harm_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(BadConfiguration, match="the header"):
        ClientConfig(headers=(header,))


# Addresses of Unix sockets.


@pytest.mark.parametrize(
    ("given", "uds", "base_path", "url"),
    [
        (("cam", "unix:/run/t.sock"), "/run/t.sock", "/", "unix:/run/t.sock:/cam"),
        (("cam", "unix:t.sock"), "t.sock", "/", "unix:t.sock:/cam"),
        (("cam", "unix:///run/t.sock"), "/run/t.sock", "/", "unix:/run/t.sock:/cam"),
        (("cam", "unix:/t.sock:/a/b"), "/t.sock", "/a/b/", "unix:/t.sock:/a/b/cam"),
        (("unix:/t.sock:/cam",), "/t.sock", "/", "unix:/t.sock:/cam"),
        (("unix:/t.sock:/a/b/cam",), "/t.sock", "/a/b/", "unix:/t.sock:/a/b/cam"),
    ],
)
def test_a_unix_socket_has_a_url(
    given: tuple[str, ...], uds: str, base_path: str, url: str
) -> None:
    endpoint = Endpoint.parse(*given)
    assert (endpoint.uds, endpoint.base_path) == (uds, base_path)
    assert (endpoint.channel, endpoint.authority) == ("cam", "localhost")
    assert str(endpoint) == url
    assert Endpoint.parse(url) == endpoint
    assert Endpoint.parse("cam", endpoint.server) == endpoint


@pytest.mark.parametrize(
    "given", [("cam", "unix:"), ("unix:/t.sock",), ("unix:",), ("cam", "unix::/a")]
)
def test_what_is_no_unix_socket_is_refused(given: tuple[str, ...]) -> None:
    with pytest.raises(BadAddress):
        Endpoint.parse(*given)


async def test_a_unix_socket_on_which_nobody_listens(tmp_path: Path) -> None:
    endpoint = Endpoint.parse("cam", f"unix:{tmp_path}/nothing")
    for attempt in (connect(endpoint), _next(endpoint)):
        with pytest.raises(ConnectionFailed, match="cannot reach unix:/.*no such file"):
            await attempt


async def _next(endpoint: Endpoint) -> None:
    async with Control(endpoint) as control:
        await control.next()


# Proxies.


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


def test_proxies_are_those_of_the_environment(
    environment: pytest.MonkeyPatch,
) -> None:
    plain, secure = Endpoint.parse("c", "http://host"), Endpoint.parse("c", "https://h")
    assert proxy_for(plain) is None
    environment.setenv("HTTP_PROXY", "http://user:p%40ss@proxy:3128")
    environment.setenv("https_proxy", "https://[::1]")
    proxy = proxy_for(plain)
    assert proxy is not None
    assert str(proxy) == "http://proxy:3128"
    assert proxy.authorization == b"Basic dXNlcjpwQHNz"
    assert "dXNlcjpwQHNz" not in repr(proxy)
    assert str(proxy_for(secure)) == "https://[::1]:443"
    environment.setenv("NO_PROXY", "example.net, host,.local")
    assert proxy_for(plain) is None
    assert proxy_for(Endpoint.parse("c", "http://a.local")) is None
    assert proxy_for(Endpoint.parse("c", "http://other")) is not None
    assert proxy_for(Endpoint.parse("c", "unix:/t.sock")) is None


def test_a_proxy_may_be_for_all_and_without_a_scheme(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("ALL_PROXY", "proxy:3128")
    assert str(proxy_for(Endpoint.parse("c", "https://host"))) == "http://proxy:3128"


@pytest.mark.parametrize("url", ["socks5://proxy:1080", "http://", "http://h:x"])
def test_a_proxy_of_another_kind_is_refused(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("HTTP_PROXY", url)
    with pytest.raises(BadConfiguration, match="HTTP_PROXY"):
        proxy_for(Endpoint.parse("c", "http://host"))


@pytest.fixture(scope="session")
def running_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a proxy that asks for a name and a password."""
    port_file = tmp_path_factory.mktemp("proxy") / "port"
    os.mkfifo(port_file)
    told = os.open(port_file, os.O_RDONLY | os.O_NONBLOCK)
    command = [
        *(sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"),
        *("--port-file", str(port_file), "--num-workers", "1", "--num-acceptors", "1"),
        *("--basic-auth", "user:pass", "--log-level", "ERROR"),
    ]
    with (
        open(told, "rb", buffering=0) as reading,
        subprocess.Popen(command, stderr=subprocess.DEVNULL) as process,
    ):
        assert select.select([reading], [], [], PATIENCE)[0]
        port = reading.read(16).decode().strip()
        yield f"http://user:pass@127.0.0.1:{port}"
        process.terminate()


async def test_segments_and_short_requests_go_through_a_proxy(
    environment: pytest.MonkeyPatch, running_proxy: str
) -> None:
    environment.setenv("HTTP_PROXY", running_proxy)
    async with serving() as server:
        async with (
            Publisher(server.endpoint()) as publisher,
            Subscriber(server.endpoint(), start=0) as subscriber,
        ):
            writer = await publisher.next()
            await writer.write(b"one")
            segment = await subscriber.read()
            assert await anext(segment) == b"one"  # at once, while it is open
            await writer.close(b"two")
            assert await segment.read() == b"two"
            await publisher.close()
        assert server.hub.find("cam").closed


async def test_a_proxy_that_does_not_let_us_is_told_from_the_server(
    environment: pytest.MonkeyPatch, running_proxy: str
) -> None:
    where = running_proxy.replace("user:pass@", "")
    environment.setenv("HTTP_PROXY", where)
    async with serving() as server:
        with pytest.raises(ConnectionFailed) as caught:
            await connect(server.endpoint())
        assert f"the proxy {where} does not connect" in str(caught.value)
        assert "407 (it wants a name and a password)" in str(caught.value)


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 502 No\r\n\r\n"])
async def test_a_proxy_that_fails_is_named(
    environment: pytest.MonkeyPatch, said: bytes
) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, asked = await server.asked("CONNECT host.example:80")
        assert asked.fields["host"] == "host.example:80"
        if said:
            await peer.send(said)
        await peer.shut_down()

    async with scripted(script) as server:
        environment.setenv("HTTP_PROXY", server.url)
        with pytest.raises(ConnectionFailed, match=f"the proxy {server.url}"):
            await connect(Endpoint.parse("cam", "http://host.example"))


async def test_a_proxy_that_is_not_there_is_told_from_the_server(
    environment: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        environment.setenv("HTTP_PROXY", where)
        endpoint = Endpoint.parse("cam", "http://host.example")
        words = f"^cannot reach {endpoint.server} by the proxy {where}: connection ref"
        with pytest.raises(ConnectionFailed, match=words):
            await connect(endpoint)
        async with Control(endpoint) as control:
            with pytest.raises(ConnectionFailed, match=words):
                await control.next()


# What Control tells of channels and segments.


async def test_what_there_is_can_be_asked_for() -> None:
    async with serving() as server:
        async with Publisher(server.endpoint()) as publisher:
            await publisher.write(b"12345")
            await publisher.flush()
        server.hub.create("other")
        async with Control(server.endpoint()) as control:
            info = await control.info()
            assert (info.name, info.head, info.bytes) == ("cam", 1, 5)
            assert [c.name for c in await control.list()] == ["cam", "other"]
            assert await control.is_healthy()
            segment = await control.inspect(-2)
            assert (segment.seq, segment.latest, segment.size) == (0, 1, 5)
            assert segment.is_complete is True
            with pytest.raises(SegmentNotFound):
                await control.inspect(1)


async def test_a_server_without_a_listing_says_so() -> None:
    for answer in (
        say.NOT_FOUND,
        say.answer(body=b"<html>"),
        say.answer(body=b"{}"),
        say.answer(body=b'{"channels": [{}]}'),
    ):

        async def script(server: ScriptedServer, answer: bytes = answer) -> None:
            peer, _ = await server.asked("GET /")
            await peer.send(answer)
            await peer.gone()

        async with scripted(script) as server, Control(server.endpoint()) as control:
            with pytest.raises(UnexpectedStatus):
                await control.list()
