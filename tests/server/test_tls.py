"""Encrypted connections, and Unix sockets, to a server and from clients of ours."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path

import pytest
import trio
import trustme

from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.client import (
    ClientConfig,
    Control,
    Endpoint,
    Publisher,
    Subscriber,
    tls_context,
)
from trickle_cli.errors import BadConfiguration, ConnectionFailed, TrickleError
from trickle_cli.server import (
    Patience,
    Server,
    ServerConfig,
    listen,
    listen_unix,
    remove_unix,
    server_context,
)

CONFIG = ServerConfig(autocreate=True, patience=Patience(head=0.5))


class Files:
    """Certificates and keys, as files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self.issue("localhost", "127.0.0.1")

    def issue(self, *names: str) -> tuple[str, str]:
        """A certificate and its key."""
        made = self.authority.issue_cert(*names)
        stem = f"{names[0].replace('@', '-at-')}-{len(os.listdir(self.folder))}"
        cert, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        made.cert_chain_pems[0].write_to_path(cert)
        made.private_key_pem.write_to_path(key)
        return str(cert), str(key)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


async def serve(
    nursery: trio.Nursery, tls: ssl.SSLContext, config: ServerConfig = CONFIG
) -> tuple[Server, str]:
    server = Server(config, tls=tls)
    (listener,) = await listen("127.0.0.1", 0)
    await nursery.start(server.run, [listener])
    return server, f"https://127.0.0.1:{listener.getsockname()[1]}"


async def round_trip(endpoint: Endpoint, config: ClientConfig) -> list[bytes]:
    """What a subscriber gets of what a publisher sends."""
    async with (
        Subscriber(endpoint, start=0, wait=True, config=config) as subscriber,
        trio.open_nursery() as nursery,
    ):

        async def publish() -> None:
            async with Publisher(endpoint, config=config) as publisher:
                for number in range(3):
                    segment = await publisher.next()
                    await segment.write(b"%d" % number)
                    await segment.write(b"x" * 300_000)
                await publisher.close()

        nursery.start_soon(publish)
        with trio.fail_after(30):
            got = [await segment.read() async for segment in subscriber]
    return got


SENT = [b"%d" % number + b"x" * 300_000 for number in range(3)]


async def test_everything_goes_encrypted(nursery: trio.Nursery, files: Files) -> None:
    _, url = await serve(nursery, server_context(files.cert, files.key))
    config = ClientConfig(tls=tls_context(cacert=files.ca))
    assert await round_trip(Endpoint.parse("cam", url), config) == SENT
    nursery.cancel_scope.cancel()


async def test_certificates_are_verified_unless_told_otherwise(
    nursery: trio.Nursery, files: Files
) -> None:
    _, url = await serve(nursery, server_context(files.cert, files.key))
    endpoint = Endpoint.parse("cam", url)
    other = trustme.CA()
    path = files.folder / "other.pem"
    other.cert_pem.write_to_path(path)
    for tls in (None, tls_context(cacert=str(path))):
        with pytest.raises(ConnectionFailed, match="certificate verify failed"):
            async with Subscriber(endpoint, config=ClientConfig(tls=tls)) as subscriber:
                await subscriber.read()
        with pytest.raises(ConnectionFailed, match="certificate verify failed"):
            async with Control(endpoint, ClientConfig(tls=tls)) as control:
                await control.next()
    insecure = ClientConfig(tls=tls_context(insecure=True))
    assert await round_trip(endpoint, insecure) == SENT
    nursery.cancel_scope.cancel()


async def test_only_clients_with_a_certificate_get_in(
    nursery: trio.Nursery, files: Files
) -> None:
    tls = server_context(files.cert, files.key, client_ca=files.ca)
    server, url = await serve(nursery, tls)
    endpoint = Endpoint.parse("cam", url)
    stranger = ClientConfig(tls=tls_context(cacert=files.ca))
    with pytest.raises(ConnectionFailed):
        async with Subscriber(endpoint, config=stranger) as subscriber:
            await subscriber.read()
    cert, key = files.issue("me@example.net")
    friend = ClientConfig(tls=tls_context(cacert=files.ca, cert=cert, key=key))
    assert await round_trip(endpoint, friend) == SENT
    await until(lambda: server.statistics().connections == 0)
    nursery.cancel_scope.cancel()


