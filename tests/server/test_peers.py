"""How many may come, from where, and who is behind a proxy."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
import trio

from tests.server.conftest import Running, Start
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.protocol.events import Request
from trickle_cli.relay import Limits, Window
from trickle_cli.server import Entry, Patience, Peers, ServerConfig, server
from trickle_cli.server.addresses import Addresses

HERE = (ip_network("127.0.0.1"),)


def asked(*forwarded: str) -> Request:
    fields = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return Request(b"GET", b"/cam/0", fields, False, True, False)


def counted(limit: int, *proxies: str) -> Addresses:
    networks = tuple(map(ip_network, proxies))
    return Addresses(Peers(per_address=limit, trusted_proxies=networks))


def test_an_address_may_have_so_many_connections() -> None:
    addresses = counted(2)
    visitors = [addresses.enter("192.0.2.1") for _ in range(2)]
    other = addresses.enter("192.0.2.2")
    assert not any(map(addresses.refusal, [*visitors, other]))
    third = addresses.enter("192.0.2.1")
    refusal = addresses.refusal(third)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after) == (429, 5)
    addresses.leave(third)
    addresses.leave(visitors[0])
    assert addresses.refusal(addresses.enter("192.0.2.1")) is None


def test_of_ipv6_a_site_counts_as_one() -> None:
    addresses = counted(1)
    addresses.enter("2001:db8::1")
    assert addresses.refusal(addresses.enter("2001:db8::2:3%eth0"))
    assert not addresses.refusal(addresses.enter("2001:db8:0:1::1"))


def test_ipv4_within_ipv6_counts_as_ipv4() -> None:
    addresses = counted(1)
    addresses.enter("::ffff:192.0.2.1")
    assert addresses.refusal(addresses.enter("192.0.2.1"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_loopback_is_not_counted(host: str) -> None:
    addresses = counted(1)
    assert not any(addresses.refusal(addresses.enter(host)) for _ in range(5))


def test_what_has_left_leaves_nothing() -> None:
    addresses = counted(1)
    for number in range(100):
        visitor = addresses.enter(f"192.0.2.{number}")
        addresses.leave(visitor)
    assert not addresses._counts


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ((), "10.0.0.1"),
        (("192.0.2.1",), "192.0.2.1"),
        (("198.51.100.7, 192.0.2.1",), "192.0.2.1"),
        (("192.0.2.1, 10.0.0.2",), "192.0.2.1"),
        (("198.51.100.7", "192.0.2.1 , 10.0.0.2"), "192.0.2.1"),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        (("2001:db8::1",), "2001:db8::1"),
        (("[2001:db8::1]:80",), "2001:db8::1"),
        (("unknown",), "10.0.0.1"),
        (("192.0.2.1, unknown, 10.0.0.2",), "10.0.0.2"),
        (("",), "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_its_client(
    forwarded: tuple[str, ...], client: str
) -> None:
    addresses = counted(1, "10.0.0.0/8")
    visitor = addresses.enter("10.0.0.1")
    assert visitor.is_proxied
    addresses.attribute(visitor, asked(*forwarded))
    assert visitor.name == client


def test_nobody_else_is_believed() -> None:
    addresses = counted(1, "10.0.0.0/8")
    assert not addresses.enter("192.0.2.1").is_proxied
    assert not counted(1).enter("10.0.0.1").is_proxied
    assert addresses.enter("").is_proxied  # a Unix socket


def test_clients_of_a_proxy_are_counted_one_by_one() -> None:
    addresses = counted(1, "10.0.0.0/8")
    one, two = addresses.enter("10.0.0.1"), addresses.enter("10.0.0.1")
    assert not addresses.attribute(one, asked("192.0.2.1"))
    assert addresses.attribute(two, asked("192.0.2.1"))
    assert not addresses.attribute(two, asked("192.0.2.2"))  # the next, for another
    assert not addresses.attribute(one, asked("192.0.2.1"))
    addresses.leave(one)
    addresses.leave(two)
    assert not addresses._counts


# Through a server.


async def test_beyond_the_limit_connections_are_told_so(start: Start) -> None:
    config = ServerConfig(autocreate=True, peers=Peers(connections=3))
    running = await start(config)
    peers = [await running.connect() for _ in range(3)]
    for peer in peers:
        assert (await peer.get("/_/health")).status == 200
    late = await running.connect()
    heard = await late.get("/_/health")
    assert (heard.status, heard["Retry-After"]) == (503, "5")
    assert heard["Connection"] == "close"
    assert await late.is_hung_up()
    for peer in peers:  # those who are in stay in
        assert (await peer.get("/_/health")).status == 200
    await peers[0].hang_up()
    await until(lambda: running.server.statistics().connections == 2)
    again = await running.connect()
    assert (await again.get("/_/health")).status == 200


async def test_far_beyond_the_limit_connections_are_just_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_MAX_REFUSED", 2)
    running = await start(ServerConfig(peers=Peers(connections=1)))
    inside = await running.connect()
    assert (await inside.get("/_/health")).status == 200
    told = [await running.connect() for _ in range(2)]
    await until(lambda: running.server.statistics().connections == 3)
    assert await (await running.connect()).is_hung_up()
    for peer in told:
        assert (await peer.get("/_/health")).status == 503
    await until(lambda: running.server.statistics().connections == 1)
    assert (await (await running.connect()).get("/_/health")).status == 503
    assert (await inside.get("/_/health")).status == 200


async def test_behind_a_proxy_each_client_is_limited(start: Start) -> None:
    peers = Peers(per_address=1, trusted_proxies=HERE)
    running = await start(ServerConfig(autocreate=True, peers=peers))
    one, two = await running.connect(), await running.connect()
    from_one = "X-Forwarded-For: 192.0.2.1"
    assert (await one.request("GET", "/_/health", from_one)).status == 200
    assert (await two.request("GET", "/_/health", from_one)).status == 429
    heard = await two.request("GET", "/_/health", "X-Forwarded-For: 192.0.2.2")
    assert heard.status == 200


# Limits that options set.


async def test_the_limits_of_heads_can_be_set(start: Start) -> None:
    config = ServerConfig()
    running = await start(
        replace(config, head=config.head._replace(size=300, fields=5, target=20))
    )
    for target, fields, status in (
        ("/" + "a" * 20, (), 414),
        ("/a", ("X: " + "y" * 300,), 431),
        ("/a", ("X: y",) * 5, 431),
        ("/a", ("X: y",) * 3, 404),
    ):
        peer = await running.connect()
        assert (await peer.request("GET", target, *fields)).status == status


async def test_a_publisher_without_a_byte_is_to_come_again(start: Start) -> None:
    patience = Patience(preconnect=0.1)
    running = await start(ServerConfig(autocreate=True, patience=patience))
    peer = await running.connect()
    await peer.request("POST", "/cam/0", body="x")
    waiting = await running.connect()
    await waiting.publish("/cam/1")
    heard = await waiting.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Timeout"]) == (408, "first-byte")
    told = [heard[f"Lp-Trickle-{name}"] for name in ("Seq", "Latest", "Size")]
    assert (told, heard["Connection"]) == (["1", "1", "0"], "close")
    channel = running.hub.find("cam")
    assert (channel.head, channel.publishers) == (1, 0)
    assert (await peer.request("POST", "/cam/1", body="y")).status == 200


async def test_while_the_channel_flows_a_publisher_may_wait(start: Start) -> None:
    patience = Patience(preconnect=1)
    running = await start(ServerConfig(autocreate=True, patience=patience))
    flowing, waiting = await running.connect(), await running.connect()
    await flowing.publish("/cam/0")
    await flowing.chunk(b"x")
    await until(lambda: running.hub.all() and running.hub.find("cam").head == 1)
    await waiting.publish("/cam/1")
    for _ in range(15):  # three times as long as it may wait, with nothing flowing
        await trio.sleep(0.2)
        await flowing.chunk(b"x")
    assert waiting.has_heard_nothing()
    await flowing.last_chunk()
    heard = await waiting.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Timeout"]) == (408, "first-byte")


async def test_memory_has_a_bound(start: Start) -> None:
    limits = Limits(memory=200_000, window=Window(floor=5))
    running = await start(ServerConfig(autocreate=True, limits=limits))
    peer = await running.connect()
    for seq in range(40):
        for name in ("one", "two", "six"):
            await peer.request("POST", f"/{name}/{seq}", body="x" * 10_000)
            assert running.hub.memory.used <= 200_000
    held = {channel.name: len(channel) for channel in running.hub.all()}
    assert all(4 <= count <= 7 for count in held.values()), held
    assert (await peer.get("/one/0")).status == 470
    assert (await peer.get("/one/39")).body == b"x" * 10_000
    running.hub.shut_down()


# The access log.


async def logged(start: Start) -> tuple[Running, list[Entry]]:
    entries: list[Entry] = []
    config = ServerConfig(autocreate=True, access_log=entries.append)
    return await start(config), entries


def facts(entry: Entry) -> tuple[str, str, int, int, int, bool]:
    return (
        entry.method,
        entry.target,
        entry.status,
        entry.received,
        entry.sent,
        entry.whole,
    )


async def test_each_request_is_logged_when_it_is_over(start: Start) -> None:
    running, entries = await logged(start)
    peer = await running.connect()
    await peer.request("POST", "/cam/0", body="12345")
    await peer.get("/cam/0?token=secret")
    await peer.request("GET", "/cam/0", "Range: bytes=3-")
    await peer.request("HEAD", "/cam/0")
    await peer.get("/cam/9")
    await peer.request("DELETE", "/cam")
    await peer.send(b"nonsense\r\n\r\n")
    assert (await peer.hear()).status == 400
    assert [facts(entry) for entry in entries] == [
        ("POST", "/cam/0", 200, 5, 0, True),
        ("GET", "/cam/0", 200, 0, 5, True),
        ("GET", "/cam/0", 206, 0, 2, True),
        ("HEAD", "/cam/0", 200, 0, 0, True),
        ("GET", "/cam/9", 470, 0, len(b"no segment 9 (the head is 1)\n"), True),
        ("DELETE", "/cam", 200, 0, 0, True),
        ("", "", 400, 0, entries[-1].sent, True),
    ]
    for entry in entries:
        assert entry.peer == "127.0.0.1"
        assert entry.first_byte is not None
        assert 0 <= entry.first_byte <= entry.duration
        told = json.loads(entry.encode())
        assert set(told) == {
            *("time", "peer", "method", "target", "status", "received", "sent"),
            *("first_byte", "duration", "whole"),
        }


async def test_what_is_broken_off_is_logged_as_far_as_it_went(start: Start) -> None:
    running, entries = await logged(start)
    publisher, live, waiting = [await running.connect() for _ in range(3)]
    await publisher.publish("/cam/0")
    await publisher.chunk(b"1234567")
    await until(lambda: running.hub.all() and running.hub.find("cam").head == 1)
    await live.ask("GET", "/cam/0")
    await live.head()
    assert await live.exactly(7) == b"1234567"
    await waiting.ask("GET", "/cam/1")
    await until(lambda: running.hub.find("cam").readers == 2)
    await live.hang_up()
    await until(lambda: len(entries) == 1)
    await waiting.hang_up()
    await until(lambda: len(entries) == 2)
    await publisher.hang_up()
    await until(lambda: len(entries) == 3)
    assert [facts(entry) for entry in entries] == [
        ("GET", "/cam/0", 200, 0, 7, False),
        ("GET", "/cam/1", 0, 0, 0, False),
        ("POST", "/cam/0", 0, 7, 0, False),
    ]
    assert entries[1].first_byte is None


async def test_the_log_has_the_client_that_a_proxy_names(start: Start) -> None:
    entries: list[Entry] = []
    peers = Peers(trusted_proxies=HERE)
    running = await start(ServerConfig(peers=peers, access_log=entries.append))
    peer: Peer = await running.connect()
    await peer.request("GET", "/_/health", "X-Forwarded-For: 192.0.2.9")
    await peer.request("GET", "/_/health")
    assert [entry.peer for entry in entries] == ["192.0.2.9", "127.0.0.1"]


async def test_no_token_is_in_the_log(start: Start) -> None:
    running, entries = await logged(start)
    peer = await running.connect()
    await peer.request("GET", "/cam/0?key=hidden", "Authorization: Bearer hidden")
    assert "hidden" not in "".join(entry.encode() for entry in entries)