async def test_new_certificates_are_for_new_connections(
    nursery: trio.Nursery, files: Files
) -> None:
    server, url = await serve(nursery, server_context(files.cert, files.key))
    endpoint = Endpoint.parse("cam", url)
    config = ClientConfig(tls=tls_context(cacert=files.ca))
    async with Publisher(endpoint, config=config) as publisher:
        segment = await publisher.next()
        await segment.write(b"before ")
        other = trustme.CA()
        made = other.issue_cert("127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.configure_cert(context)
        server.tls = context
        await segment.write(b"and after")  # the connection goes on
        await segment.close()
        with pytest.raises(ConnectionFailed, match="verify failed"):
            async with Control(endpoint, config) as control:
                await control.next()
        path = files.folder / "new.pem"
        other.cert_pem.write_to_path(path)
        renewed = ClientConfig(tls=tls_context(cacert=str(path)))
        async with Subscriber(endpoint, start=0, config=renewed) as subscriber:
            assert await (await subscriber.read()).read() == b"before and after"
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02"])
async def test_who_does_not_shake_hands_is_let_go(
    nursery: trio.Nursery, files: Files, said: bytes
) -> None:
    server, url = await serve(nursery, server_context(files.cert, files.key))
    port = int(url.rpartition(":")[2])
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(said)
    with trio.fail_after(20):
        try:
            while await stream.receive_some(1000):
                pass
        except trio.BrokenResourceError:
            pass
    assert server.statistics().connections == 0
    assert server._addresses._total == 0
    await stream.aclose()
    nursery.cancel_scope.cancel()


async def test_an_end_is_not_a_cut(nursery: trio.Nursery, files: Files) -> None:
    """To a reader of HTTP/1.0 the end of the connection is the end of the body, and
    TLS tells it from a connection that somebody has cut."""
    server, url = await serve(nursery, server_context(files.cert, files.key))
    server.hub.create("cam")
    config = ClientConfig(tls=tls_context(cacert=files.ca))
    async with Publisher(Endpoint.parse("cam", url), config=config) as publisher:
        await publisher.write(b"all of it")
        await publisher.flush()
    assert config.tls is not None
    stream = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1",
        int(url.rpartition(":")[2]),
        ssl_context=config.tls,
        https_compatible=False,
    )
    await stream.send_all(b"GET /cam/0 HTTP/1.0\r\n\r\n")
    data = b""
    while more := await stream.receive_some(1000):
        data += more
    assert data.endswith(b"\r\n\r\nall of it")
    await trio.aclose_forcefully(stream)
    nursery.cancel_scope.cancel()


def test_files_that_are_of_no_use_are_named(files: Files, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    with pytest.raises(BadConfiguration, match=r"junk\.pem"):
        server_context(str(junk))
    with pytest.raises(BadConfiguration, match=r"key values mismatch|mismatch"):
        server_context(files.cert, files.issue("other")[1])
    with pytest.raises(BadConfiguration, match=r"junk\.pem"):
        server_context(files.cert, files.key, client_ca=str(junk))
    with pytest.raises(BadConfiguration, match=r"junk\.pem"):
        tls_context(cacert=str(junk))
    with pytest.raises(BadConfiguration, match=r"junk\.pem"):
        tls_context(cert=str(junk))
    with pytest.raises(FileNotFoundError):
        server_context(str(tmp_path / "nothing"))


# Unix sockets.


async def test_a_unix_socket_serves_clients_of_ours(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = str(tmp_path / "trickle.sock")
    server = Server(CONFIG)
    await nursery.start(server.run, [listen_unix(path)])
    endpoint = Endpoint.parse("cam", f"unix:{path}")
    assert await round_trip(endpoint, ClientConfig()) == SENT
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    nursery.cancel_scope.cancel()


def test_the_file_of_a_socket_has_the_mode_that_is_wanted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trickle.sock"
    listen_unix(str(path), 0o660).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    remove_unix(str(path))
    assert not path.exists()
    remove_unix(str(path))


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "trickle.sock")
    listen_unix(path).close()
    listening = listen_unix(path)
    with pytest.raises(TrickleError, match="stop what runs there"):
        listen_unix(path)
    remove_unix(path)  # somebody listens: it stays
    assert os.path.exists(path)
    listening.close()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(TrickleError, match="cannot listen on .*file"):
        listen_unix(str(path))
    assert path.read_text() == "precious"
    with pytest.raises(TrickleError, match="cannot listen on"):
        listen_unix(str(tmp_path / "no" / "folder"))


async def test_a_peer_of_a_unix_socket_is_local(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = str(tmp_path / "trickle.sock")
    server = Server(CONFIG)
    await nursery.start(server.run, [listen_unix(path)])
    stream = await trio.open_unix_socket(path)
    assert (await Peer(stream).get("/_/health")).status == 200
    (connection,) = server._connections
    assert connection.peer == "local"
    await stream.aclose()
    nursery.cancel_scope.cancel()
